"""The networks of "Striving for simplicity: the all convolutional net", and variations of them.

Springenberg, Dosovitskiy, Brox and Riedmiller, 2015, compare four forms of one network; here they
are variants of one config:

    [variants.base]        pool = "max_pool", window = 3, stride = 2, padding = "SAME"
    [variants.strided]     pool = "strided"
    [variants.conv_pool]   as base, and extra_convolutions = 1
    [variants.all_conv]    pool = "strided", extra_convolutions = 1
"""

from collections.abc import Sequence
from typing import Literal

import jax
from flax import nnx

from experiments import register
from experiments.data import DatasetInfo
from experiments.models.convolution import Convolution, linear
from experiments.models.dropout import dropout
from experiments.models.head import Head
from experiments.models.slot import ModelError, Slot
from experiments.models.stage import (
    StagedOptions,
    built,
    key_of,
    normalisation,
    normalised,
    pools,
)
from experiments.section import PositiveInt, Share, Widths


@register.model("all_cnn")
class AllCNNOptions(StagedOptions):
    """`[model]`: Springenberg's base C: stages of 3x3 convolutions, then 3x3, 1x1 and classifier.

    Attributes:
        widths: Channels of each stage; the convolutions after the stages have those of the last
            one.
        norm: The normalisation after each convolution; the published networks have none.
        input_dropout: The share of input values dropped in training.
        dropout: The share of values dropped in training after each pooling slot.
    """

    name: str = "all_cnn"
    widths: Widths = (96, 192)
    convolutions: PositiveInt = 2
    norm: Literal["none", "batch", "layer"] = "none"
    input_dropout: Share = 0.2
    dropout: Share = 0.5

    kinds = frozenset({"image", "signal"})
    takes_extra_convolutions = True

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> "AllCNN":
        """The network for images or signals."""
        return AllCNN(info, slots, head, self, rngs)


class AllCNN(nnx.Module):
    """Stages of convolutions and a pooling slot, then two convolutions, a head and a linear layer.

    The published network ends with a 1x1 convolution to the classes and an average over positions;
    a linear layer after the average is equivalent. The ReLU between the two in the paper's table is
    left out, since logits would then never be negative.
    """

    def __init__(
        self,
        info: DatasetInfo,
        slots: Sequence[Slot],
        head: Head,
        options: AllCNNOptions,
        rngs: nnx.Rngs,
    ):
        """Builds the network; see `AllCNNOptions`."""
        axes, norm = len(info.input_shape) - 1, options.norm
        self.stages, spatial, channels = built(options, info.input_shape, slots, (3,) * axes, rngs)
        if min(spatial) < 3:
            shape = "x".join(map(str, spatial))
            raise ModelError(
                f"{slots[-1].place or 'all_cnn'}: leaves a feature map of {shape}, and the 3x3 "
                "convolution without padding that follows needs 3 positions per axis"
            )
        width = options.widths[-1]
        self.last = nnx.List(
            Convolution(
                size_in,
                width,
                kernel=(size,) * axes,
                bias=norm == "none",
                initializer="he",
                rngs=rngs,
            )
            for size_in, size in ((channels, 3), (width, 1))
        )
        self.norms = nnx.List(normalisation(norm, width, rngs) for _ in self.last)
        self.head = head.build(width, [size - 2 for size in spatial], rngs)
        self.classifier = linear(self.head.features, info.classes, rngs=rngs)
        self.rates = options.input_dropout, options.dropout
        self.pools = pools(slots, axes, rngs)

    def __call__(
        self, x: jax.Array, *, train: bool = False, key: jax.Array | None = None
    ) -> jax.Array:
        """Classifies images or signals.

        Args:
            x: Images (N, H, W, C) or signals (N, L, C).
            train: Whether to normalise by batch statistics and update the running ones.
            key: Random key of dropout and of random poolings; None disables both.

        Returns:
            Logits (N, classes).
        """
        of_input, of_stages = self.rates
        x = dropout(x, of_input, key)
        for number, (stage, pool) in enumerate(zip(self.stages, self.pools, strict=True)):
            x = stage(x, train, key_of(key, number), pool)
            x = dropout(x, of_stages, key, 1 + number)
        for number, (convolution, norm) in enumerate(zip(self.last, self.norms, strict=True)):
            x = convolution(x)
            if number == 0:  # A valid convolution is the inner part of one with SAME padding.
                x = x[(slice(None), *[slice(1, -1)] * (x.ndim - 2))]
            x = jax.nn.relu(normalised(x, norm, train))
        return self.classifier(self.head(x))
