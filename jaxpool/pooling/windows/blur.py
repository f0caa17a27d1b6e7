"""Anti-aliased down-sampling: blur pooling, and max pooling followed by it."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxpool import checks, engine
from jaxpool.axis import Filtered
from jaxpool.checks import Ints, Padding
from jaxpool.monoid import MAX, SUM
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.window import Window

LARGEST = 7


@explicit_sharding()
def blur_pool(
    x: ArrayLike,
    filter_size: int = 3,
    strides: Ints = 2,
    *,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """A binomial low-pass filter, followed by subsampling with a stride.

    A 3-D `x` is read as (batch, length, channels); for one image, give `axes=(0, 1)`.

        y[o] = sum_t b_t x[o * stride + t - low],    b_t = C(f - 1, t) / 2^(f - 1)

    along every pooled axis, where f is the filter size and low = (f - 1) // 2. `x` is padded by
    reflection, or by its edge element along an axis that is too short for reflection. The output
    size is `ceil(size / stride)`. With a mask, the weights of the unmasked elements of every window
    are normalised to sum to 1. Floats narrower than float32 are accumulated in float32.

    Args:
        x: Array `(batch, *spatial, channels)` of a floating dtype.
        filter_size: Taps of the filter per axis, from 1 (no blur) to 7.
        strides: Steps between outputs, an int or one int per pooled axis.
        axes: Indices of the pooled axes; None means all axes except the first and the last.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, with the shape of `x` except along the pooled axes. An output
        whose taps are all masked is 0.

    Raises:
        TypeError: `x` is not of a floating dtype, `where` is not boolean, `filter_size` is not an
            int, or `strides` or `axes` are not ints.
        ValueError: `filter_size` is not between 1 and 7, `strides` has an entry less than 1 or not
            one per pooled axis, `x` has fewer than 3 axes and `axes` is None, `axes` has an index
            out of range or a duplicate, or `where` does not broadcast to `x`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import blur_pool
        >>> blur_pool(jnp.array([0.0, 4.0, 0.0, 0.0]).reshape(1, 4, 1))[0, :, 0]
        Array([2., 1.], dtype=float32)

    When to use:
        In place of a strided operation that skips elements: the output of `blur_pool` changes less
        when the input is shifted by one element.

    Source:
        Zhang, "Making convolutional networks shift-invariant again", 2019.
    """
    x = arguments.floating_array("x", x)
    size = checks.integer("filter_size", filter_size, 1, LARGEST)
    window = Geometry(size, strides, "SAME", axes=axes).window(x)
    exists = arguments.mask(where, x)
    if exists is not None:
        return _normalised(x, exists, _filtered(window))
    accumulation = engine.Accumulation(arguments.accumulator(x))
    return engine.reduce(x, SUM, _filtered(window), accumulation=accumulation)


@explicit_sharding()
def max_blur_pool(
    x: ArrayLike,
    window_shape: Ints,
    filter_size: int = 3,
    strides: Ints = 2,
    *,
    padding: Padding = "VALID",
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Max pooling with stride 1, followed by `blur_pool`.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y = blur_pool(max_pool(x, window_shape, strides=1), filter_size, strides)

    A maximum over a window without an element (all its taps are masked or lie in padding) has
    weight 0 in the filter.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`.
        filter_size: Taps of the filter; see `blur_pool`.
        strides: Steps between outputs of the filter, an int or one int per pooled axis.
        padding: Padding of the max pooling; see `max_pool`.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, with the shape of `x` except along the pooled axes. An output
        without an element is 0.

    Raises:
        TypeError: As in `max_pool`; or `x` is not of a floating dtype, or `filter_size` is not an
            int.
        ValueError: As in `max_pool`; or `filter_size` is not between 1 and 7.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import max_blur_pool
        >>> x = jnp.array([0.0, 4.0, 0.0, 0.0, 0.0]).reshape(1, 5, 1)
        >>> max_blur_pool(x, 2)[0, :, 0]
        Array([4., 1.], dtype=float32)

    When to use:
        In place of a strided `max_pool`: the output changes less when the input is shifted by one
        element.

    Source:
        Zhang, "Making convolutional networks shift-invariant again", 2019.
    """
    x = arguments.floating_array("x", x)
    window = Geometry(window_shape, 1, padding, axes=axes).window(x)
    exists = arguments.mask(where, x)
    largest = engine.reduce(x, MAX, window, where=exists)
    if exists is not None:
        exists = engine.reduce(exists, MAX, window)
    elif any(min(axis.counts(include_pad=False), default=1) == 0 for axis in window.axes):
        exists = engine.occupied(window, x.ndim, None)
    axes = window.positions if axes is None else axes
    return blur_pool(largest, filter_size, strides, axes=axes, where=exists)


def _normalised(x: jax.Array, exists: jax.Array, window: Window) -> jax.Array:
    """The weighted mean of the unmasked elements of every window."""
    wide = jnp.where(exists, x, 0).astype(arguments.accumulator(x))
    total = engine.reduce(wide, SUM, window)
    weight = engine.reduce(exists.astype(wide.dtype), SUM, window)
    return (total / jnp.where(weight > 0, weight, 1)).astype(x.dtype)


def _filtered(window: Window) -> Window:
    """The binomial filter of the same taps, strides and output sizes as `window`."""
    axes = []
    for axis in window.even_axes:
        most = axis.window - 1
        weights = tuple(math.comb(most, tap) / 2**most for tap in range(axis.window))
        axes.append(Filtered(axis.size, weights, axis.stride))
    return Window(window.positions, tuple(axes))
