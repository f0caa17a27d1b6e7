"""Max unpooling: write values to the positions that `max_pool_with_argmax` returned."""

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
    """A plane of zeros with every value written at its index.

        y[p] = values[o] for the last o (row-major) with indices[o] == p; 0 if there is none

    A value that another value overwrites has derivative 0.

    Args:
        values: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        indices: Array of the same shape, of an integer dtype: flat row-major positions in the plane
            of the output (pooled axes in ascending order). A value with index -1 is dropped.
        output_shape: Sizes of the spatial axes of the result. An int applies to every axis except
            the first and the last; d ints are the sizes of the d axes before the last one.
        axes: Indices of the pooled axes, for any other layout.

    Returns:
        Array of the dtype of `values`, with the shape of `values` except along the pooled axes,
        which have the sizes of `output_shape`.

    Raises:
        TypeError: `values` is not an array of real numbers, or `indices` is not an array of
            integers.
        ValueError: The shapes of `indices` and `values` differ, a size in `output_shape` is less
            than 1, or an index lies outside the plane. (Traced indices, for example under `jit`,
            cannot be checked; values whose index lies outside the plane are then dropped.)

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import max_pool_with_argmax, max_unpool
        >>> x = jnp.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1)
        >>> values, indices = max_pool_with_argmax(x, 2)
        >>> max_unpool(values, indices, 4)[0, :, 0]
        Array([0., 5., 0., 3.], dtype=float32)

    When to use:
        In the decoder of a segmentation network such as SegNet, and to visualise features: every
        pooled value returns to its original position.

    Source:
        PyTorch's `MaxUnpool2d`, where the result for a repeated index is unspecified; Zeiler and
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
        # All planes as one: a scatter into many planes needs one index per axis (2x slower on CPU).
        places = _flat_indices(places, positions, plane)
        return _place(values.reshape(-1), places.reshape(-1), total).reshape(shape)
    place = _place
    for _ in range(values.ndim - len(positions)):
        place = jax.vmap(place, in_axes=(0, 0, None))
    sources, targets = (sizes.gather_planes(array, positions) for array in (values, places))
    return sizes.spread_planes(place(sources, targets, plane), outputs)


def _flat_indices(places: jax.Array, positions: tuple[int, ...], plane: int) -> jax.Array:
    """Flat indices into the whole result, from flat indices into its planes; -1 if outside."""
    before, after = places.ndim + positions[0], places.ndim + positions[-1] + 1
    rows, columns = math.prod(places.shape[:before]), math.prod(places.shape[after:])
    place = places.reshape(rows, -1, columns)
    inside = (place >= 0) & (place < plane)
    row = np.arange(rows, dtype=np.int32)[:, None, None]
    whole = (row * np.int32(plane) + place.astype(np.int32)) * np.int32(columns)
    return jnp.where(inside, whole + np.arange(columns, dtype=np.int32)[None, None, :], -1)


def _place(values: jax.Array, places: jax.Array, plane: int) -> jax.Array:
    """Scatter into one plane: every position receives the last value with its index.

    A scatter-max of value numbers followed by a gather is deterministic in any execution order; a
    scatter of the values is not.
    """
    dtype = engine.place_dtype(max(values.size, plane + 1))
    numbers = jnp.arange(values.size, dtype=dtype)
    inside = (places >= 0) & (places < plane)
    places = jnp.where(inside, places, plane).astype(dtype)  # one extra position for the rest
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
