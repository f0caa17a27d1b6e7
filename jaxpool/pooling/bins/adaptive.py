"""Adaptive pooling: the output size is given, and the windows follow from it."""

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
    """The largest element of every bin, with as many bins as the output is to have.

        y[i] = max of x[floor(i n / o)], ..., x[ceil((i + 1) n / o) - 1]    for n inputs, o outputs

    Bins overlap where `o` does not divide `n`. NaN, ties and derivatives are those of `max_pool`.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        output_shape: Bins per spatial axis, also more than it has elements. An int stands for
            every spatial axis, which are then all but the first and the last; d ints pool the d
            axes before the last. None, or None for an axis, keeps the size that there is.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.

    Returns:
        Array of the dtype of `x` and its shape, but for the pooled axes, which have the sizes of
        `output_shape`. A bin without an element gives the identity: -inf, the smallest integer, or
        False.

    Raises:
        TypeError: `x` is no array of real numbers, `where` is not boolean, or `output_shape` holds
            something else than ints and None.
        ValueError: A size is less than 1, `where` does not broadcast to `x`, `x` has too few axes,
            or a pooled axis is empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import adaptive_max_pool
        >>> adaptive_max_pool(jnp.arange(7.0).reshape(1, 7, 1), 3)[0, :, 0]
        Array([2., 4., 6.], dtype=float32)

    When to use:
        A map of one size from inputs of any size, in front of a dense layer; by the strongest
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
    """The largest element of every bin, and where it stands.

        y[i] = x[j[i]], the first of the largest elements of bin i; see `adaptive_max_pool`

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        output_shape: Bins per spatial axis; see `adaptive_max_pool`, also for all that follow.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.

    Returns:
        The values, of the dtype of `x`, and as many indices of dtype int32: the winner's place in
        the spatial plane of its image and channel, counted row by row (pooled axes in ascending
        order). A bin without an element has index -1. In
        planes of more than 2^31 - 1 elements they are int64, which `jax_enable_x64` must allow.

    Raises:
        TypeError: As in `adaptive_max_pool`.
        ValueError: As in `adaptive_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import adaptive_max_pool_with_argmax
        >>> x = jnp.array([3.0, 1.0, 2.0, 5.0, 4.0]).reshape(1, 5, 1)
        >>> values, indices = adaptive_max_pool_with_argmax(x, 2)
        >>> values[0, :, 0], indices[0, :, 0]
        (Array([3., 5.], dtype=float32), Array([0, 3], dtype=int32))

    When to use:
        As `adaptive_max_pool`, where the places of the maxima are wanted too.

    Source:
        PyTorch's `AdaptiveMaxPool2d(return_indices=True)`.
    """
    x, layout, where = _checked(x, output_shape, axes, where)
    return _layout.arg_reduce(x, MAX, layout, where)


@explicit_sharding()
def adaptive_avg_pool(
    x: ArrayLike, output_shape: Sizes, *, axes: Ints | None = None, where: ArrayLike | None = None
) -> jax.Array:
    """The mean of every bin, with as many bins as the output is to have.

        y[i] = mean of x[floor(i n / o)], ..., x[ceil((i + 1) n / o) - 1]   for n inputs, o outputs

    Sums of float16 and bfloat16 are taken in float32.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        output_shape: Bins per spatial axis; see `adaptive_max_pool`, also for all that follow.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.

    Returns:
        Array of the dtype of `x` if that is floating, else float32. A bin without an element gives
        0.

    Raises:
        TypeError: As in `adaptive_max_pool`.
        ValueError: As in `adaptive_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import adaptive_avg_pool
        >>> adaptive_avg_pool(jnp.arange(7.0).reshape(1, 7, 1), 3)[0, :, 0]
        Array([1., 3., 5.], dtype=float32)

    When to use:
        A map of one size from inputs of any size, in front of a dense layer: the head of VGG and
        AlexNet in torchvision.

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
    """`output_shape`, in which None has become the size of its axis."""
    if output_shape is None:
        positions = pooled_axes(x.ndim, axes, None)
        return [x.shape[position] for position in positions]
    if not (isinstance(output_shape, list | tuple) and None in output_shape):
        return output_shape
    positions = pooled_axes(x.ndim, axes, len(output_shape), "output_shape")
    if len(positions) != len(output_shape):
        return output_shape  # to be refused with its numbers
    return [
        x.shape[position] if entry is None else entry
        for position, entry in zip(positions, output_shape, strict=True)
    ]
