"""Operators written in plain JAX, without this library: the contender `lax`.

Each is exact for inputs without overflow. None handles overflow or has a custom derivative.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from catalogue import Map
from experiments.bench.calls import Call
from experiments.bench.contenders.compiled import Function

Reduction = Callable[[jax.Array, int, int], jax.Array]


def of(call: Call) -> Function | None:
    """An operator in plain JAX operations.

    Args:
        call: The operator, and the map with its window.

    Returns:
        A function of x; None if the operator takes more than a few JAX operations (uneven bins).
    """
    on = Map(call.shape, call.window, call.strides)
    name = call.operator
    if name in _WHOLE:
        return _WHOLE[name]
    if name in _WINDOWED:
        reduction = _WINDOWED[name]
        return lambda x: reduction(x, on.window, on.strides)
    if name in _BINS:
        return _even_bins(_BINS[name], on.shape[1:3], on.outputs)
    if name == "spatial_pyramid_pool":
        levels = [_even_bins(_max, on.shape[1:3], (level, level)) for level in (1, 2, 4)]
        return None if None in levels else lambda x: _flat([pool(x) for pool in levels if pool])
    return None


def _reduce(x: jax.Array, window: Any, strides: Any, initial: float, combine: Any) -> jax.Array:
    spatial = [size if isinstance(size, tuple) else (size, size) for size in (window, strides)]
    sizes, steps = ((1, *size, 1) for size in spatial)
    return lax.reduce_window(x, np.asarray(initial, x.dtype), combine, sizes, steps, "VALID")


def _max(x: jax.Array, window: Any, strides: Any) -> jax.Array:
    return _reduce(x, window, strides, -jnp.inf, lax.max)


def _min(x: jax.Array, window: Any, strides: Any) -> jax.Array:
    return _reduce(x, window, strides, jnp.inf, lax.min)


def _sum(x: jax.Array, window: Any, strides: Any) -> jax.Array:
    return _reduce(x, window, strides, 0.0, lax.add)


def _mean(x: jax.Array, window: Any, strides: Any) -> jax.Array:
    taps = window * window if isinstance(window, int) else window[0] * window[1]
    return _sum(x, window, strides) / taps


def _softened(x: jax.Array, window: Any, strides: Any) -> jax.Array:
    weights = jnp.exp(x)
    return _sum(weights * x, window, strides) / _sum(weights, window, strides)


def _even_bins(
    reduction: Reduction, sizes: tuple[int, ...], bins: tuple[int, int]
) -> Function | None:
    """Bins of equal size as a window with a stride of its length; None if bins are uneven."""
    if any(size % count for size, count in zip(sizes, bins, strict=True)):
        return None
    window: Any = tuple(size // count for size, count in zip(sizes, bins, strict=True))
    return lambda x: reduction(x, window, window)


def _flat(parts: list[jax.Array]) -> jax.Array:
    return jnp.concatenate([part.reshape(part.shape[0], -1) for part in parts], axis=-1)


_WINDOWED: dict[str, Reduction] = {
    "max_pool": _max,
    "min_pool": _min,
    "sum_pool": _sum,
    "avg_pool": _mean,
    "lp_pool": lambda x, k, s: jnp.sqrt(_sum(x * x, k, s)),
    "gem_pool": lambda x, k, s: jnp.cbrt(_mean(jnp.maximum(x, 1e-6) ** 3, k, s)),
    "soft_pool": _softened,
    "logsumexp_pool": lambda x, k, s: jnp.log(_mean(jnp.exp(x), k, s)),
    "mixed_pool": lambda x, k, s: (_max(x, k, s) + _mean(x, k, s)) / 2,
    "reduce_window": lambda x, k, s: _reduce(x, k, s, 1.0, lax.mul),
}
_WHOLE: dict[str, Function] = {
    "global_max_pool": lambda x: x.max((1, 2)),
    "global_min_pool": lambda x: x.min((1, 2)),
    "global_sum_pool": lambda x: x.sum((1, 2)),
    "global_avg_pool": lambda x: x.mean((1, 2)),
    "global_lp_pool": lambda x: jnp.sqrt((x * x).sum((1, 2))),
}
_BINS: dict[str, Reduction] = {"adaptive_max_pool": _max, "adaptive_avg_pool": _mean}
