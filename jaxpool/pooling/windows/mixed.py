"""Mixed and gated pooling: mixtures of max and average pooling."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxpool import checks, engine
from jaxpool.checks import Ints, Padding
from jaxpool.monoid import MAX
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.pooling.windows import average
from jaxpool.window import Window


@explicit_sharding()
def mixed_pool(
    x: ArrayLike,
    window_shape: Ints,
    alpha: ArrayLike = 0.5,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
    count_include_pad: bool = True,
) -> jax.Array:
    """A weighted mixture of max and average pooling.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = alpha max_t x_t + (1 - alpha) mean_t x_t,   x_t = x[o * stride + t * dilation - low]

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        alpha: The weight of the maximum, usually from 0 to 1: a finite number, or an array of
            finite numbers that broadcasts to the output, for example `(channels,)` for one weight
            per channel. An array may be learned; the entries of a traced array are not checked.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.
        count_include_pad: Whether padding counts as zeros in the average; see `avg_pool`.

    Returns:
        Array of the dtype of `x`, of the shape that `max_pool` returns. A window without an element
        gives 0.

    Raises:
        TypeError: As in `max_pool`; or `x` is not of a floating dtype, `alpha` is neither a number
            nor an array of numbers, or `count_include_pad` is not a bool.
        ValueError: As in `max_pool`; or `alpha` is not finite, or does not broadcast to the output.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import mixed_pool
        >>> x = jnp.array([1.0, 3.0, 4.0, 8.0]).reshape(1, 4, 1)
        >>> mixed_pool(x, 2, alpha=0.25)[0, :, 0]
        Array([2.25, 6.5 ], dtype=float32)

    When to use:
        When it is unknown whether max or average pooling works better. `nn.LearnedMixedPool` learns
        `alpha`.

    Source:
        Lee, Gallagher and Tu, "Generalizing pooling functions in convolutional neural networks:
        mixed, gated, and tree", 2016.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry, floating=True)
    checks.flag("count_include_pad", count_include_pad)
    alpha = arguments.parameter("alpha", alpha, x, window, per_window=True)
    return _mixed(x, alpha, where, window, count_include_pad)


@explicit_sharding()
def gated_pool(
    x: ArrayLike,
    window_shape: Ints,
    filters: ArrayLike,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
    count_include_pad: bool = True,
) -> jax.Array:
    """A mixture of max and average pooling with a data-dependent weight per window.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = a[o] max_t x_t + (1 - a[o]) mean_t x_t,   x_t = x[o * stride + t * dilation - low]
        a[o] = sigmoid(sum_t filters[t] x_t)

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        filters: Array of a floating dtype: `(*window_shape, channels)`, one filter per entry of the
            last axis of `x`, or `(*window_shape, 1)`, one filter for all (the only shape if the
            last axis is pooled). It may be traced and learned.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add; the filter reads zeros
            there.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.
        count_include_pad: Whether padding counts as zeros in the average; see `avg_pool`.

    Returns:
        Array of the dtype of `x`, of the shape that `max_pool` returns. A window without an element
        gives 0.

    Raises:
        TypeError: As in `max_pool`; or `x` or `filters` is not of a floating dtype, or
            `count_include_pad` is not a bool.
        ValueError: As in `max_pool`; or `filters` has neither of the shapes above.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import gated_pool
        >>> x = jnp.array([0.0, 4.0, 100.0, 300.0]).reshape(1, 4, 1)
        >>> gated_pool(x, 2, jnp.array([[1.0], [0.0]]))[0, :, 0]
        Array([  3., 300.], dtype=float32)

    When to use:
        In place of `mixed_pool`, when the weight should depend on the content of the window.
        `nn.GatedPool` learns the filters.

    Source:
        Lee, Gallagher and Tu, "Generalizing pooling functions in convolutional neural networks:
        mixed, gated, and tree", 2016.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry, floating=True)
    checks.flag("count_include_pad", count_include_pad)
    filters = _filter_rows(arguments.floating_array("filters", filters), x, window, axes)
    return _gated(x, filters, where, window, count_include_pad)


def _filter_rows(filters: jax.Array, x: jax.Array, window: Window, axes: Ints | None) -> jax.Array:
    """The filters as an array `(taps, channels or 1)`, taps in row-major order."""
    given = checks.pooled_axes(x.ndim, axes, len(window.axes))
    order = sorted(range(len(given)), key=lambda i: given[i])
    sizes = [0] * len(given)
    for i, axis in zip(order, window.axes, strict=True):
        sizes[i] = axis.window
    last = x.shape[-1] if -1 not in window.positions else 1
    allowed = [(*sizes, 1), *([(*sizes, last)] if last != 1 else [])]
    if filters.shape not in allowed:
        shapes = " or ".join(map(str, allowed))
        raise ValueError(f"filters must have shape {shapes}, got {filters.shape}")
    return filters.transpose(*order, len(order)).reshape(window.taps, filters.shape[-1])


@functools.partial(jax.jit, static_argnames=("window", "include_pad"), inline=True)
def _mixed(
    x: jax.Array,
    alpha: jax.Array,
    where: jax.Array | None,
    window: Window,
    include_pad: bool,
) -> jax.Array:
    wide = x.astype(arguments.accumulator(x))
    largest = engine.reduce(wide, MAX, window, where=where)
    mean = average.mean(wide, window, where, include_pad)
    largest = jnp.where(engine.occupied(window, x.ndim, where), largest, 0)
    return (_weighted(alpha, largest) + _weighted(1 - alpha, mean)).astype(x.dtype)


def _weighted(weight: jax.Array, value: jax.Array) -> jax.Array:
    """`weight * value`, but 0 (not NaN) if the weight is 0 and the value is infinite."""
    nothing = (weight == 0) & jnp.isinf(value)
    return weight * jnp.where(nothing, 0, value)


@functools.partial(jax.jit, static_argnames=("window", "include_pad"), inline=True)
def _gated(
    x: jax.Array,
    filters: jax.Array,
    where: jax.Array | None,
    window: Window,
    include_pad: bool,
) -> jax.Array:
    wide = x.astype(arguments.accumulator(x))
    if where is not None:
        wide = jnp.where(where, wide, 0)
    rows = filters.astype(wide.dtype).reshape(-1, *(1,) * (x.ndim - 1), filters.shape[-1])
    gate = jax.nn.sigmoid(engine.filtered_sum(wide, rows, window))
    return _mixed(x, gate, where, window, include_pad)
