"""Reading numbered rows of an array, some of which may not exist, without a branch an element.

XLA:CPU turns `lax.pad` inside a loop into a branch, and LLVM gives up vectorising after about
three of them. A gather of constant, clamped row numbers is a load whose address changes with the
row only, so the loop over the rest of the array stays straight (k3 s1 SAME with its derivative, on
32x28x28x256: 56 ms of CPU for the backward pass with pads, 14 with clamped rows).

The last axis of an array is the loop itself: there, neighbours are sliced and padded.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def take(
    x: jax.Array, numbers: Mapping[int, np.ndarray], fill: np.ndarray | None = None
) -> jax.Array:
    """Rows of `x` along some axes.

    Args:
        x: The array.
        numbers: For an axis, counted from the end, the numbers of the rows to take, ascending.
        fill: What stands where a number is not that of a row; None for whatever is cheapest.

    Returns:
        The rows, as many along each axis as it has numbers.
    """
    exists, nothing = [], np.asarray(0 if fill is None else fill, x.dtype)
    for position, rows in numbers.items():
        size = x.shape[position]
        if size == 0:
            shape = [len(numbers.get(i - x.ndim, range(n))) for i, n in enumerate(x.shape)]
            return jnp.full(shape, nothing)
        first, last = np.searchsorted(rows, [0, size])
        if last == len(rows) and first == 0 and _step(rows):
            x = _slice(x, position, rows)
        elif position == -1 and _step(rows):
            x = _slice(x, position, rows[first:last])
            config = [(0, 0, 0)] * (x.ndim - 1) + [(int(first), int(len(rows) - last), 0)]
            x = lax.pad(x, nothing, config)
        else:
            x = _gather(x, position, rows)
            if first or last < len(rows):
                exists.append(between(rows, size, position, x.ndim))
    if fill is None or not exists:
        return x
    return jnp.where(functools.reduce(operator.and_, exists), x, nothing)


def between(rows: np.ndarray, size: int, position: int, ndim: int) -> jax.Array:
    """Which numbers are those of rows, shaped to broadcast against an array of `ndim` axes."""
    return jnp.asarray(along((rows >= 0) & (rows < size), position, ndim))


def along(row: np.ndarray, position: int, ndim: int) -> np.ndarray:
    """One number a row, shaped to broadcast against an array of `ndim` axes."""
    shape = [1] * ndim
    shape[position] = len(row)
    return row.reshape(shape)


def _step(rows: np.ndarray) -> int:
    """The distance between the rows where it is the same everywhere, else 0."""
    if len(rows) < 2:
        return 1
    steps = np.unique(np.diff(rows))
    return int(steps[0]) if len(steps) == 1 else 0


def _slice(x: jax.Array, position: int, rows: np.ndarray) -> jax.Array:
    if not len(rows):
        return lax.slice_in_dim(x, 0, 0, axis=position)
    return lax.slice_in_dim(x, int(rows[0]), int(rows[-1]) + 1, _step(rows), axis=position)


def _gather(x: jax.Array, position: int, rows: np.ndarray) -> jax.Array:
    axis = x.ndim + position
    sizes = list(x.shape)
    sizes[axis] = 1
    layout = lax.GatherDimensionNumbers(
        offset_dims=tuple(i for i in range(x.ndim) if i != axis),
        collapsed_slice_dims=(axis,),
        start_index_map=(axis,),
    )
    # A constant: computed from an iota, two axes of them would not vectorise.
    column = np.clip(rows, 0, x.shape[axis] - 1).astype(np.int32)[:, None]
    mode = lax.GatherScatterMode.PROMISE_IN_BOUNDS
    taken = lax.gather(x, column, layout, sizes, indices_are_sorted=True, mode=mode)
    # XLA moves the gathered axis first and back. Without the barrier it would move the way back
    # down to the result, compute everything in that order, and copy.
    return lax.optimization_barrier(taken)
