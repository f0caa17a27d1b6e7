"""Records of training: epochs, finished runs, and methods that need no training."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from experiments.records.environment import Origin
from experiments.records.record import (
    Accuracy,
    Count,
    Fingerprint,
    Loss,
    NonNegative,
    Record,
    VariantName,
    Versioned,
)


class EpochMetrics(Record):
    """Losses, accuracy and time of one epoch of one run (or one round of `training.steps`).

    Attributes:
        epoch: Number of the epoch, from 1.
        step: Optimiser steps taken by the end of the epoch.
        train_loss: Mean loss over the epoch's training steps.
        validation_loss: Mean loss on the validation split at the end of the epoch; None without a
            validation split.
        validation_accuracy: Share of validation examples answered correctly at the end of the
            epoch; None without a validation split.
        learning_rate: Learning rate of the epoch's last step.
        seconds: Wall-clock seconds of training.
        examples_per_s: Training examples per second.
    """

    epoch: Count
    step: Count
    train_loss: Loss
    validation_loss: Loss | None = None
    validation_accuracy: Accuracy | None = None
    learning_rate: float
    seconds: NonNegative
    examples_per_s: NonNegative


class RunRecord(Versioned):
    """One finished run: a variant trained from one seed.

    Attributes:
        variant: The variant's name.
        seed: The training seed; runs of different variants with equal seeds are paired.
        cell: Name of the run's sweep cell; empty without a sweep.
        fingerprint: SHA-256 of the part of the resolved config that decides this run's result.
        epochs: Epochs trained.
        steps: Optimiser steps taken.
        diverged: Whether the loss ceased to be finite, which ended the run.
        test_accuracy: Share of test examples answered correctly after the last step.
        test_loss: Mean loss on the test set after the last step.
        train_loss: Mean loss over the last epoch's training steps.
        validation_accuracy: Share of validation examples answered correctly; None without a
            validation split.
        metrics: The task's other metrics on the test set, by name.
        test_correct: Test examples answered correctly.
        test_size: Test examples (of detection: objects).
        train_seconds: Wall-clock seconds of training.
        origin: Environment and code that produced the run.
    """

    variant: VariantName
    seed: int
    cell: str = ""
    fingerprint: Fingerprint
    epochs: Count
    steps: Count
    diverged: bool = False
    test_accuracy: Accuracy
    test_loss: Loss
    train_loss: Loss
    validation_accuracy: Accuracy | None = None
    metrics: dict[str, Loss] = Field(default_factory=dict)
    test_correct: Count
    test_size: Annotated[int, Field(ge=1)]
    train_seconds: NonNegative
    origin: Origin | None = None

    @model_validator(mode="after")
    def _accuracy_is_the_share(self) -> Self:
        share = self.test_correct / self.test_size
        if abs(self.test_accuracy - share) > 1e-5:
            raise ValueError(
                f"test_accuracy {self.test_accuracy} is not test_correct / test_size, "
                f"{self.test_correct} / {self.test_size}"
            )
        return self


class Baselines(Versioned):
    """Metrics of methods that need no training, on the test split.

    Attributes:
        cells: By cell of a sweep (an empty name without one), by method, by metric.
    """

    cells: dict[str, dict[str, dict[str, float]]]
