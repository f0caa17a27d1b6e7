"""`[training]` and `[measurement]`: how every variant is trained, and how its cost is found."""

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
    """`[training.augmentation]`: how training images and signals are changed at random.

    Attributes:
        shift: Shifts each by up to so many pixels along each axis; 0 is shifted in. (Cropping out
            of an image padded by as many pixels is the same.)
        flip: Mirrors each left to right with probability 1/2.
    """

    shift: NonNegativeInt = 0
    flip: bool = False


class Training(Section):
    """`[training]`: how every variant is trained.

    Attributes:
        epochs: Passes over the training set. Either this or `steps` is given.
        steps: Steps of the optimiser.
        batch_size: Examples per step.
        seeds: One training run each.
        optimizer: The update rule.
        learning_rate: Its peak.
        schedule: From the peak down to 0 along a cosine, constant, or in steps: multiplied by
            `factor` at each of the `milestones`.
        milestones: Of `"steps"`: after how many epochs, or steps if `steps` is given.
        factor: Of `"steps"`.
        warmup_epochs: Epochs in which the learning rate rises from 0 to its peak.
        weight_decay: Decay of the kernels, not of biases and norms.
        coupled_decay: Add the decay to the gradient, so that it passes through momentum or Adam (L2
            regularisation), instead of to the update.
        momentum: Of sgd.
        nesterov: Whether sgd's momentum is Nesterov's.
        shuffle: Whether each epoch goes through the examples in another order.
        seeds_together: Train all seeds in one vectorised program; `"auto"` where that is as fast.
        data_parallel: Divide each batch among all devices, those of all processes of `run
            --coordinator`; the devices must divide `batch_size`. Seeds are trained one by one. The
            numbers are those of one device up to the order of sums.
        shard_state: Divide parameters and optimizer state among the devices of `data_parallel`,
            instead of replicating them; the numbers are the same up to the order of sums. Several
            processes need a results folder that all of them see, for they write the checkpoints
            together.
        precision: What the network computes in: `"float32"`, or `"bfloat16"` with parameters,
            optimizer state, normalisation and loss in float32 (mixed precision).
        augmentation: Random changes of training examples.
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
        """The steps of a whole run."""
        return self.steps or (self.epochs or 0) * steps_per_epoch

    def shortened(self, share: float, seeds: tuple[int, ...]) -> "Training":
        """The same training in a share of its epochs or steps, from other seeds.

        Its schedule is a whole one of that length: warm-up and milestones shrink with it.
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
        """The steps between two checkpoints: an epoch, or 500 steps where those are more.

        With `epochs` it is always one epoch.
        """
        if self.steps is None:
            return steps_per_epoch
        return min(max(steps_per_epoch, 500), self.steps)


class MeasurementOptions(Section):
    """`[measurement]`: how cost is measured once training is over.

    Attributes:
        seconds: How long to measure, all variants together, compilation aside.
        rounds: Stop earlier after so many samples of each quantity.
        latency_samples: Single-image inferences to time for each variant. The 99th percentile has a
            95% interval from 368 of them on; with 500 its upper end is the slowest of all, with
            1,000 the fourth slowest.
        targets: Devices that are not here, for which every variant is compiled and its cost
            estimated: `"tpu-v5e"`, `"tpu-v6e"`, `"h100"`. Needs `make targets`.
    """

    seconds: Positive = 60.0
    rounds: Annotated[int, Field(ge=6)] = 50
    latency_samples: Annotated[int, Field(ge=100)] = 1000
    targets: Annotated[tuple[Target, ...], Field(strict=False)] = ()
