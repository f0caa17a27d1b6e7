"""A stage of a convolutional network: convolutions with normalisation and ReLU, then a slot."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.models.convolution import Convolution
from experiments.models.slot import Slot


class Stage(nnx.Module):
    """Convolution, normalisation and ReLU, as often as asked; then the slot."""

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
        """The spatial shape and the channels of what it gives, from the spatial shape it reads."""
        stride = self.convolutions[-1].stride
        sizes = [math.ceil(size / step) for size, step in zip(spatial, stride, strict=True)]
        pooled = self.slot.shape(jax.ShapeDtypeStruct((1, *sizes, width), jnp.float32)).shape
        return list(pooled[1:-1]), pooled[-1]

    def __call__(
        self, x: jax.Array, train: bool, key: jax.Array | None, pool: nnx.Module | None
    ) -> jax.Array:
        """Feature maps from feature maps; `pool` is what the slot's `module` built."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = jax.nn.relu(normalised(convolution(x), norm, train))
        return self.slot(x, key, pool)


def normalisation(norm: str, width: int, rngs: nnx.Rngs) -> nnx.BatchNorm | nnx.LayerNorm | None:
    """The layer for `norm = "batch"`, `"layer"` or `"none"`."""
    match norm:
        case "batch":
            # Running statistics over some 10 steps: an epoch of a small data set is only 20.
            return nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        case "layer":
            return nnx.LayerNorm(width, rngs=rngs)
        case "none":
            return None
    raise ValueError(f"norm must be 'batch', 'layer' or 'none', got {norm!r}")


def normalised(x: jax.Array, norm: nnx.BatchNorm | nnx.LayerNorm | None, train: bool) -> jax.Array:
    """What a layer of `normalisation` makes of feature maps."""
    if isinstance(norm, nnx.BatchNorm):
        return norm(x, use_running_average=not train)
    return x if norm is None else norm(x)
