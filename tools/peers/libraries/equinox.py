"""Equinox: the layers of `equinox.nn`, mapped over the batch, with channels first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tools.peers.libraries import on_jax
from tools.peers.library import Adapter, Library, named, pairs, per_axis


def _apply(layer: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    return jnp.moveaxis(jax.vmap(layer)(jnp.moveaxis(x, -1, 1)), 1, -1)


def _geometry(x: jax.Array, window_shape: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Translates the arguments for Equinox; arguments that it does not support stay unchanged."""
    axes = x.ndim - 2
    window = per_axis(window_shape, axes)
    renamed = {"strides": "stride", "ceil_mode": "use_ceil"}
    handed_on = {renamed.get(name, name): value for name, value in options.items()}
    return {"stride": window, **handed_on} | {
        "kernel_size": window,
        "padding": pairs(options.get("padding", 0), axes),
    }


def _layer(kind: str, x: jax.Array, window_shape: Any, options: dict[str, Any]) -> jax.Array:
    build = named(equinox.nn, f"{kind}{x.ndim - 2}d")
    return _apply(build(**_geometry(x, window_shape, options)), x)


def _max_pool(x: jax.Array, window_shape: Any, **options: Any) -> jax.Array:
    return _layer("MaxPool", x, window_shape, options)


def _avg_pool(x: jax.Array, window_shape: Any, **options: Any) -> jax.Array:
    return _layer("AvgPool", x, window_shape, options)


def _pool(init: float, operation: Any) -> Callable[..., jax.Array]:
    def pool(x: jax.Array, window_shape: Any, **options: Any) -> jax.Array:
        geometry = _geometry(x, window_shape, options)
        layer = equinox.nn.Pool(_number(init, x.dtype), operation, x.ndim - 2, **geometry)
        return _apply(layer, x)

    return pool


def _number(value: float, dtype: Any) -> Any:
    """A number in the dtype; infinity becomes the largest number of an integer dtype."""
    if np.isinf(value) and jnp.issubdtype(dtype, jnp.integer):
        return jnp.iinfo(dtype).max
    return dtype.type(value)


_sum_pool = _pool(0.0, lax.add)
_min_pool = _pool(float("inf"), lax.min)


def _reduce_window(
    x: jax.Array, init: float, computation: Any, dimensions: Any, **options: Any
) -> jax.Array:
    batch, *window, channels = dimensions
    if batch != 1 or channels != 1:
        window = dimensions  # Equinox refuses it
    _, *strides, _ = options.pop("window_strides", (1,) * x.ndim)
    _, *padding, _ = options.pop("padding", ((0, 0),) * x.ndim)
    layer = equinox.nn.Pool(
        _number(init, x.dtype),
        computation,
        x.ndim - 2,
        tuple(window),
        tuple(strides),
        tuple(padding),
        **options,
    )
    return _apply(layer, x)


def _adaptive(kind: str) -> Callable[..., jax.Array]:
    def pool(x: jax.Array, output_shape: Any, **options: Any) -> jax.Array:
        axes = x.ndim - 2
        build = named(equinox.nn, f"Adaptive{kind}Pool{axes}d")
        return _apply(build(per_axis(output_shape, axes), **options), x)

    return pool


def _whole(pool: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    def whole(x: jax.Array) -> jax.Array:
        return pool(x, x.shape[1:-1]).reshape(x.shape[0], x.shape[-1])

    return whole


def _masked(x: jax.Array, operator: str, **options: Any) -> jax.Array:
    kind = "MaxPool" if "max" in operator else "AvgPool"
    return _layer(kind, x, options.pop("window_shape", x.shape[1:-1]), options)


LIBRARY = Library(
    name="equinox",
    packages=("equinox", "jax"),
    modules=("equinox.nn", "equinox"),
    evaluate=on_jax.evaluate,
    adapters={
        "max_pool": Adapter(_max_pool, ("equinox.nn.MaxPool?d",)),
        "min_pool": Adapter(_min_pool, ("equinox.nn.Pool",)),
        "avg_pool": Adapter(_avg_pool, ("equinox.nn.AvgPool?d",)),
        "sum_pool": Adapter(_sum_pool, ("equinox.nn.Pool",)),
        "reduce_window": Adapter(_reduce_window, ("equinox.nn.Pool",)),
        "global_max_pool": Adapter(_whole(_max_pool), ("equinox.nn.MaxPool?d",)),
        "global_min_pool": Adapter(_whole(_min_pool), ("equinox.nn.Pool",)),
        "global_avg_pool": Adapter(_whole(_avg_pool), ("equinox.nn.AvgPool?d",)),
        "global_sum_pool": Adapter(_whole(_sum_pool), ("equinox.nn.Pool",)),
        "adaptive_max_pool": Adapter(
            _adaptive("Max"), ("equinox.nn.AdaptiveMaxPool?d",), ("equinox.nn.AdaptivePool",)
        ),
        "adaptive_avg_pool": Adapter(_adaptive("Avg"), ("equinox.nn.AdaptiveAvgPool?d",)),
        "masks": Adapter(_masked, ("equinox.nn.MaxPool?d", "equinox.nn.AvgPool?d")),
    },
)
