"""What tuning and search leave on disk. None of it holds a score of the test split."""

from typing import Any

from experiments.records import (
    Accuracy,
    Count,
    Fingerprint,
    Loss,
    NonNegative,
    Origin,
    Record,
    VariantName,
    Versioned,
)


class TrialRecord(Versioned):
    """trial.json: one finished trial, a candidate trained from one seed with one budget.

    Attributes:
        candidate: The candidate's name.
        variant: The variant that was trained.
        seed: The seed.
        cell: The cell of a sweep that it belongs to; empty without a sweep.
        choice: The settings that the candidate tries, by key.
        fingerprint: SHA-256 of the part of the resolved config that decides the result.
        steps: Optimiser steps taken.
        diverged: Whether the loss ceased to be finite, which ended the trial.
        train_loss: Mean loss over the last epoch's training steps.
        validation_loss: Mean loss on the validation split after the last step.
        validation_accuracy: Share of validation examples answered correctly, likewise.
        train_seconds: Wall-clock seconds of training.
        origin: What made it.
    """

    candidate: str
    variant: VariantName
    seed: int
    cell: str = ""
    choice: dict[str, Any]
    fingerprint: Fingerprint
    steps: Count
    diverged: bool
    train_loss: Loss
    validation_loss: Loss
    validation_accuracy: Accuracy
    train_seconds: NonNegative
    origin: Origin


class Score(Record):
    """What one candidate reached on one rung.

    Attributes:
        validation_accuracy: The mean over the seeds.
        diverged: How many of the seeds diverged.
    """

    validation_accuracy: Accuracy
    diverged: Count


class RungRecord(Record):
    """One rung: candidates that were trained alike.

    Attributes:
        steps: The steps of each trial.
        seeds: The seeds of each candidate.
        scores: What each reached, by candidate.
    """

    steps: Count
    seeds: tuple[int, ...]
    scores: dict[str, Score]


class Chosen(Record):
    """What was chosen among some candidates, and by what.

    Attributes:
        fingerprint: SHA-256 of all that decides the choice: every candidate and rung.
        candidate: The candidate chosen.
        choice: Its settings, by key.
        validation_accuracy: Its mean validation accuracy on the last rung.
        rungs: The rungs, the last one with the longest trials.
        run_steps: Steps granted to all trials together.
        run_seconds: Seconds of training of all trials together, compilation aside.
        origin: What made the trials.
    """

    fingerprint: Fingerprint
    candidate: str
    choice: dict[str, Any]
    validation_accuracy: Accuracy
    rungs: tuple[RungRecord, ...]
    run_steps: Count
    run_seconds: NonNegative
    origin: Origin


class TuningRecord(Versioned):
    """tuning.json: what each variant chose.

    Attributes:
        cells: By cell of a sweep (an empty name without one), by variant.
    """

    cells: dict[str, dict[str, Chosen]]


class SearchRecord(Versioned):
    """search.json: which pooling at which stage was chosen.

    Attributes:
        mixed: The best of the networks that do not pool alike at every stage.
        uniform: The best of those that do.
        run_steps: Steps granted to all trials of both choices together.
        run_seconds: Seconds of training of all trials together, compilation aside.
        full_run_steps: Steps of all candidates and seeds, had each the whole budget.
        full_run_seconds: What those would have taken, at the pace of each candidate's trials.
    """

    mixed: Chosen
    uniform: Chosen
    run_steps: Count
    run_seconds: NonNegative
    full_run_steps: Count
    full_run_seconds: NonNegative

    @property
    def finalists(self) -> dict[str, Chosen]:
        """The networks to train; the uniform one first, for the other is compared with it."""
        return {one.candidate: one for one in (self.uniform, self.mixed)}
