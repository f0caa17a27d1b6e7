"""Flax: the pooling functions of `flax.nnx`, which `flax.linen` has too."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx
from jax import lax

from tools.peers.libraries import on_jax
from tools.peers.library import Adapter, Library, pairs, per_axis


def _geometry(x: jax.Array, window_shape: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Translates the arguments for Flax; arguments that it does not support stay unchanged."""
    window = per_axis(window_shape, x.ndim - 2)
    return options | {
        "window_shape": window,
        "strides": per_axis(options.get("strides", window), len(window)),
        "padding": pairs(options.get("padding", "VALID"), len(window)),
    }


def _max_pool(x: jax.Array, window_shape: Any, **options: Any) -> jax.Array:
    return nnx.max_pool(x, **_geometry(x, window_shape, options))


def _min_pool(x: jax.Array, window_shape: Any, **options: Any) -> jax.Array:
    return nnx.min_pool(x, **_geometry(x, window_shape, options))


def _avg_pool(x: jax.Array, window_shape: Any, **options: Any) -> jax.Array:
    return nnx.avg_pool(x, **_geometry(x, window_shape, options))


def _sum_pool(x: jax.Array, window_shape: Any, **options: Any) -> jax.Array:
    return nnx.pool(x, x.dtype.type(0), lax.add, **_geometry(x, window_shape, options))


def _reduce_window(
    x: jax.Array, init: float, computation: Any, dimensions: Any, **options: Any
) -> jax.Array:
    batch, *window, channels = dimensions
    if batch == channels == 1:
        _, *strides, _ = options.pop("window_strides", (1,) * x.ndim)
        _, *padding, _ = options.pop("padding", ((0, 0),) * x.ndim)
        options |= {"strides": tuple(strides), "padding": tuple(padding)}
    else:  # Flax refuses it
        window = dimensions
        options |= {"strides": (1,) * x.ndim, "padding": "VALID"}
    return nnx.pool(x, x.dtype.type(init), computation, tuple(window), **options)


def _whole(x: jax.Array) -> tuple[int, ...]:
    return x.shape[1:-1]


def _without_axes(y: jax.Array) -> jax.Array:
    return y.reshape(y.shape[0], y.shape[-1])


def _masked(x: jax.Array, operator: str, **options: Any) -> jax.Array:
    pool = nnx.max_pool if "max" in operator else nnx.avg_pool
    window = options.pop("window_shape", None)
    window = _whole(x) if window is None else per_axis(window, x.ndim - 2)
    return pool(x, window, strides=window, **options)


LIBRARY = Library(
    name="flax",
    packages=("flax", "jax"),
    modules=("flax.nnx", "flax.linen", "flax.linen.pooling"),
    evaluate=on_jax.evaluate,
    adapters={
        "max_pool": Adapter(_max_pool, ("flax.nnx.max_pool",), ("flax.linen*.max_pool",)),
        "min_pool": Adapter(_min_pool, ("flax.nnx.min_pool",), ("flax.linen*.min_pool",)),
        "avg_pool": Adapter(_avg_pool, ("flax.nnx.avg_pool",), ("flax.linen*.avg_pool",)),
        "sum_pool": Adapter(_sum_pool, ("flax.nnx.pool",)),
        "reduce_window": Adapter(_reduce_window, ("flax.nnx.pool",), ("flax.linen*.pool",)),
        "global_max_pool": Adapter(
            lambda x: _without_axes(nnx.max_pool(x, _whole(x))), ("flax.nnx.max_pool",)
        ),
        "global_min_pool": Adapter(
            lambda x: _without_axes(nnx.min_pool(x, _whole(x))), ("flax.nnx.min_pool",)
        ),
        "global_avg_pool": Adapter(
            lambda x: _without_axes(nnx.avg_pool(x, _whole(x))), ("flax.nnx.avg_pool",)
        ),
        "global_sum_pool": Adapter(
            lambda x: _without_axes(_sum_pool(x, _whole(x))), ("flax.nnx.pool",)
        ),
        "masks": Adapter(_masked, ("flax.nnx.max_pool", "flax.nnx.avg_pool")),
    },
    aside={"a reduction of whole axes": ("flax.*.logsumexp",)},
)
