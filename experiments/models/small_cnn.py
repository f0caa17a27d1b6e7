"""A small convolutional network with a pooling slot after each stage."""

from collections.abc import Sequence
from typing import Literal

import jax
from flax import nnx

from experiments import register
from experiments.data import DatasetInfo
from experiments.models import stage
from experiments.models.convolution import linear
from experiments.models.head import Head
from experiments.models.slot import ModelError, Slot
from experiments.section import Sizes


@register.model("small_cnn")
class SmallCNNOptions(stage.StagedOptions):
    """`[model]`: stages of convolution, normalisation, ReLU and pooling, then head and classifier.

    Attributes:
        kernel: Size of every convolution's kernel: one integer, or one per spatial axis.
        initializer: Initializer of the weights: `"he"`, or `"torch"` for that of PyTorch's layers.
    """

    name: str = "small_cnn"
    kernel: Sizes = 3
    initializer: Literal["he", "torch"] = "he"

    kinds = frozenset({"image", "signal"})
    takes_extra_convolutions = True

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> "SmallCNN":
        """The network for images or signals."""
        return SmallCNN(info, slots, head, self, rngs)


class SmallCNN(nnx.Module):
    """Stages of convolution, normalisation, ReLU and pooling, then a head and a linear layer.

    With a global head, such as the average, the parameters do not depend on the resolution after
    the poolings. Variants that differ in pooling then have the same parameters with the same
    initial values, except for the parameters of learned poolings.
    """

    def __init__(
        self,
        info: DatasetInfo,
        slots: Sequence[Slot],
        head: Head,
        options: SmallCNNOptions,
        rngs: nnx.Rngs,
    ):
        """Builds the network; see `SmallCNNOptions`."""
        axes, kernel, initializer = len(info.input_shape) - 1, options.kernel, options.initializer
        kernel = (kernel,) * axes if isinstance(kernel, int) else kernel
        if len(kernel) != axes:
            raise ModelError(
                f"model.kernel = {kernel}: must have one size per spatial axis; there are {axes}"
            )
        self.stages, spatial, channels = stage.built(
            options, info.input_shape, slots, kernel, rngs, initializer
        )
        self.head = head.build(channels, spatial, rngs)
        self.classifier = linear(
            self.head.features, info.classes, initializer=initializer, rngs=rngs
        )
        self.pools = stage.pools(slots, axes, rngs)

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
        return self.classifier(self.head(stage.through(self.stages, self.pools, x, train, key)))
