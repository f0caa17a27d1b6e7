r"""Your own poolings: a function, and a module with parameters.

    python -m experiments run examples/plugins.toml --plugin examples/dataset_plugin.py \
        --plugin examples/pooling_plugin.py --plugin examples/model_plugin.py

The command line names this file; the config names the poolings that it registers.
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
    """The largest minus the smallest value of every window.

    `window`, `stride` and `padding` of the config become `window_shape`, `strides` and `padding`.
    """
    given = {"strides": strides, "padding": padding}
    return jaxpool.max_pool(x, window_shape, **given) - jaxpool.min_pool(x, window_shape, **given)


@register.pooling("channel_gate_pool")
class ChannelGatePool(nnx.Module):
    """A weighted mean of maximum and average, with one learned weight per channel.

    The lab constructs the class with the arguments of the config, then calls it on feature maps.
    """

    def __init__(self, window_shape: Sequence[int], *, channels: int, start: float = 0.0):
        self.window = tuple(window_shape)
        self.gate = nnx.Param(jnp.full(channels, start))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Pools feature maps (N, H, W, C)."""
        weight = jax.nn.sigmoid(self.gate[...])
        largest, mean = jaxpool.max_pool(x, self.window), jaxpool.avg_pool(x, self.window)
        return weight * largest + (1 - weight) * mean
