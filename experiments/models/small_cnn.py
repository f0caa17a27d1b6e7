"""A small convolutional network with a pooling slot after each stage."""

from collections.abc import Sequence
from typing import Literal

import jax
from flax import nnx

from experiments import register
from experiments.data import DatasetInfo
from experiments.models.convolution import linear
from experiments.models.head import Head
from experiments.models.model import ModelOptions
from experiments.models.slot import ModelError, Slot
from experiments.models.stage import Stage
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
