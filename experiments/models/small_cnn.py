"""A small convolutional network with a pooling slot after each stage."""

import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from experiments import register
from experiments.data import DatasetInfo
from experiments.models.convolution import Convolution, linear
from experiments.models.head import Head
from experiments.models.model import ModelOptions
from experiments.models.slot import ModelError, Slot
from experiments.section import PositiveInt, Sizes, Widths


@register.model("small_cnn")
class SmallCNNOptions(ModelOptions):
    """`[model]`: stages of convolution, normalisation, ReLU and pooling, then head and classifier.

    Attributes:
        widths: Channels of each stage; as many stages as widths.
        convolutions: Convolutions per stage, beside the extra ones of a variant; the last one
            takes the stride of `"strided"`.
        kernel: Size of every convolution's kernel: one integer, or one per spatial axis.
        norm: The normalisation after each convolution.
        initializer: Of the weights: `"he"`, or `"torch"` for what PyTorch's layers begin with.
    """

    name: str = "small_cnn"
    widths: Widths
    convolutions: PositiveInt = 1
    kernel: Sizes = 3
    norm: Literal["batch", "layer", "none"] = "batch"
    initializer: Literal["he", "torch"] = "he"

    kinds = frozenset({"image", "signal"})
    takes_extra_convolutions = True

    @property
    def stages(self) -> int:
        """One pooling per width."""
        return len(self.widths)

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> "SmallCNN":
        """The network for images or signals."""
        spatial = len(info.input_shape) - 1
        kernel = (self.kernel,) * spatial if isinstance(self.kernel, int) else self.kernel
        if len(kernel) != spatial:
            raise ModelError(
                f"model.kernel = {self.kernel}: must have one size for each of the {spatial} "
                "spatial axes"
            )
        return SmallCNN(
            info,
            slots,
            head,
            widths=self.widths,
            convolutions=self.convolutions,
            kernel=kernel,
            norm=self.norm,
            initializer=self.initializer,
            rngs=rngs,
        )


class SmallCNN(nnx.Module):
    """Stages of convolution, normalisation, ReLU and pooling, then a head and a linear layer.

    With a global head (the average, say) it is the same whatever resolution the pooling leaves, so
    variants that differ in pooling have the same parameters, and begin with the same, but for what
    a pooling itself learns.
    """

    def __init__(
        self,
        info: DatasetInfo,
        slots: Sequence[Slot],
        head: Head,
        *,
        widths: Sequence[int],
        convolutions: int,
        kernel: Sequence[int],
        norm: str,
        initializer: str = "he",
        rngs: nnx.Rngs,
    ):
        """Builds the network; see `SmallCNNOptions`."""
        *spatial, channels = info.input_shape
        stages = []
        for width, slot in zip(widths, slots, strict=True):
            stages.append(
                Stage(channels, width, slot, convolutions, kernel, norm, initializer, rngs)
            )
            spatial, channels = stages[-1].shape(spatial, width)
        self.stages = nnx.List(stages)
        self.head = head.build(channels, spatial, rngs)
        self.classifier = linear(
            self.head.features, info.classes, initializer=initializer, rngs=rngs
        )
        # Last, so that what these draw changes nothing that all variants share.
        self.pools = nnx.List(slot.module(rngs, len(spatial)) for slot in slots)

    def __call__(
        self, x: jax.Array, *, train: bool = False, key: jax.Array | None = None
    ) -> jax.Array:
        """Classifies images or signals.

        Args:
            x: Images (N, H, W, C) or signals (N, L, C).
            train: Whether normalisation uses, and updates from, the batch's own statistics.
            key: Randomness for poolings that draw in training.

        Returns:
            Logits (N, classes).
        """
        for number, (stage, pool) in enumerate(zip(self.stages, self.pools, strict=True)):
            x = stage(x, train, None if key is None else jax.random.fold_in(key, number), pool)
        return self.classifier(self.head(x))


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
