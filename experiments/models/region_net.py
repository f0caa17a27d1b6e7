"""A region network, as Fast R-CNN: one feature map per scene, one vector per proposed box."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments import register
from experiments.data import DatasetInfo
from experiments.models import stage
from experiments.models.head import Head
from experiments.models.model import AnyHead, HeadOptions
from experiments.models.regions import REGION_HEADS
from experiments.models.slot import Slot
from experiments.section import PositiveInt


@register.model("region_net")
class RegionNetOptions(stage.StagedOptions):
    """`[model]`: the stages of `small_cnn`, then a pooling over boxes and a perceptron per box.

    Every box's vector also holds its corners, as shares of the scene's sides.

    Attributes:
        head: The pooling over boxes: `"roi_pool"`, `"roi_align"`, `"ps_roi_pool"`,
            `"ps_roi_align"`, `"spatial_pyramid"`, or `"global"` for the whole map.
        kernel: Size of every convolution's kernel.
        hidden: Units of the hidden layer that reads each box's vector.
    """

    name: str = "region_net"
    head: AnyHead = HeadOptions(pool="roi_align")
    kernel: PositiveInt = 3
    hidden: PositiveInt = 128

    kinds = frozenset({"scene"})
    heads = REGION_HEADS

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> "RegionNet":
        """The network for scenes with proposals."""
        return RegionNet(info, slots, head, self, rngs)


class RegionNet(nnx.Module):
    """Stages of convolution and pooling, a pooling over boxes, then classes and deltas per box."""

    def __init__(
        self,
        info: DatasetInfo,
        slots: Sequence[Slot],
        head: Head,
        options: RegionNetOptions,
        rngs: nnx.Rngs,
    ):
        """Builds the network; see `RegionNetOptions`."""
        kernel = (options.kernel,) * 2
        self.stages, spatial, channels = stage.built(options, info.input_shape, slots, kernel, rngs)
        self.head = head.build(channels, spatial, rngs, REGION_HEADS)
        self.hidden = nnx.Linear(self.head.features + 4, options.hidden, rngs=rngs)
        self.classifier = nnx.Linear(options.hidden, info.classes, rngs=rngs)
        self.regressor = nnx.Linear(options.hidden, 4, rngs=rngs)
        self.pools = stage.pools(slots, len(spatial), rngs)

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
        x = stage.through(self.stages, self.pools, x, train, key)
        on_map = places * jnp.array([x.shape[2], x.shape[1]] * 2, boxes.dtype)
        vectors = jnp.concatenate([self.head(x, on_map), places.astype(x.dtype)], -1)
        hidden = jax.nn.relu(self.hidden(vectors))
        return {"class": self.classifier(hidden), "delta": self.regressor(hidden)}
