"""Read elements along one axis at computed positions, as `jnp.take_along_axis` does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import TPU, TPUS, Target, is_portable


def take_along(x: jax.Array, numbers: jax.Array, axis: int, target: Target) -> jax.Array:
    """The elements `numbers`, all in range, along `axis`, which is counted from the end."""
    if compares(x.shape[axis], target):
        return _by_comparison(x, numbers, axis)
    flat = is_flat(x.shape, target) and is_flat(numbers.shape, target)
    if not flat or replaced(x.shape, axis, numbers.shape[axis]) != numbers.shape:
        return jnp.take_along_axis(x, numbers, axis, mode="clip")
    at = flat_indices(numbers, x.shape[axis], axis)
    return x.reshape(-1).at[at].get(mode="promise_in_bounds").reshape(numbers.shape)


def compares(size: Any, target: Target) -> bool:
    """Whether to compare each position with all `size` indices, instead of a gather or a scatter.

    XLA:TPU gathers and scatters one element at a time.
    """
    short = isinstance(size, int) and size <= tuning.COMPARED
    return short and target in (TPU, TPUS) and not is_portable.value


def is_flat(shape: Sequence[Any], target: Target) -> bool:
    """Whether to index an array of this shape as one axis, by one index per element.

    XLA cannot partition a flat array among several devices.
    """
    size = math.prod(shape)
    return not target.is_divided and isinstance(size, int) and 0 < size < 2**31


def flat_indices(numbers: jax.Array, size: int, axis: int) -> jax.Array:
    """Indices into the flattened array, from indices along `axis`, which has `size` elements."""
    axis += numbers.ndim
    before, after = math.prod(numbers.shape[:axis]), math.prod(numbers.shape[axis + 1 :])
    rows = np.arange(before, dtype=np.int32)[:, None, None] * np.int32(size)
    columns = jnp.arange(after, dtype=np.int32)[None, None, :]
    places = numbers.reshape(before, -1, after).astype(np.int32)
    return ((places + rows) * np.int32(after) + columns).reshape(-1)


def _by_comparison(x: jax.Array, numbers: jax.Array, axis: int) -> jax.Array:
    """For each number, the sum over all indices of the element's bits if they are equal, else 0."""
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    if floating:  # a sum of floats would lose -0
        bits = lax.bitcast_convert_type(x, np.dtype(f"uint{8 * x.dtype.itemsize}"))
    else:
        bits = x.astype(np.int64 if x.dtype.itemsize == 8 else np.int32)
    index = lax.broadcasted_iota(
        numbers.dtype, replaced([1] * x.ndim, axis, x.shape[axis]), axis + x.ndim
    )
    bits, index = (jnp.expand_dims(a, axis + x.ndim) for a in (bits, index))
    wanted = jnp.expand_dims(numbers, axis + x.ndim + 1)
    found = jnp.where(wanted == index, bits, np.zeros((), bits.dtype))
    total = jnp.sum(found, axis + found.ndim, dtype=bits.dtype)
    return lax.bitcast_convert_type(total, x.dtype) if floating else total.astype(x.dtype)


def replaced(shape: Sequence[Any], axis: int, size: Any) -> tuple[Any, ...]:
    """`shape` with another size along one axis."""
    result = list(shape)
    result[axis] = size
    return tuple(result)
