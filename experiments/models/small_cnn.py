"""A small convolutional network with a pooling slot after each stage."""

from collections.abc import Sequence

import jax
from flax import nnx

from experiments.models.convolution import Convolution
from experiments.models.slot import Slot


class SmallCNN(nnx.Module):
    """Stages of convolution, normalisation, ReLU and pooling, then a linear head.

    A global average before the head makes it the same whatever resolution the pooling leaves, so
    variants that differ in pooling have the same parameters, and begin with the same, but for what
    a pooling itself learns.
    """

    def __init__(
        self,
        channels_in: int,
        classes: int,
        slots: Sequence[Slot],
        *,
        widths: Sequence[int],
        convolutions: int,
        kernel: int,
        norm: str,
        rngs: nnx.Rngs,
    ):
        """Builds the network.

        Args:
            channels_in: Channels of an input image.
            classes: Outputs.
            slots: One pooling a stage.
            widths: Channels of each stage.
            convolutions: Convolutions a stage; the last one takes the slot's stride.
            kernel: Side of every convolution's window.
            norm: `"batch"`, `"layer"` or `"none"`.
            rngs: Where the initial weights come from.
        """
        stages = []
        for width, slot in zip(widths, slots, strict=True):
            stages.append(_Stage(channels_in, width, slot, convolutions, kernel, norm, rngs))
            channels_in = width
        self.stages = nnx.List(stages)
        self.head = nnx.Linear(channels_in, classes, rngs=rngs)
        # Last, so that what these draw changes nothing that all variants share.
        self.pools = nnx.List(slot.module(rngs) for slot in slots)

    def __call__(
        self, x: jax.Array, *, train: bool = False, key: jax.Array | None = None
    ) -> jax.Array:
        """Classifies images.

        Args:
            x: Images (N, H, W, C).
            train: Whether normalisation uses, and updates from, the batch's own statistics.
            key: Randomness for poolings that draw in training.

        Returns:
            Logits (N, classes).
        """
        for number, (stage, pool) in enumerate(zip(self.stages, self.pools, strict=True)):
            x = stage(x, train, None if key is None else jax.random.fold_in(key, number), pool)
        return self.head(x.mean((1, 2)))


class _Stage(nnx.Module):
    """Convolution, normalisation and ReLU, as often as asked; then the slot."""

    def __init__(
        self,
        channels_in: int,
        width: int,
        slot: Slot,
        convolutions: int,
        kernel: int,
        norm: str,
        rngs: nnx.Rngs,
    ):
        strides = [1] * (convolutions - 1) + [slot.stride]
        inputs = [channels_in] + [width] * (convolutions - 1)
        self.convolutions = nnx.List(
            Convolution(
                channels, width, kernel=kernel, stride=stride, bias=norm == "none", rngs=rngs
            )
            for channels, stride in zip(inputs, strides, strict=True)
        )
        self.norms = nnx.List(_norm(norm, width, rngs) for _ in range(convolutions))
        self.slot = slot

    def __call__(
        self, x: jax.Array, train: bool, key: jax.Array | None, pool: nnx.Module | None
    ) -> jax.Array:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x)
            if isinstance(norm, nnx.BatchNorm):
                x = norm(x, use_running_average=not train)
            elif norm is not None:
                x = norm(x)
            x = jax.nn.relu(x)
        return self.slot(x, key, pool)


def _norm(norm: str, width: int, rngs: nnx.Rngs) -> nnx.BatchNorm | nnx.LayerNorm | None:
    match norm:
        case "batch":
            # Running statistics over some 10 steps: an epoch of a small data set is only 20.
            return nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        case "layer":
            return nnx.LayerNorm(width, rngs=rngs)
        case "none":
            return None
    raise ValueError(f"norm must be 'batch', 'layer' or 'none', got {norm!r}")
