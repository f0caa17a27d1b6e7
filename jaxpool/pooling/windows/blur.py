"""Anti-aliased down-sampling: blur pooling, and max pooling followed by it."""

from __future__ import annotations

import math

import jax
from jax.typing import ArrayLike

from jaxpool import checks, engine
from jaxpool.axis import Filtered
from jaxpool.checks import Ints, Padding
from jaxpool.monoid import SUM
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.pooling.windows.maximum import max_pool
from jaxpool.window import Window

LARGEST = 7


@explicit_sharding()
def blur_pool(
    x: ArrayLike, filter_size: int = 3, strides: Ints = 2, *, axes: Ints | None = None
) -> jax.Array:
    """A binomial low-pass filter, and every stride-th element of what it leaves.

        y[o] = sum_t b_t x[o * stride + t - low],    b_t = C(f - 1, t) / 2^(f - 1)

    along every pooled axis, with f the filter's size and low = (f - 1) // 2. Beyond its edges `x`
    is reflected, or repeats its edge where it is too small for that. The output size is
    `ceil(size / stride)`.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        filter_size: Taps of the filter, from 1 (no blur) to 7.
        strides: Steps between outputs, an int or one a spatial axis.
        axes: The pooled axes by number; None means all but the first and the last.

    Returns:
        Array of the dtype of `x` and its shape, but for the pooled axes.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has a value that is not allowed.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import blur_pool
        >>> blur_pool(jnp.array([0.0, 4.0, 0.0, 0.0]).reshape(1, 4, 1))[0, :, 0]
        Array([2., 1.], dtype=float32)

    When to use:
        In place of a stride that skips elements: the result then changes less when the input moves
        by an element.

    Source:
        Zhang, "Making convolutional networks shift-invariant again", 2019.
    """
    x = arguments.floating_array("x", x)
    size = checks.integer("filter_size", filter_size, 1, LARGEST)
    window = Geometry(size, strides, "SAME", axes=axes).window(x)
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
) -> jax.Array:
    """The maximum of every window, at stride 1, then blurred and down-sampled.

        y = blur_pool(max_pool(x, window_shape, strides=1), filter_size, strides)

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`.
        filter_size: Taps of the filter; see `blur_pool`.
        strides: Steps between outputs, an int or one a spatial axis.
        padding: Padding of the maximum; see `max_pool`.
        axes: The pooled axes by number, for any other layout.

    Returns:
        Array of the dtype of `x` and its shape, but for the pooled axes.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has a value that is not allowed.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import max_blur_pool
        >>> x = jnp.array([0.0, 4.0, 0.0, 0.0, 0.0]).reshape(1, 5, 1)
        >>> max_blur_pool(x, 2)[0, :, 0]
        Array([4., 1.], dtype=float32)

    When to use:
        In place of a `max_pool` with strides, for the same reason as `blur_pool`.

    Source:
        Zhang, "Making convolutional networks shift-invariant again", 2019.
    """
    x = arguments.floating_array("x", x)
    window = Geometry(window_shape, 1, padding, axes=axes).window(x)
    largest = max_pool(x, window_shape, strides=1, padding=padding, axes=axes)
    return blur_pool(largest, filter_size, strides, axes=window.positions if axes is None else axes)


def _filtered(window: Window) -> Window:
    """The binomial filter along every axis of a window, at its outputs."""
    axes = []
    for axis in window.even_axes:
        most = axis.window - 1
        weights = tuple(math.comb(most, tap) / 2**most for tap in range(axis.window))
        axes.append(Filtered(axis.size, weights, axis.stride))
    return Window(window.positions, tuple(axes))
