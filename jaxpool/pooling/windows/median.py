"""Median pooling."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxpool import engine
from jaxpool.checks import Ints, Padding
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules import primitives
from jaxpool.monoid import MAX, SUM
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.pooling.windows._sort_keys import sort_keys
from jaxpool.window import Window

# Largest number of taps for which comparing all pairs is faster than a search bit by bit.
PAIRWISE = 25


@explicit_sharding()
def median_pool(
    x: ArrayLike,
    window_shape: Ints,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The median of every window; the lower median for an even number of elements.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = sorted(the n elements of window o)[(n - 1) // 2]

    The derivative goes to the first element in row-major order that is equal to the median. If a
    window contains NaN, its result is NaN.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, of the shape that `max_pool` returns. A window without an element
        gives 0 (False for bool).

    Raises:
        TypeError: As in `max_pool`.
        ValueError: As in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import median_pool
        >>> x = jnp.array([3.0, 9.0, 1.0, 2.0, 2.0, 7.0]).reshape(1, 6, 1)
        >>> median_pool(x, 3, strides=1)[0, :, 0]
        Array([3., 2., 2., 2.], dtype=float32)

    When to use:
        To remove outliers, such as dead pixels or salt-and-pepper noise, without blurring edges.

    Source:
        Tukey's running median; `scipy.ndimage.median_filter`, which takes the upper median of even
        windows.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry)
    return _median(x, where, window)


@functools.partial(jax.jit, static_argnames="window", inline=True)
def _median(x: jax.Array, where: jax.Array | None, window: Window) -> jax.Array:
    masks = () if where is None else (where,)
    return engine.choose(x, window, _median_tap(x, *masks, window=window))


def _median_tap_code(x: jax.Array, *masks: jax.Array, window: Window, target: Target) -> jax.Array:
    """The index of the first tap that reads the median; `window.taps` for an empty window."""
    del target
    exists = engine.ones(window, x.ndim, np.dtype(bool)) if not masks else masks[0]
    keys = sort_keys(x)
    last = np.array(np.iinfo(keys.dtype).max, keys.dtype)
    keys = jnp.where(exists, keys, last)
    rank = (engine.reduce(exists.astype(np.int32), SUM, window) - 1) // 2
    median = (_pairwise if window.taps <= PAIRWISE else _bitwise)(keys, last, rank, window)
    none, arrays = np.int32(window.taps), [(keys, last), (exists, False)]
    spoilt: Any = False
    if jnp.issubdtype(x.dtype, jnp.floating):
        nan = jnp.isnan(x) & exists
        spoilt = engine.reduce(nan, MAX, window)
        arrays.append((nan, False))

    def first(
        found: jax.Array, number: Any, key: jax.Array, exists: jax.Array, *nan: jax.Array
    ) -> jax.Array:
        hit = exists & (key == median)
        hit = jnp.where(spoilt, nan[0], hit) if nan else hit
        return jnp.where((found == none) & hit, number, found)

    return engine.Taps(window, *arrays).fold(first, jnp.full(median.shape, none))


_median_tap = primitives.search("jaxpool_median_tap", _median_tap_code, ["window"])


def _pairwise(keys: jax.Array, last: np.ndarray, rank: jax.Array, window: Window) -> jax.Array:
    """The key of rank `rank` in every window, by comparing all pairs; equal keys rank by tap."""
    every = [key for (key,) in engine.Taps(window, (keys, last)).every()]
    result = jnp.full(window.output_shape(keys.shape), 0, keys.dtype)
    for i, key in enumerate(every):
        before = sum(
            (other <= key if j < i else other < key).astype(np.int32)
            for j, other in enumerate(every)
            if j != i
        )
        result = jnp.where(before == rank, key, result)
    return result


def _bitwise(keys: jax.Array, last: np.ndarray, rank: jax.Array, window: Window) -> jax.Array:
    """The key of rank `rank` in every window, by a binary search from the highest bit down."""
    bits, taps = 8 * keys.dtype.itemsize, engine.Taps(window, (keys, last))
    zeros = jnp.zeros(window.output_shape(keys.shape), np.int32)

    def settle(i: Any, result: jax.Array) -> jax.Array:
        candidate = result | (np.array(1 << (bits - 1), keys.dtype) >> i.astype(keys.dtype))
        smaller = taps.fold(lambda count, _, key: count + (key < candidate), zeros)
        return jnp.where(smaller <= rank, candidate, result)

    return lax.fori_loop(0, bits, settle, zeros.astype(keys.dtype))
