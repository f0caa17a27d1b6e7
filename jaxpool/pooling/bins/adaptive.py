"""Adaptive pooling: windows are derived from a given output size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxpool.checks import Ints, pooled_axes
from jaxpool.monoid import MAX
from jaxpool.pooling import arguments, sizes
from jaxpool.pooling.bins import _layout
from jaxpool.pooling.bins._layout import Bins, Layout
from jaxpool.pooling.sharding import explicit_sharding

Sizes = Ints | Sequence[int | None] | None


@explicit_sharding()
def adaptive_max_pool(
    x: ArrayLike, output_shape: Sizes, *, axes: Ints | None = None, where: ArrayLike | None = None
) -> jax.Array:
    """The largest element of every bin, for a given number of bins per axis.

    An int `output_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[i] = max of x[floor(i n / o)], ..., x[ceil((i + 1) n / o) - 1]    for n inputs, o outputs

    Bins overlap if `o` does not divide `n`. NaN, ties and derivatives are handled as in `max_pool`.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        output_shape: Bins per spatial axis; may exceed the size of the axis. An int applies to
            every axis except the first and the last (or to all of `axes`); d ints pool the d axes
            before the last one. None, or None for one axis, keeps the size of the input.
        axes: Indices of the pooled axes, for any other layout, in the order of `output_shape`.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, with the shape of `x` except along the pooled axes, which have
        the sizes of `output_shape`. A bin without an element gives the identity of max, as in
        `max_pool`.

    Raises:
        TypeError: `x` is not an array of real numbers, `where` is not boolean, `output_shape` has
            entries other than ints and None, or `axes` are not ints.
        ValueError: A size is less than 1, `where` does not broadcast to `x`, `x` has too few axes,
            a pooled axis is empty or has a symbolic size, `axes` has an index out of range or a
            duplicate, or `output_shape` does not have one entry per pooled axis.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import adaptive_max_pool
        >>> adaptive_max_pool(jnp.arange(7.0).reshape(1, 7, 1), 3)[0, :, 0]
        Array([2., 4., 6.], dtype=float32)

    When to use:
        A map of fixed size from inputs of any size, before a dense layer, that keeps the strongest
        responses.

    Source:
        PyTorch's `AdaptiveMaxPool2d`.
    """
    x, layout, where = _checked(x, output_shape, axes, where)
    return _layout.reduce(x, MAX, layout, where)


@explicit_sharding()
def adaptive_max_pool_with_argmax(
    x: ArrayLike, output_shape: Sizes, *, axes: Ints | None = None, where: ArrayLike | None = None
) -> tuple[jax.Array, jax.Array]:
    """The largest element of every bin, and its index.

    An int `output_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[i] = x[j[i]], the first of the largest elements of bin i; see `adaptive_max_pool`

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        output_shape: Bins per spatial axis; see `adaptive_max_pool`, also for the arguments below.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        A pair of arrays of the shape that `adaptive_max_pool` returns: the values, of the dtype of
        `x`, and the indices, of dtype int32. An index is the flat row-major position of the winner
        in the spatial plane of its image and channel (pooled axes in ascending order), or -1 for a
        bin without an element. Planes of more than 2^31 - 1 elements have int64 indices, which
        requires `jax_enable_x64`.

    Raises:
        TypeError: As in `adaptive_max_pool`.
        ValueError: As in `adaptive_max_pool`; or the plane has more than 2^31 - 1 elements, and
            `jax_enable_x64` is not set.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import adaptive_max_pool_with_argmax
        >>> x = jnp.array([3.0, 1.0, 2.0, 5.0, 4.0]).reshape(1, 5, 1)
        >>> values, indices = adaptive_max_pool_with_argmax(x, 2)
        >>> values[0, :, 0], indices[0, :, 0]
        (Array([3., 5.], dtype=float32), Array([0, 3], dtype=int32))

    When to use:
        In place of `adaptive_max_pool`, when the positions of the maxima are needed too.

    Source:
        PyTorch's `AdaptiveMaxPool2d(return_indices=True)`.
    """
    x, layout, where = _checked(x, output_shape, axes, where)
    return _layout.arg_reduce(x, MAX, layout, where)


@explicit_sharding()
def adaptive_avg_pool(
    x: ArrayLike, output_shape: Sizes, *, axes: Ints | None = None, where: ArrayLike | None = None
) -> jax.Array:
    """The mean of every bin, for a given number of bins per axis.

    An int `output_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[i] = mean of x[floor(i n / o)], ..., x[ceil((i + 1) n / o) - 1]   for n inputs, o outputs

    Floats narrower than float32 are accumulated in float32.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        output_shape: Bins per spatial axis; see `adaptive_max_pool`, also for the arguments below.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the shape that `adaptive_max_pool` returns, of the dtype of `x` if it is floating,
        else of float32. A bin without an element gives 0.

    Raises:
        TypeError: As in `adaptive_max_pool`.
        ValueError: As in `adaptive_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import adaptive_avg_pool
        >>> adaptive_avg_pool(jnp.arange(7.0).reshape(1, 7, 1), 3)[0, :, 0]
        Array([1., 3., 5.], dtype=float32)

    When to use:
        A map of fixed size from inputs of any size, before a dense layer, as in torchvision's VGG
        and AlexNet.

    Source:
        PyTorch's `AdaptiveAvgPool2d`.
    """
    x, layout, where = _checked(x, output_shape, axes, where)
    return _layout.mean(x, layout, where)


def layout_of(x: jax.Array, outputs: dict[int, int]) -> Layout:
    """The bins of each pooled axis."""
    return {position: _bins(x.shape[position], count) for position, count in outputs.items()}


def _bins(size: int, count: int) -> Bins:
    first = np.arange(count) * size // count
    end = -(-(np.arange(count) + 1) * size // count)
    lengths = end - first
    return Bins(size, first.astype(np.int32), lengths.astype(np.int32), int(lengths.max()))


def _checked(
    x: Any, output_shape: Sizes, axes: Ints | None, where: Any
) -> tuple[jax.Array, Layout, jax.Array | None]:
    x = arguments.real_array("x", x)
    (outputs,) = sizes.given(x, axes, output_shape=_without_none(x, output_shape, axes))
    return x, layout_of(x, outputs), arguments.mask(where, x)


def _without_none(x: jax.Array, output_shape: Any, axes: Ints | None) -> Any:
    """`output_shape` with None replaced by the size of the axis."""
    if output_shape is None:
        positions = pooled_axes(x.ndim, axes, None)
        return [x.shape[position] for position in positions]
    if not (isinstance(output_shape, list | tuple) and None in output_shape):
        return output_shape
    positions = pooled_axes(x.ndim, axes, len(output_shape), "output_shape")
    return [
        x.shape[position] if entry is None else entry
        for position, entry in zip(positions, output_shape, strict=True)
    ]
