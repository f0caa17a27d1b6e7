"""Max pooling, with or without the indices of the maxima, and min pooling."""

from __future__ import annotations

import jax
from jax.typing import ArrayLike

from jaxpool import engine
from jaxpool.checks import Ints, Padding
from jaxpool.monoid import MAX, MIN
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding


@explicit_sharding()
def max_pool(
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
    """The largest element of every window.

    With an int `window_shape`, the first axis is the batch axis and the last one is the channel
    axis, so a 3-D array is read as (batch, length, channels). For one image (height, width,
    channels), give one int per spatial axis, such as `(2, 2)`.

        y[o] = max over taps t of x[o * stride + t * dilation - low]

    where low is the padding before the first element. Padding never wins. If a window contains NaN,
    its result is NaN. If several elements are equally large, the first one in row-major order is
    the winner and receives the whole derivative.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Taps per spatial axis. An int applies to every axis except the first and the
            last (or to all of `axes`); d ints pool the d axes before the last one.
        strides: Steps between windows, an int or one int per axis; None means `window_shape`.
        padding: `"VALID"` (none), `"SAME"` (output size `ceil(size / stride)`; an odd padding
            element goes on the high side), `"SAME_LOWER"` (the same, with the odd element on the
            low side), or the number of elements to add: an int, or per axis an int or a pair
            `(low, high)`.
        dilation: Distance between neighbouring taps, an int or one int per axis.
        ceil_mode: Round the output size up: keep a last window that begins inside the input or its
            low padding and ends outside the padded input.
        axes: Indices of the pooled axes, for any other layout: an int or a sequence of ints, from
            the end if negative. One int per axis in another argument means in the order of `axes`.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, with the shape of `x` except along the pooled axes. Along such an
        axis, without `ceil_mode`, n elements and windows of k taps give
        `(n + low + high - dilation * (k - 1) - 1) // stride + 1` outputs, at least 0. A window
        without an element gives the identity of max: -inf (the lowest number of a dtype without
        infinities), the smallest integer, or False.

    Raises:
        TypeError: `x` is not an array of real numbers (integers of at least 4 bits, signed floats
            of at least 8 bits, or bool), `where` is not boolean, or another argument does not have
            a type listed above.
        ValueError: `x` has too few axes for `window_shape`, or a symbolic size along a pooled axis;
            `where` does not broadcast to `x`; `axes` has an index out of range or a duplicate; a
            size, stride or dilation is less than 1; padding is negative or has another name; a
            sequence does not have one entry per pooled axis; or `ceil_mode=True` is given with
            SAME padding.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import max_pool
        >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
        >>> max_pool(x, 2)[0, :, :, 0]
        Array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
        >>> max_pool(x[0], (2, 2)).shape, max_pool(x[0], 2).shape
        ((2, 2, 1), (4, 2, 1))

    When to use:
        Down-sampling in a convolutional network. The output keeps the strongest response of every
        window, whatever its position in the window.

    Source:
        PyTorch's `MaxPool2d` and ONNX's `MaxPool` (values, ties, ceil_mode).
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry)
    return engine.reduce(x, MAX, window, where=where)


@explicit_sharding()
def min_pool(
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
    """The smallest element of every window.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = min over taps t of x[o * stride + t * dilation - low]

    NaN, ties, padding and derivatives are handled as in `max_pool`.

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
        gives the identity of min: +inf (the highest number of a dtype without infinities), the
        largest integer, or True.

    Raises:
        TypeError: As in `max_pool`.
        ValueError: As in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import min_pool
        >>> min_pool(jnp.arange(8.0).reshape(1, 8, 1), 3, strides=2)[0, :, 0]
        Array([0., 2., 4.], dtype=float32)

    When to use:
        Morphological erosion, and maps in which small values are the signal: dark marks, distances,
        costs.

    Source:
        Morphological erosion by a box; Flax's `min_pool`.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry)
    return engine.reduce(x, MIN, window, where=where)


@explicit_sharding()
def max_pool_with_argmax(
    x: ArrayLike,
    window_shape: Ints,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The largest element of every window, and its index.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = x[i[o]], the first of the largest elements of window o

    Values and derivatives are those of `max_pool`. `max_unpool` writes the values back to their
    positions.

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
        A pair of arrays of the shape that `max_pool` returns: the values, of the dtype of `x`, and
        the indices, of dtype int32. An index is the flat row-major position of the winner in the
        unpadded spatial plane of its image and channel (pooled axes in ascending order), or -1 for
        a window without an element. Planes of more than 2^31 - 1 elements have int64 indices, which
        requires `jax_enable_x64`.

    Raises:
        TypeError: As in `max_pool`.
        ValueError: As in `max_pool`; or the plane has more than 2^31 - 1 elements, and
            `jax_enable_x64` is not set.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import max_pool_with_argmax
        >>> x = jnp.array([[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 2.0, 8.0]]).reshape(1, 2, 4, 1)
        >>> values, indices = max_pool_with_argmax(x, 2)
        >>> values[0, :, :, 0], indices[0, :, :, 0]
        (Array([[5., 8.]], dtype=float32), Array([[1, 7]], dtype=int32))

    When to use:
        When the position of a maximum is needed: for `max_unpool` in a decoder, or to read key
        points from a heat map. Derivatives of `max_pool` do not need the indices.

    Source:
        PyTorch's `MaxPool2d(return_indices=True)`. (Indices of ONNX and TensorFlow also count
        channels and images.)
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry)
    return engine.arg_reduce(x, MAX, window, where=where)
