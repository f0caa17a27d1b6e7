r"""Your own poolings: a function, and a module that learns.

    python -m experiments run examples/plugins.toml --plugin examples/dataset_plugin.py \
        --plugin examples/pooling_plugin.py --plugin examples/model_plugin.py

The config names what this file registers; the command line names the file.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import jaxpool
from experiments import register


@register.pooling("range_pool")
def range_pool(
    x: jax.Array, window_shape: Any, *, strides: Any = None, padding: Any = "VALID"
) -> jax.Array:
    """The largest less the smallest value of every window.

    `window`, `stride` and `padding` of a config become the arguments of these names.
    """
    given = {"strides": strides, "padding": padding}
    return jaxpool.max_pool(x, window_shape, **given) - jaxpool.min_pool(x, window_shape, **given)


@register.pooling("channel_gate_pool")
class ChannelGatePool(nnx.Module):
    """Between maximum and mean, with one learned weight per channel.

    A class is built with the arguments of the config, then called on feature maps.
    """

    def __init__(self, window_shape: Sequence[int], *, channels: int, start: float = 0.0):
        self.window = tuple(window_shape)
        self.gate = nnx.Param(jnp.full(channels, start))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Pools feature maps (N, H, W, C)."""
        weight = jax.nn.sigmoid(self.gate[...])
        largest, mean = jaxpool.max_pool(x, self.window), jaxpool.avg_pool(x, self.window)
        return weight * largest + (1 - weight) * mean
