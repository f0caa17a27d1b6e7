"""Max unpooling: values back to where `max_pool_with_argmax` found them."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxpool import engine
from jaxpool.checks import Ints
from jaxpool.pooling import arguments, sizes
from jaxpool.pooling.sharding import explicit_sharding


@explicit_sharding()
def max_unpool(
    values: ArrayLike, indices: ArrayLike, output_shape: Ints, *, axes: Ints | None = None
) -> jax.Array:
    """A plane of zeros with the values at their indices.

        y[p] = values[o] for the last o (row by row) with indices[o] == p; 0 where there is none

    The derivative takes the same way: a value that another one overwrote has the derivative 0.

    Args:
        values: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        indices: Array of the same shape, of an integer dtype: places in the plane of the output,
            counted row by row (pooled axes in ascending order). -1 stands for no place: the value
            is left out.
        output_shape: Sizes of the spatial axes of the result. An int stands for every spatial
            axis, which are then all but the first and the last; d ints are the sizes of the d axes
            before the last.
        axes: The pooled axes by number, for any other layout.

    Returns:
        Array of the dtype of `values`, its pooled axes of the sizes of `output_shape`.

    Raises:
        TypeError: `values` is no array of real numbers, or `indices` none of integers.
        ValueError: `indices` has not the shape of `values`, `output_shape` a size less than 1, or
            an index lies outside the plane. (Indices that are traced, as under `jit`, cannot be
            looked at: there, values with such an index are left out.)

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import max_pool_with_argmax, max_unpool
        >>> x = jnp.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1)
        >>> values, indices = max_pool_with_argmax(x, 2)
        >>> max_unpool(values, indices, 4)[0, :, 0]
        Array([0., 5., 0., 3.], dtype=float32)

    When to use:
        In the decoder of a segmentation network such as SegNet, and to visualise features: what was
        pooled returns to its very place.

    Source:
        PyTorch's `MaxUnpool2d`, where the winner of a repeated index is left open; Zeiler and
        Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
    """
    values = arguments.real_array("values", values)
    (outputs,) = sizes.given(values, axes, "values", output_shape=output_shape)
    plane = math.prod(outputs.values())
    places = _checked(indices, values, plane)
    positions = tuple(outputs)
    shape = list(values.shape)
    for position, size in outputs.items():
        shape[position] = size
    if 0 in shape:
        return jnp.zeros(shape, values.dtype)
    total = math.prod(shape)
    neighbours = positions == tuple(range(positions[0], positions[-1] + 1))
    if neighbours and isinstance(total, int) and max(total, values.size) < 2**31:
        # As one plane: a scatter of many would name each by its axes (twice the time on a CPU).
        places = _in_whole(places, positions, plane)
        return _place(values.reshape(-1), places.reshape(-1), total).reshape(shape)
    place = _place
    for _ in range(values.ndim - len(positions)):
        place = jax.vmap(place, in_axes=(0, 0, None))
    sources, targets = (sizes.gather_planes(array, positions) for array in (values, places))
    return sizes.spread_planes(place(sources, targets, plane), outputs)


def _in_whole(places: jax.Array, positions: tuple[int, ...], plane: int) -> jax.Array:
    """The places in the whole result, of places in its planes; -1 for those outside."""
    before, after = places.ndim + positions[0], places.ndim + positions[-1] + 1
    rows, columns = math.prod(places.shape[:before]), math.prod(places.shape[after:])
    place = places.reshape(rows, -1, columns)
    inside = (place >= 0) & (place < plane)
    row = np.arange(rows, dtype=np.int32)[:, None, None]
    whole = (row * np.int32(plane) + place.astype(np.int32)) * np.int32(columns)
    return jnp.where(inside, whole + np.arange(columns, dtype=np.int32)[None, None, :], -1)


def _place(values: jax.Array, places: jax.Array, plane: int) -> jax.Array:
    """One plane: every position takes the last of the values that name it.

    A maximum of order numbers and then a gather come out the same in whatever order a device takes
    the values; a scatter of the values themselves would not.
    """
    dtype = engine.place_dtype(max(values.size, plane + 1))
    numbers = jnp.arange(values.size, dtype=dtype)
    inside = (places >= 0) & (places < plane)
    places = jnp.where(inside, places, plane).astype(dtype)  # the others share one more place
    last = jnp.full(plane + 1, -1, dtype).at[places].max(numbers, mode="promise_in_bounds")
    is_last = inside & (last.at[places].get(mode="promise_in_bounds") == numbers)
    return engine.invertible_gather(
        values, [last[:plane]], [jnp.where(is_last, places, -1)], axis=-1
    )


def _checked(indices: Any, values: jax.Array, plane: int) -> jax.Array:
    array = arguments.real_array("indices", indices)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"indices must be of an integer dtype, got {array.dtype}")
    if array.shape != values.shape:
        raise ValueError(
            f"indices must have the shape of values, {values.shape}, got {array.shape}"
        )
    numbers = arguments.known(indices)
    if numbers is not None and numbers.size:
        for number in (int(numbers.min()), int(numbers.max())):
            if not -1 <= number < plane:
                raise ValueError(
                    f"indices must lie in the plane of output_shape, [0, {plane}), or be -1 for "
                    f"no place, got {number}"
                )
    return array
