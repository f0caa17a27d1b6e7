"""Max and min pooling, and where the maxima stand."""

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

    An int `window_shape` leaves the first axis (batch) and the last (channels) alone: a 3-D array
    is (batch, length, channels) to it. For one image (height, width, channels) give `(2, 2)`.

        y[o] = max over taps t of x[o * stride + t * dilation - low]

    Padding never wins. A NaN in a window is its result. Where several elements are largest, the
    first in row-major order is the winner, and the whole derivative is its.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Taps per spatial axis. An int stands for every spatial axis, which are then
            all but the first and the last; d ints pool the d axes before the last.
        strides: Steps between windows, an int or one an axis; None means `window_shape`.
        padding: `"VALID"` (none), `"SAME"` (output size `ceil(size / stride)`, the odd element on
            the high side), `"SAME_LOWER"` (on the low side), or elements to add: an int, or per
            axis an int or a pair `(low, high)`.
        dilation: Distance between neighbouring taps, an int or one an axis.
        ceil_mode: Round the output size up: keep a last window that begins inside the padded
            input and ends outside.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.

    Returns:
        Array of the dtype of `x` and its shape, but for the pooled axes. A window without an
        element gives the identity: -inf, the smallest integer, or False.

    Raises:
        TypeError: `x` is no array of real numbers, `where` is not boolean, or an argument is not of
            the types above.
        ValueError: `x` has too few axes for `window_shape`, `where` does not broadcast to `x`, a
            size, stride or dilation is less than 1, padding is negative, a sequence has not one
            entry per pooled axis, or `ceil_mode=True` is given with SAME.

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
        The usual down-sampling of a convolutional network: the strongest response of every window
        counts, wherever it stands in it, and the rest does not.

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

        y[o] = min over taps t of x[o * stride + t * dilation - low]

    NaN, ties, padding and derivatives are those of `max_pool`.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for all that follow.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.

    Returns:
        Array of the dtype of `x`. A window without an element gives +inf, the largest integer, or
        True.

    Raises:
        TypeError: As in `max_pool`.
        ValueError: As in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import min_pool
        >>> min_pool(jnp.arange(8.0).reshape(1, 8, 1), 3, strides=2)[0, :, 0]
        Array([0., 2., 4.], dtype=float32)

    When to use:
        Erosion, and maps in which small values are the signal: dark marks, distances, costs.

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
    """The largest element of every window, and where it stands.

        y[o] = x[i[o]], the first of the largest elements of window o

    Values and derivative are those of `max_pool`. `max_unpool` puts the values back in place.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for all that follow.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.

    Returns:
        The values, of the dtype of `x`, and as many indices of dtype int32: the winner's place in
        the spatial plane of its image and channel, without padding, counted row by row (pooled
        axes in ascending order). A window without an element has index -1. In
        planes of more than 2^31 - 1 elements they are int64, which `jax_enable_x64` must allow.

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
        Where the place of a maximum is wanted: for `max_unpool` in a decoder, or to read key points
        off a heat map. Derivatives do not need it.

    Source:
        PyTorch's `MaxPool2d(return_indices=True)`. (ONNX and TensorFlow count on through channels
        and images.)
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry)
    return engine.arg_reduce(x, MAX, window, where=where)
