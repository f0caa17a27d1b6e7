"""Max unpooling: write values to the positions that `max_pool_with_argmax` returned."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxpool import engine
from jaxpool.checks import Ints
from jaxpool.engine.lower.take_along import compares, flat_indices, is_flat, take_along
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules.primitives import search
from jaxpool.pooling import arguments, sizes
from jaxpool.pooling.sharding import explicit_sharding


@explicit_sharding()
def max_unpool(
    values: ArrayLike, indices: ArrayLike, output_shape: Ints, *, axes: Ints | None = None
) -> jax.Array:
    """A plane of zeros with every value written at its index.

    An int `output_shape` reads 3-D `values` as (batch, length, channels); for one image give two
    ints, such as `(4, 4)`.

        y[p] = values[o] for the last o (row-major) with indices[o] == p; 0 if there is none

    A value that another value overwrites has derivative 0.

    Args:
        values: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        indices: Array of the same shape, of an integer dtype: flat row-major positions in the plane
            of the output (pooled axes in ascending order). A value with index -1 is dropped.
        output_shape: Sizes of the spatial axes of the result. An int applies to every axis except
            the first and the last (or to all of `axes`); d ints are the sizes of the d axes before
            the last one.
        axes: Indices of the pooled axes, for any other layout.

    Returns:
        Array of the dtype of `values`, with the shape of `values` except along the pooled axes,
        which have the sizes of `output_shape`.

    Raises:
        TypeError: `values` is not an array of real numbers, `indices` is not an array of integers,
            or `output_shape` or `axes` are not ints.
        ValueError: The shapes of `indices` and `values` differ, `values` has too few axes or is
            empty along a pooled axis, a size in `output_shape` is less than 1, `axes` has an index
            out of range or a duplicate, a sequence does not have one entry per pooled axis, or an
            index lies outside the plane; or the plane has more than 2^31 - 2 elements, and
            `jax_enable_x64` is not set. (Traced indices, for example under `jit`, cannot be
            checked; values whose index lies outside the plane are then dropped.)

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
    if positions == tuple(range(positions[0], positions[-1] + 1)):
        before, after = values.shape[: positions[0]], shape[len(shape) + positions[-1] + 1 :]
        view = (*before, -1, math.prod(after))
        return _place(values.reshape(view), places.reshape(view), plane).reshape(shape)
    planes, numbers = (sizes.gather_planes(x, positions)[..., None] for x in (values, places))
    return sizes.spread_planes(_place(planes, numbers, plane)[..., 0], outputs)


def _place(values: jax.Array, places: jax.Array, plane: int) -> jax.Array:
    """Scatter `(*batch, values, channels)` into planes: every position gets its last value.

    A scatter-max of value numbers followed by a gather is deterministic in any execution order; a
    scatter of the values is not.
    """
    dtype = engine.place_dtype(max(values.shape[-2], plane + 1), "output_shape")
    inside = (places >= 0) & (places < plane)
    places = jnp.where(inside, places, plane).astype(dtype)
    last = _last_numbers(places, plane=plane)
    places = jnp.where(inside & _are_last(places, last), places, -1)
    return engine.invertible_gather(values, [last], [places], axis=-2)


def _last_numbers_code(places: jax.Array, *, plane: int, target: Target) -> jax.Array:
    """For each position of a plane, the number of the last value with this index; -1 for none.

    An index of `plane` has no position: it becomes number -1 at position 0, which changes nothing.
    """
    *batch, count, channels = places.shape
    exists = places < plane
    numbers = lax.broadcasted_iota(places.dtype, places.shape, places.ndim - 2)
    numbers, places = jnp.where(exists, numbers, -1), jnp.where(exists, places, 0)

    if compares(count, target):
        positions = jnp.arange(plane, dtype=places.dtype)[:, None, None]
        every = jnp.where(places[..., None, :, :] == positions, numbers[..., None, :, :], -1)
        return jnp.max(every, -2)

    def last(places: jax.Array, numbers: jax.Array, size: int) -> jax.Array:
        nothing = jnp.full(size, -1, numbers.dtype)
        return nothing.at[places].max(numbers, mode="promise_in_bounds")

    if is_flat((*batch, max(count, plane), channels), target):
        # All planes as one: a scatter into many planes needs one index per axis (2x slower on CPU).
        total = math.prod(batch) * plane * channels
        flat = last(flat_indices(places, plane, -2), numbers.reshape(-1), total)
        return flat.reshape(*batch, plane, channels)
    function = jax.vmap(functools.partial(last, size=plane), in_axes=1, out_axes=1)
    for _ in batch:
        function = jax.vmap(function)
    return function(places, numbers)


def _are_last_code(places: jax.Array, last: jax.Array, *, target: Target) -> jax.Array:
    """Whether each value is the last one with its index."""
    count = places.shape[-2]
    if compares(count, target):  # whether no later value has the same index
        same = places[..., None, :, :] == places[..., :, None, :]
        later = np.arange(count) > np.arange(count)[:, None]
        return ~jnp.any(same & later[..., None], -2)
    found = take_along(last, jnp.minimum(places, last.shape[-2] - 1), -2, target)
    return found == lax.broadcasted_iota(found.dtype, found.shape, found.ndim - 2)


_last_numbers = search("jaxpool_last_numbers", _last_numbers_code, ["plane"])
_are_last = search("jaxpool_are_last", _are_last_code, [])


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
                    f"indices must lie in the plane of output_shape, [0, {plane}), or be -1 to "
                    f"drop the value, got {number}"
                )
    return array
