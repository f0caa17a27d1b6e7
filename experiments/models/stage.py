"""Common parts of networks of convolutional stages: options, stages and slots."""

import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.models.convolution import Convolution
from experiments.models.model import ModelOptions
from experiments.models.slot import Slot
from experiments.section import PositiveInt, Widths


class StagedOptions(ModelOptions):
    """`[model]` of a network of stages, each of convolutions and one pooling.

    Attributes:
        widths: Channels of each stage; the number of stages is the number of widths.
        convolutions: Convolutions per stage, without a variant's extra ones; with `"strided"`, the
            last one takes the stride.
        norm: The normalisation after each convolution.
    """

    widths: Widths
    convolutions: PositiveInt = 1
    norm: Literal["batch", "layer", "none"] = "batch"

    @property
    def stages(self) -> int:
        """One pooling per width."""
        return len(self.widths)


class Stage(nnx.Module):
    """Repeated convolution, normalisation and ReLU, followed by a slot."""

    def __init__(
        self,
        channels_in: int,
        width: int,
        slot: Slot,
        convolutions: int,
        kernel: Sequence[int],
        norm: str,
        initializer: str,
        rngs: nnx.Rngs,
    ):
        convolutions += slot.extra_convolutions
        strides = [1] * (convolutions - 1) + [slot.stride]
        inputs = [channels_in] + [width] * (convolutions - 1)
        self.convolutions = nnx.List(
            Convolution(
                channels,
                width,
                kernel=kernel,
                stride=stride,
                bias=norm == "none",
                initializer=initializer,
                rngs=rngs,
            )
            for channels, stride in zip(inputs, strides, strict=True)
        )
        self.norms = nnx.List(normalisation(norm, width, rngs) for _ in range(convolutions))
        self.slot = slot

    def shape(self, spatial: Sequence[int], width: int) -> tuple[list[int], int]:
        """The output's spatial shape and channels, from the input's spatial shape."""
        stride = self.convolutions[-1].stride
        sizes = [math.ceil(size / step) for size, step in zip(spatial, stride, strict=True)]
        pooled = self.slot.shape(jax.ShapeDtypeStruct((1, *sizes, width), jnp.float32)).shape
        return list(pooled[1:-1]), pooled[-1]

    def __call__(
        self, x: jax.Array, train: bool, key: jax.Array | None, pool: nnx.Module | None
    ) -> jax.Array:
        """Applies the stage to feature maps; `pool` is the module built by the slot's `module`."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = jax.nn.relu(normalised(convolution(x), norm, train))
        return self.slot(x, key, pool)


def built(
    options: StagedOptions,
    input_shape: Sequence[int],
    slots: Sequence[Slot],
    kernel: Sequence[int],
    rngs: nnx.Rngs,
    initializer: str = "he",
) -> tuple[nnx.List, list[int], int]:
    """Builds the stages of a network.

    Args:
        options: The network's options.
        input_shape: The shape of one input, (*spatial, channels).
        slots: One pooling per stage.
        kernel: The kernel size of the convolutions, one per spatial axis.
        rngs: Random keys of the initial weights.
        initializer: Initializer of the weights.

    Returns:
        The stages, and the spatial shape and channels of the last stage's output.
    """
    *spatial, channels = input_shape
    stages = []
    for width, slot in zip(options.widths, slots, strict=True):
        stages.append(
            Stage(
                channels, width, slot, options.convolutions, kernel, options.norm, initializer, rngs
            )
        )
        spatial, channels = stages[-1].shape(spatial, width)
    return nnx.List(stages), spatial, channels


def pools(slots: Sequence[Slot | None], spatial: int, rngs: nnx.Rngs) -> nnx.List:
    """The modules of learned poolings; None for slots without parameters.

    Must be called after all other modules are built, so that the shared parameters of all variants
    get the same random numbers.

    Args:
        slots: The slots; None for a block without a slot.
        spatial: Number of spatial axes of the feature maps.
        rngs: Random keys of the initial parameters.
    """
    return nnx.List(slot.module(rngs, spatial) if slot else None for slot in slots)


def key_of(key: jax.Array | None, number: int) -> jax.Array | None:
    """The key of one of several slots, from the key of the network's call; None in evaluation."""
    return None if key is None else jax.random.fold_in(key, number)


def through(
    stages: nnx.List, pools: nnx.List, x: jax.Array, train: bool, key: jax.Array | None
) -> jax.Array:
    """Applies all stages in order to feature maps."""
    for number, (stage, pool) in enumerate(zip(stages, pools, strict=True)):
        x = stage(x, train, key_of(key, number), pool)
    return x


def normalisation(norm: str, width: int, rngs: nnx.Rngs) -> nnx.BatchNorm | nnx.LayerNorm | None:
    """The layer for `norm = "batch"`, `"layer"` or `"none"`."""
    match norm:
        case "batch":
            # Running statistics over about 10 steps: an epoch of a small dataset has only 20.
            return nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        case "layer":
            return nnx.LayerNorm(width, rngs=rngs)
        case "none":
            return None
    raise ValueError(f"norm must be 'batch', 'layer' or 'none', got {norm!r}")


def normalised(x: jax.Array, norm: nnx.BatchNorm | nnx.LayerNorm | None, train: bool) -> jax.Array:
    """Applies a layer of `normalisation` to feature maps."""
    if isinstance(norm, nnx.BatchNorm):
        return norm(x, use_running_average=not train)
    return x if norm is None else norm(x)
