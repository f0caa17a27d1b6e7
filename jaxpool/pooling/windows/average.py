"""Sum and average pooling."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jaxpool import checks, engine
from jaxpool.axis import PooledAxis
from jaxpool.checks import Ints, Padding
from jaxpool.monoid import SUM
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.window import Window


@explicit_sharding()
def sum_pool(
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
    """The sum of every window.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = sum over taps t of x[o * stride + t * dilation - low]

    Floats narrower than float32 are accumulated in float32. Integers wrap around on overflow.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or zeros to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x` (int32 for bool), of the shape that `max_pool` returns. A window
        without an element gives 0.

    Raises:
        TypeError: As in `max_pool`.
        ValueError: As in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import sum_pool
        >>> sum_pool(jnp.arange(8).reshape(1, 8, 1), 4)[0, :, 0]
        Array([ 6, 22], dtype=int32)

    When to use:
        Counts and totals: events, votes, mass.

    Source:
        `lax.reduce_window` with addition.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry)
    return total(x, window, where)


@explicit_sharding()
def avg_pool(
    x: ArrayLike,
    window_shape: Ints,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
    accumulate_dtype: DTypeLike | None = None,
) -> jax.Array:
    """The mean of every window.

    With an int `window_shape`, the first axis is the batch axis and the last one is the channel
    axis, so a 3-D array is read as (batch, length, channels). For one image (height, width,
    channels), give one int per spatial axis, such as `(2, 2)`.

        y[o] = sum over taps t of x[o * stride + t * dilation - low] / divisor[o]

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or zeros to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.
        count_include_pad: True divides by the number of taps inside the padded input (taps in the
            overhang of `ceil_mode` never count). False divides by the number of taps inside the
            input. Masked elements do not count in either case.
        divisor_override: A nonzero number that replaces the divisor; None keeps it.
        accumulate_dtype: Floating dtype of the sum; None means float32 for narrower floats,
            integers and bool, and the dtype of `x` otherwise.

    Returns:
        Array of the shape that `max_pool` returns, of the dtype of `x` if it is floating, else of
        float32. A window without an element gives 0.

    Raises:
        TypeError: As in `max_pool`; or `count_include_pad` is not a bool, `divisor_override` is not
            a number, or `accumulate_dtype` is not a floating dtype.
        ValueError: As in `max_pool`; or `divisor_override` is 0 or not finite.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import avg_pool
        >>> x = jnp.ones((1, 4, 1))
        >>> avg_pool(x, 2, padding=1)[0, :, 0]
        Array([0.5, 1. , 0.5], dtype=float32)
        >>> avg_pool(x, 2, padding=1, count_include_pad=False)[0, :, 0]
        Array([1., 1., 1.], dtype=float32)

    When to use:
        When all elements have equal weight: smooth maps, transition layers of DenseNet, pooling
        branches of Inception.

    Source:
        PyTorch's `AvgPool2d`.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry)
    checks.flag("count_include_pad", count_include_pad)
    divisor = None
    if divisor_override is not None:
        divisor = arguments.number("divisor_override", divisor_override)
        if divisor == 0:
            raise ValueError(f"divisor_override must not be 0, got {divisor_override!r}")
    return mean(x, window, where, count_include_pad, divisor, accumulate_dtype)


def mean(
    x: jax.Array,
    window: Window,
    where: jax.Array | None,
    include_pad: bool = True,
    divisor: float | None = None,
    accumulate_dtype: DTypeLike | None = None,
) -> jax.Array:
    """The windowed mean, in the dtype of `x`, or in float32 for integers; see `avg_pool`."""
    dtype, result = mean_dtypes(x, accumulate_dtype)
    if divisor is not None:
        counts = ((divisor,), *[(1,)] * (len(window.axes) - 1))
    elif where is None:
        counts = tuple(_counts(axis, include_pad=include_pad) for axis in window.axes)
    else:
        present = count(window, x.ndim, where, include_pad=include_pad).astype(dtype)
        return _masked_mean(x, where, present, window, result)
    accumulation = engine.Accumulation(dtype, counts)
    x = x if x.dtype == result else x.astype(dtype)  # integers: convert once, in full precision
    return engine.reduce(x, SUM, window, where=where, accumulation=accumulation).astype(result)


@functools.partial(jax.jit, static_argnames=("window", "result"), inline=True)
def _masked_mean(
    x: jax.Array,
    where: jax.Array,
    counts: jax.Array,
    window: Window,
    result: np.dtype,
) -> jax.Array:
    summed = engine.reduce(x.astype(counts.dtype), SUM, window, where=where)
    return (summed / counts).astype(result)


def total(x: jax.Array, window: Window, where: jax.Array | None) -> jax.Array:
    """Windowed sum, accumulated in `accumulator(x)`, in the dtype of `x` (int32 for bool)."""
    x = x.astype(np.int32) if x.dtype == np.bool_ else x
    accumulation = engine.Accumulation(arguments.accumulator(x))
    return engine.reduce(x, SUM, window, where=where, accumulation=accumulation)


def count(window: Window, ndim: int, where: jax.Array, *, include_pad: bool) -> jax.Array:
    """The number of elements of every window, at least 1, shaped to broadcast to the output.

    Args:
        window: The geometry.
        ndim: Number of axes of the input.
        where: Mask; False leaves an element out.
        include_pad: Whether explicit padding counts as elements.
    """
    present = engine.reduce(where.astype(np.int32), SUM, window)
    if include_pad:
        outer, inner = (
            _outer([axis.counts(include_pad=pad) for axis in window.axes], window, ndim)
            for pad in (True, False)
        )
        present += outer - inner
    return jnp.maximum(present, 1)


def _counts(axis: PooledAxis, *, include_pad: bool) -> tuple[int, ...]:
    """Elements per window of one axis, at least 1: one per output, or a single one if equal."""
    counts = tuple(max(count, 1) for count in axis.counts(include_pad=include_pad))
    return counts[:1] if len(set(counts)) == 1 else counts


def _outer(counts: list[tuple[int, ...]], window: Window, ndim: int) -> np.ndarray:
    """The outer product of one vector per axis; a vector of equal numbers has length 1 in it."""
    result = np.ones((1,) * ndim, np.int32)
    for position, numbers in zip(window.positions, counts, strict=True):
        shape = [1] * ndim
        vector = np.array(numbers[:1] if len(set(numbers)) == 1 else numbers, np.int32)
        shape[position] = len(vector)
        result = result * vector.reshape(shape)
    return result


def mean_dtypes(x: jax.Array, requested: Any = None) -> tuple[np.dtype, np.dtype]:
    """The dtype of the sum in a mean of `x` (`requested`, if given), and the dtype of the mean."""
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    result = x.dtype if floating else np.dtype(np.float32)
    if requested is None:
        return arguments.accumulator(x) if floating else result, result
    try:
        dtype = jnp.dtype(requested)
    except TypeError as error:
        raise TypeError(f"accumulate_dtype must be a dtype, got {requested!r}") from error
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"accumulate_dtype must be a floating dtype, got {dtype}")
    return dtype, result
