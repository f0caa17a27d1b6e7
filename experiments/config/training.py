"""`[training]` and `[measurement]`: training and cost measurement of every variant."""

import itertools
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from experiments.section import (
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    Section,
    Seed,
    Share,
    complaint,
    filled,
)

Target = Literal["tpu-v5e", "tpu-v6e", "h100"]
"""Devices that are not here; see `experiments.targets`."""


class Augmentation(Section):
    """`[training.augmentation]`: random transformations of training images and signals.

    Attributes:
        shift: Largest shift in pixels along each axis, with zeros shifted in. (Equivalent to a
            random crop after padding by this number of pixels.)
        flip: Flip each image left to right with probability 1/2.
    """

    shift: NonNegativeInt = 0
    flip: bool = False


class Training(Section):
    """`[training]`: the training of every variant.

    Attributes:
        epochs: Passes over the training set. Give either `epochs` or `steps`.
        steps: Number of optimiser steps.
        batch_size: Examples per step.
        seeds: Random seeds, one training run per seed.
        optimizer: The update rule.
        learning_rate: The peak learning rate.
        schedule: Cosine decay from the peak to 0, constant, or steps: multiplication by `factor` at
            each of the `milestones`.
        milestones: For the schedule `"steps"`: numbers of epochs, or of steps if `steps` is given.
        factor: For the schedule `"steps"`: the factor of the learning rate at each milestone.
        warmup_epochs: Epochs of linear warm-up from 0 to the peak.
        weight_decay: Weight decay of kernels; biases and normalisation layers have none.
        coupled_decay: Add the weight decay to the gradient (L2 regularisation), so that it passes
            through momentum or Adam, instead of to the update.
        momentum: Momentum of sgd.
        nesterov: Whether sgd uses Nesterov momentum.
        shuffle: Whether each epoch visits the examples in a new random order.
        seeds_together: Train all seeds in one vectorised program; `"auto"` does if it is as fast.
        data_parallel: Divide each batch among all devices (of all processes with
            `run --coordinator`); the number of devices must divide `batch_size`. Seeds are trained
            one by one. Results differ from those of one device only by the order of sums.
        shard_state: Divide parameters and optimizer state among the devices of `data_parallel`
            instead of replicating them. Results differ only by the order of sums. Several processes
            need a results folder that all of them see, because they write checkpoints together.
        precision: The dtype of the network's computation: `"float32"`, or `"bfloat16"` with
            parameters, optimizer state, normalisation and loss in float32 (mixed precision).
        augmentation: Random transformations of training examples.
    """

    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    batch_size: PositiveInt
    seeds: Annotated[tuple[Seed, ...], Field(strict=False), AfterValidator(filled)]
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    milestones: Annotated[tuple[PositiveInt, ...], Field(strict=False)] = ()
    factor: Positive = 0.1
    warmup_epochs: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    coupled_decay: bool = False
    momentum: Share = 0.9
    nesterov: bool = True
    shuffle: bool = True
    seeds_together: Literal[True, False, "auto"] = "auto"
    data_parallel: bool = False
    shard_state: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise complaint("give either epochs or steps", "epochs")
        if len(set(self.seeds)) < len(self.seeds):
            raise complaint("must differ from one another", "seeds")
        if self.data_parallel and self.seeds_together is True:
            raise complaint(
                "data_parallel trains seeds one by one; give one of the two", "seeds_together"
            )
        if self.shard_state and not self.data_parallel:
            raise complaint("needs data_parallel = true", "shard_state")
        if self.epochs is not None and self.warmup_epochs > self.epochs:
            raise complaint(f"must be at most epochs = {self.epochs}", "warmup_epochs")
        if bool(self.milestones) != (self.schedule == "steps"):
            raise complaint('schedule = "steps" needs milestones, no other takes any', "milestones")
        if any(a >= b for a, b in itertools.pairwise(self.milestones)):
            raise complaint("must rise", "milestones")
        return self

    def total_steps(self, steps_per_epoch: int) -> int:
        """The number of steps of a run."""
        return self.steps or (self.epochs or 0) * steps_per_epoch

    def shortened(self, share: float, seeds: tuple[int, ...]) -> "Training":
        """The same training with a fraction `share` of its epochs or steps, and other seeds.

        The schedule is scaled to the new length, including warm-up and milestones.
        """
        length = self.epochs or self.steps or 1
        short = max(round(length * share), 1)
        milestones = itertools.accumulate(
            (max(round(one * short / length), 1) for one in self.milestones),
            lambda before, one: max(one, before + 1),
        )
        changes = {
            "epochs" if self.epochs else "steps": short,
            "warmup_epochs": self.warmup_epochs * short / length,
            "milestones": tuple(milestones),
            "seeds": seeds,
        }
        return self.model_copy(update=changes)

    def round_steps(self, steps_per_epoch: int) -> int:
        """The steps between two checkpoints: one epoch, or 500 steps if an epoch is shorter.

        With `epochs`, always one epoch.
        """
        if self.steps is None:
            return steps_per_epoch
        return min(max(steps_per_epoch, 500), self.steps)


class MeasurementOptions(Section):
    """`[measurement]`: the measurement of costs after training.

    Attributes:
        seconds: Total time of the measurement over all variants, without compilation.
        rounds: Largest number of samples per quantity.
        latency_samples: Number of single-image inferences to time per variant. A 95% interval of
            the 99th percentile needs at least 368 samples; its upper end is the slowest sample for
            500, and the fourth slowest for 1,000.
        targets: Absent devices for which every variant is compiled and its cost is estimated:
            `"tpu-v5e"`, `"tpu-v6e"`, `"h100"`. Requires `make targets`.
    """

    seconds: Positive = 60.0
    rounds: Annotated[int, Field(ge=6)] = 50
    latency_samples: Annotated[int, Field(ge=100)] = 1000
    targets: Annotated[tuple[Target, ...], Field(strict=False)] = ()
