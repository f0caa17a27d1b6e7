r"""Your own network: one convolution of 5x5, a pooling slot, a head.

    python -m experiments run examples/plugins.toml --plugin examples/dataset_plugin.py \
        --plugin examples/pooling_plugin.py --plugin examples/model_plugin.py

The command line names this file; the config names the network that it registers.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from experiments import register
from experiments.data import DatasetInfo
from experiments.models import Head, ModelOptions, Slot
from experiments.section import PositiveInt


@register.model("one_layer")
class OneLayerOptions(ModelOptions):
    """`[model] name = "one_layer"`. Each field is a key of `[model]`."""

    name: str = "one_layer"
    width: PositiveInt = 8

    kinds = frozenset({"image"})

    @property
    def stages(self) -> int:
        """Number of pooling slots."""
        return 1

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> nnx.Module:
        """Builds the network for the shape of the images and one pooling."""
        return OneLayer(self, info, slots[0], head, rngs)


class OneLayer(nnx.Module):
    """Convolution, ReLU and pooling, then the head and a linear classifier."""

    def __init__(self, options, info, slot: Slot, head: Head, rngs: nnx.Rngs):
        *spatial, channels = info.input_shape
        # The stride is 1, unless the config says pool = "strided".
        self.convolution = nnx.Conv(channels, options.width, (5, 5), slot.stride, rngs=rngs)
        image = jax.ShapeDtypeStruct((1, *info.input_shape), jnp.float32)
        pooled = slot.shape(jax.eval_shape(self.convolution, image)).shape
        self.head = head.build(pooled[-1], pooled[1:-1], rngs)
        self.classifier = nnx.Linear(self.head.features, info.classes, rngs=rngs)
        self.slot, self.pool = slot, slot.module(rngs, len(spatial))  # pool: its parameters

    def __call__(self, x: jax.Array, *, train: bool = False, key: jax.Array | None = None):
        """Logits (N, classes) of images (N, H, W, C)."""
        x = self.slot(jax.nn.relu(self.convolution(x)), key, self.pool)
        return self.classifier(self.head(x))
