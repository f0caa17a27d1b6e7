"""Top-k pooling: the mean or the sum of the k largest elements of every window."""

from __future__ import annotations

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxpool import checks, engine
from jaxpool.checks import Ints, Padding
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules import primitives
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.pooling.windows._sort_keys import sort_keys
from jaxpool.window import Window

REDUCTIONS = ("mean", "sum")

# Largest k whose elements are added one by one. For larger k they are stacked in one array and
# summed, which bounds the program size: k = 64 compiles to no more operations than k = 9.
UNROLLED = 8


@explicit_sharding()
def top_k_pool(
    x: ArrayLike,
    window_shape: Ints,
    k: int,
    *,
    reduce: Literal["mean", "sum"] = "mean",
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The mean or the sum of the k largest elements of every window.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = mean (or sum) of the k largest of x_t,    x_t = x[o * stride + t * dilation - low]

    k = 1 gives the maximum. k = the number of taps gives the average (or sum) over the elements of
    the window. A window with fewer than k elements uses all of them. Of equal elements, the first
    ones in row-major order are used. The derivative is divided equally among the used elements
    (mean) or goes to each of them in full (sum). NaN counts as the largest element, so a window
    that contains NaN gives NaN. Floats narrower than float32 are accumulated in float32. A gradient
    needs temporaries of about k times the size of `x`.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments after `reduce`.
        k: Number of elements to use, from 1 to the number of taps of the window.
        reduce: `"mean"` or `"sum"`.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add (never used).
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, of the shape that `max_pool` returns. A window without an element
        gives 0.

    Raises:
        TypeError: As in `max_pool`; or `x` is not of a floating dtype, or `k` is not an int.
        ValueError: As in `max_pool`; or `k` is not between 1 and the number of taps, or `reduce` is
            neither `"mean"` nor `"sum"`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import top_k_pool
        >>> x = jnp.array([1.0, 5.0, 3.0, 2.0, 2.0, 8.0]).reshape(1, 6, 1)
        >>> top_k_pool(x, 3, k=2)[0, :, 0]
        Array([4., 5.], dtype=float32)
        >>> top_k_pool(x, 3, k=2, reduce="sum")[0, :, 0]
        Array([ 8., 10.], dtype=float32)

    When to use:
        When a few strong responses should determine the result: evidence at several positions of a
        map, or a maximum that is robust to one outlier. With the whole map as the window, it
        computes class scores for weakly supervised detection.

    Source:
        Durand, Mordan, Thome and Cord, "WILDCAT: weakly supervised learning of deep ConvNets for
        image classification, pointwise localization and segmentation", 2017, whose pooling
        averages the k+ highest activations of a map.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry, floating=True)
    checks.choice("reduce", reduce, REDUCTIONS)
    k = checks.integer("k", k, 1, window.taps)
    return _top_k(x, where, window, k, reduce == "mean")


@functools.partial(jax.jit, static_argnames=("window", "k", "is_mean"), inline=True)
def _top_k(
    x: jax.Array, where: jax.Array | None, window: Window, k: int, is_mean: bool
) -> jax.Array:
    wide, masks = x.astype(arguments.accumulator(x)), () if where is None else (where,)
    taps = _largest_taps(x, *masks, window=window, k=k)
    choose = functools.partial(engine.choose, wide, window)
    if k <= UNROLLED:
        total = functools.reduce(jnp.add, (choose(taps[i]) for i in range(k)))
    else:
        total = jnp.sum(jax.vmap(choose)(taps), 0)
    if is_mean:
        taken = jnp.sum(taps < window.taps, 0, dtype=np.int32)
        total = total / jnp.maximum(taken, 1).astype(total.dtype)
    return total.astype(x.dtype)


def _largest_taps_code(
    x: jax.Array, *masks: jax.Array, window: Window, k: int, target: Target
) -> jax.Array:
    """The tap indices of the k largest elements, `(k, *output)`; `window.taps` if none is left.

    Each index is that of the largest element after the previous one, in order of key and then tap.
    """
    del target
    exists = engine.ones(window, x.ndim, np.dtype(bool)) if not masks else masks[0]
    keys = sort_keys(x)
    highest = np.array(np.iinfo(keys.dtype).max, keys.dtype)
    keys = jnp.where(jnp.isnan(x), highest, keys)
    taps, none = engine.Taps(window, (keys, 0), (exists, False)), np.int32(window.taps)
    shape = window.output_shape(x.shape)

    def next_one(before: Any, _: Any) -> tuple[Any, jax.Array]:
        last_key, last_tap = before

        def larger(best: Any, number: Any, key: jax.Array, exists: jax.Array) -> Any:
            best_key, best_tap = best
            after = (key < last_key) | ((key == last_key) & (number > last_tap))
            wins = exists & after & ((best_tap == none) | (key > best_key))
            return jnp.where(wins, key, best_key), jnp.where(wins, number, best_tap)

        found = taps.fold(larger, (jnp.zeros(shape, keys.dtype), jnp.full(shape, none)))
        return found, found[1]

    first = jnp.full(shape, highest), jnp.full(shape, np.int32(-1))
    unroll = k if k * window.taps <= tuning.UNROLLED_TAPS else 1
    return lax.scan(next_one, first, None, length=k, unroll=unroll)[1]


_largest_taps = primitives.search("jaxpool_largest_taps", _largest_taps_code, ["window", "k"])
