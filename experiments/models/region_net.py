"""A region network, as Fast R-CNN: one feature map per scene, one vector per proposed box."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from experiments import register
from experiments.data import DatasetInfo
from experiments.models.head import Head
from experiments.models.model import AnyHead, HeadOptions, ModelOptions
from experiments.models.regions import REGION_HEADS
from experiments.models.slot import Slot
from experiments.models.stage import Stage
from experiments.section import PositiveInt, Widths


@register.model("region_net")
class RegionNetOptions(ModelOptions):
    """`[model]`: the stages of `small_cnn`, then a pooling over boxes and a perceptron per box.

    Every box's vector also holds its corners, as shares of the scene's sides.

    Attributes:
        head: The pooling over boxes: `"roi_pool"`, `"roi_align"`, `"ps_roi_pool"`,
            `"ps_roi_align"`, `"spatial_pyramid"`, or `"global"` for the whole map.
        widths: Channels of each stage; as many stages as widths.
        convolutions: Convolutions per stage; the last one takes the stride of `"strided"`.
        kernel: Size of every convolution's kernel.
        norm: The normalisation after each convolution.
        hidden: Units of the hidden layer that reads each box's vector.
    """

    name: str = "region_net"
    head: AnyHead = HeadOptions(pool="roi_align")
    widths: Widths
    convolutions: PositiveInt = 1
    kernel: PositiveInt = 3
    norm: Literal["batch", "layer", "none"] = "batch"
    hidden: PositiveInt = 128

    kinds = frozenset({"scene"})
    heads = REGION_HEADS

    @property
    def stages(self) -> int:
        """One pooling per width."""
        return len(self.widths)

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> "RegionNet":
        """The network for scenes with proposals."""
        return RegionNet(
            info,
            slots,
            head,
            widths=self.widths,
            convolutions=self.convolutions,
            kernel=self.kernel,
            norm=self.norm,
            hidden=self.hidden,
            rngs=rngs,
        )


class RegionNet(nnx.Module):
    """Stages of convolution and pooling, a pooling over boxes, then classes and deltas per box."""

    def __init__(
        self,
        info: DatasetInfo,
        slots: Sequence[Slot],
        head: Head,
        *,
        widths: Sequence[int],
        convolutions: int,
        kernel: int,
        norm: str,
        hidden: int,
        rngs: nnx.Rngs,
    ):
        """Builds the network; see `RegionNetOptions`."""
        *spatial, channels = info.input_shape
        stages = []
        for width, slot in zip(widths, slots, strict=True):
            stages.append(
                Stage(channels, width, slot, convolutions, (kernel,) * 2, norm, "he", rngs)
            )
            spatial, channels = stages[-1].shape(spatial, width)
        self.stages = nnx.List(stages)
        self.head = head.build(channels, spatial, rngs, REGION_HEADS)
        self.hidden = nnx.Linear(self.head.features + 4, hidden, rngs=rngs)
        self.classifier = nnx.Linear(hidden, info.classes, rngs=rngs)
        self.regressor = nnx.Linear(hidden, 4, rngs=rngs)
        # Last, so that what these draw changes nothing that all variants share.
        self.pools = nnx.List(slot.module(rngs, len(spatial)) for slot in slots)

    def __call__(
        self, inputs: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> dict[str, jax.Array]:
        """Says what each region shows, and how its box is to be corrected.

        Args:
            inputs: `image` (N, S, S, 1), and proposals `boxes` (N, R, 4) in pixels.
            train: Whether normalisation uses, and updates from, the batch's own statistics.
            key: Randomness for poolings that draw in training.

        Returns:
            Logits `class` (N, R, classes), and `delta` (N, R, 4); see `experiments.boxes`.
        """
        x, boxes = inputs["image"], inputs["boxes"]
        places = boxes / jnp.array([x.shape[2], x.shape[1]] * 2, boxes.dtype)
        for number, (stage, pool) in enumerate(zip(self.stages, self.pools, strict=True)):
            x = stage(x, train, None if key is None else jax.random.fold_in(key, number), pool)
        on_map = places * jnp.array([x.shape[2], x.shape[1]] * 2, boxes.dtype)
        vectors = jnp.concatenate([self.head(x, on_map), places], -1)
        hidden = jax.nn.relu(self.hidden(vectors))
        return {"class": self.classifier(hidden), "delta": self.regressor(hidden)}
