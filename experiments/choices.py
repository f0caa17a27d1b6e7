"""Records that tuning and search write; they hold no score of the test split."""

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
        cell: Name of the sweep cell; empty without a sweep.
        choice: The candidate's settings, by key.
        fingerprint: SHA-256 of the part of the resolved config that decides the result.
        steps: Optimiser steps taken.
        diverged: Whether the trial ended because its loss was not finite.
        train_loss: Mean loss over the last epoch's training steps.
        validation_loss: Mean loss on the validation split after the last step.
        validation_accuracy: Share of validation examples answered correctly after the last step.
        train_seconds: Wall-clock seconds of training.
        origin: Environment and code that produced the trial.
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
    """The result of one candidate on one rung.

    Attributes:
        validation_accuracy: The mean over the seeds.
        diverged: How many of the seeds diverged.
    """

    validation_accuracy: Accuracy
    diverged: Count


class RungRecord(Record):
    """One rung of successive halving: candidates trained with the same number of steps and seeds.

    Attributes:
        steps: Steps per trial.
        seeds: Seeds of each candidate.
        scores: Score of each candidate, by name.
    """

    steps: Count
    seeds: tuple[int, ...]
    scores: dict[str, Score]


class Chosen(Record):
    """The candidate that was chosen, with the results that decided the choice.

    Attributes:
        fingerprint: SHA-256 of all inputs of the choice: every candidate and rung.
        candidate: Name of the chosen candidate.
        choice: Settings of the chosen candidate, by key.
        validation_accuracy: Its mean validation accuracy on the last rung.
        rungs: The rungs; the last one has the longest trials.
        run_steps: Steps granted to all trials together.
        run_seconds: Seconds of training of all trials together, without compilation.
        origin: Environment and code that produced the trials.
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
    """tuning.json: the settings chosen for each variant.

    Attributes:
        cells: The choices, by cell of a sweep (an empty name without a sweep) and by variant.
    """

    cells: dict[str, dict[str, Chosen]]


class SearchRecord(Versioned):
    """search.json: the networks chosen by a search over the pooling of each stage.

    Attributes:
        mixed: The best network among those with different poolings.
        uniform: The best network among those with the same pooling at every stage.
        run_steps: Steps granted to all trials of both choices together.
        run_seconds: Seconds of training of all trials together, without compilation.
        full_run_steps: Steps needed to train all candidates and seeds with the whole budget.
        full_run_seconds: Estimated seconds for `full_run_steps`, at the speed of each candidate's
            trials.
    """

    mixed: Chosen
    uniform: Chosen
    run_steps: Count
    run_seconds: NonNegative
    full_run_steps: Count
    full_run_seconds: NonNegative

    @property
    def finalists(self) -> dict[str, Chosen]:
        """The networks to train; the uniform one comes first, as the baseline of the mixed one."""
        return {one.candidate: one for one in (self.uniform, self.mixed)}
