"""The residual network for small images, with pooling slots at each change of resolution.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016, section 4.2. The
pre-activation form is that of "Identity mappings in deep residual networks", 2016.
"""

import math
from collections.abc import Sequence
from typing import Literal, Self

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import model_validator

from experiments import register
from experiments.data import DatasetInfo
from experiments.models.convolution import Convolution, linear
from experiments.models.head import Head
from experiments.models.model import ModelOptions
from experiments.models.slot import Slot
from experiments.models.stage import key_of, normalisation, normalised, pools
from experiments.section import PositiveInt, Widths, complaint


@register.model("resnet")
class ResNetOptions(ModelOptions):
    """`[model]`: a 3x3 convolution, stages of residual blocks, then head and linear layer.

    Each change of resolution has a slot: one between two stages, in the first block of the second
    stage, and one after the first convolution if `stem` is true. With `"strided"`, the block's
    first convolution and the shortcut take the stride, as published. With a pooling, that
    convolution has stride 1, and both its activation and the shortcut are pooled.

    Attributes:
        depth: Number of layers with weights: `2 n` per width plus 2, that is, `6 n + 2` for three
            widths.
        widths: Channels of each stage.
        activation: `"post"`: after the convolution and the sum; `"pre"`: before the convolutions.
        shortcut: How a shortcut gets more channels: by a 1x1 convolution, or (`"identity"`, as
            published for CIFAR-10) by channels of zeros.
        stem: Whether a slot follows the first convolution.
    """

    name: str = "resnet"
    depth: PositiveInt = 20
    widths: Widths = (16, 32, 64)
    activation: Literal["post", "pre"] = "post"
    shortcut: Literal["projection", "identity"] = "projection"
    stem: bool = False

    kinds = frozenset({"image", "signal"})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.widths) < 2:
            raise complaint("must be at least two", "widths")
        layers = 2 * len(self.widths)
        if self.depth < layers + 2 or (self.depth - 2) % layers:
            raise complaint(
                f"must be {layers} n + 2 for {len(self.widths)} widths: {layers + 2}, "
                f"{2 * layers + 2}, {3 * layers + 2} ...",
                "depth",
            )
        if self.shortcut == "identity" and list(self.widths) != sorted(self.widths):
            raise complaint('must not decrease with shortcut = "identity"', "widths")
        return self

    @property
    def stages(self) -> int:
        """One slot between two stages, plus the stem's slot."""
        return len(self.widths) - 1 + self.stem

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> "ResNet":
        """The network for images or signals."""
        return ResNet(info, slots, head, self, rngs)


