"""The network of a training-step benchmark."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from experiments.bench.case import ITEM_BYTES, Dtype, Mode, Name, Size
from experiments.section import Section, complaint

TRAIN_STEP = "train_step"


class Network(Section):
    """A CNN: stages of 3x3 convolution (SAME), ReLU and max pooling k2 s2, then a dense layer.

    Attributes:
        name: Name of the network in tables.
        batch: Examples per step.
        image: Height, width and channels.
        widths: Channels of each stage.
        classes: Outputs of the dense layer.
        learning_rate: Learning rate of SGD.
        momentum: Momentum of SGD.
    """

    name: Name
    batch: Size
    image: Annotated[tuple[Size, ...], Field(strict=False, min_length=3, max_length=3)]
    widths: Annotated[tuple[Size, ...], Field(strict=False, min_length=1)]
    classes: Size
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if min(self.image[:2]) < 2 ** len(self.widths):
            raise complaint(
                f"{len(self.widths)} poolings leave nothing of {self.image[:2]}", "image"
            )
        return self

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """The dtypes to time."""
        return ("float32",)

    def modes(self, asked: tuple[Mode, ...]) -> tuple[str, ...]:
        """The mode to time, which is independent of the modes of poolings."""
        del asked
        return (TRAIN_STEP,)

    def input_bytes(self, dtype: Dtype) -> int:
        """Size of a batch."""
        return self.batch * math.prod(self.image) * ITEM_BYTES[dtype]

    def traffic_bytes(self, dtype: Dtype, mode: str) -> int:
        """0, since the traffic of a training step is not computed."""
        del dtype, mode
        return 0

    @property
    def features(self) -> int:
        """Inputs of the dense layer."""
        height, width, _ = self.image
        shrink = 2 ** len(self.widths)
        return (height // shrink) * (width // shrink) * self.widths[-1]

    def describe(self) -> str:
        """A short description of the network."""
        image = "x".join(map(str, self.image))
        widths = " and ".join(map(str, self.widths))
        return (
            f"training step, batch {self.batch} of {image}: conv 3x3 to {widths}, each with ReLU "
            f"and max k2 s2, dense to {self.classes}, SGD with momentum"
        )