class ResNet(nnx.Module):
    """A convolution, residual blocks, a head and a linear layer, with batch normalisation."""

    def __init__(
        self,
        info: DatasetInfo,
        slots: Sequence[Slot],
        head: Head,
        options: ResNetOptions,
        rngs: nnx.Rngs,
    ):
        """Builds the network; see `ResNetOptions`."""
        *spatial, channels = info.input_shape
        axes, width = len(spatial), options.widths[0]
        pre = options.activation == "pre"
        stem, *between = slots if options.stem else (Slot("none"), *slots)
        self.slot = stem
        self.stem = _convolution(channels, width, axes, stem.stride, rngs)
        # In pre-activation form, the first block has its own norm, unless a pooling precedes it.
        self.stem_norm = None if pre and not options.stem else normalisation("batch", width, rngs)
        spatial = stem.shape(_maps(_strided(spatial, stem), width)).shape[1:-1]
        blocks, changes = [], []
        for stage, channels in enumerate(options.widths):
            for number in range((options.depth - 2) // (2 * len(options.widths))):
                change = between[stage - 1] if stage and not number else None
                blocks.append(_Block(width, channels, axes, change, options, rngs))
                changes.append(change)
                width = channels
            if stage:
                slot = between[stage - 1]
                spatial = slot.shape(_maps(_strided(spatial, slot), width)).shape[1:-1]
        self.blocks = nnx.List(blocks)
        self.last_norm = normalisation("batch", width, rngs) if pre else None
        self.head = head.build(width, spatial, rngs)
        self.classifier = linear(self.head.features, info.classes, rngs=rngs)
        self.pools = pools((stem, *changes), axes, rngs)

    def __call__(
        self, x: jax.Array, *, train: bool = False, key: jax.Array | None = None
    ) -> jax.Array:
        """Classifies images or signals.

        Args:
            x: Images (N, H, W, C) or signals (N, L, C).
            train: Whether to normalise by batch statistics and update the running ones.
            key: Random key of random poolings; None in evaluation.

        Returns:
            Logits (N, classes).
        """
        keys = [key_of(key, number) for number in range(len(self.pools))]
        x = self.stem(x)
        if self.stem_norm is not None:
            x = jax.nn.relu(normalised(x, self.stem_norm, train))
        x = self.slot(x, keys[0], self.pools[0])
        for block, pool, own in zip(self.blocks, self.pools[1:], keys[1:], strict=True):
            x = block(x, train, own, pool)
        if self.last_norm is not None:
            x = jax.nn.relu(normalised(x, self.last_norm, train))
        return self.classifier(self.head(x))


class _Block(nnx.Module):
    """Two 3x3 convolutions and a shortcut, with the slot, if any, between the convolutions."""

    def __init__(
        self,
        channels: int,
        width: int,
        axes: int,
        slot: Slot | None,
        options: ResNetOptions,
        rngs: nnx.Rngs,
    ):
        self.slot, self.pre = slot, options.activation == "pre"
        stride = slot.stride if slot else 1
        self.stride = (stride,) * axes if isinstance(stride, int) else stride
        self.first = _convolution(channels, width, axes, self.stride, rngs)
        self.second = _convolution(width, width, axes, 1, rngs)
        self.norms = nnx.List(
            normalisation("batch", size, rngs) for size in (channels if self.pre else width, width)
        )
        self.more = width - channels
        project = width != channels and options.shortcut == "projection"
        self.projection = _convolution(channels, width, axes, 1, rngs, size=1) if project else None
        self.projection_norm = (
            normalisation("batch", width, rngs) if project and not self.pre else None
        )

    def __call__(
        self, x: jax.Array, train: bool, key: jax.Array | None, pool: nnx.Module | None
    ) -> jax.Array:
        before, after = self.norms
        shortcut = x
        if self.pre:
            x = jax.nn.relu(normalised(x, before, train))
            if self.slot is not None:
                shortcut = x
            x = jax.nn.relu(normalised(self.first(x), after, train))
        else:
            x = jax.nn.relu(normalised(self.first(x), before, train))
        if self.slot is not None:
            x = self.slot(x, key, pool)
            shortcut = self._fitted(self.slot(shortcut, key_of(key, 1), pool), train)
        x = self.second(x)
        if self.pre:
            return x + shortcut
        return jax.nn.relu(normalised(x, after, train) + shortcut)

    def _fitted(self, x: jax.Array, train: bool) -> jax.Array:
        """The shortcut with the resolution and channels of the block's output."""
        x = _sampled(x, self.stride)
        if self.projection is not None:
            return normalised(self.projection(x), self.projection_norm, train)
        return jnp.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, self.more)])


def _convolution(
    channels: int,
    width: int,
    axes: int,
    stride: int | Sequence[int],
    rngs: nnx.Rngs,
    size: int = 3,
) -> Convolution:
    return Convolution(channels, width, kernel=(size,) * axes, stride=stride, bias=False, rngs=rngs)


def _sampled(x: jax.Array, stride: Sequence[int]) -> jax.Array:
    """Samples the centres of a 3x3 convolution with SAME padding and this stride."""
    index = [slice(None)]
    for size, step in zip(x.shape[1:-1], stride, strict=True):
        reach = (math.ceil(size / step) - 1) * step + 3
        index.append(slice(1 - max(reach - size, 0) // 2, None, step))
    return x[tuple(index)]


def _strided(spatial: Sequence[int], slot: Slot) -> list[int]:
    """The output shape of a convolution with the slot's stride."""
    stride = (slot.stride,) * len(spatial) if isinstance(slot.stride, int) else slot.stride
    return [math.ceil(size / step) for size, step in zip(spatial, stride, strict=True)]


def _maps(spatial: Sequence[int], width: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, *spatial, width), jnp.float32)
