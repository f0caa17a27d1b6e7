"""Gather rows by constant, maybe out-of-bounds indices, without one branch per element.

XLA:CPU turns `lax.pad` inside a loop into a branch, and LLVM no longer vectorises a loop with more
than about three of them. A gather of constant, clamped row numbers is a load whose address depends
on the row only, so the inner loop over the other axes has no branch (k3 s1 SAME on 32x28x28x256,
backward: 56 with pads -> 14 ms with clamped rows).

The last axis of an array is the inner loop itself: there, rows are slices of a padded copy
(`reader`).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine.lower.isolate import isolate
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import CPU, Target
from jaxpool.window import Window

# Row numbers per axis, counted from the end.
Numbers = Mapping[int, np.ndarray]


def take(
    x: jax.Array,
    numbers: Numbers,
    fill: np.ndarray | None = None,
    *,
    clamp: bool = False,
    padded: bool = False,
    divided: bool = False,
) -> jax.Array:
    """Rows of `x` along some axes.

    Args:
        x: The array.
        numbers: The indices of the rows to take.
        fill: The value of out-of-bounds rows; None for any value.
        clamp: Whether out-of-bounds rows may hold the nearest row instead of `fill`.
        padded: Whether to slice and pad evenly spaced rows on any axis, for compilers that do not
            compile a pad to a branch.
        divided: Whether XLA partitions the program among several devices. XLA gathers merged axes
            from all devices.

    Returns:
        An array with one row per number along each of these axes.
    """
    exists: list[jax.Array] = []
    nothing = np.asarray(0 if fill is None else fill, x.dtype)
    if not padded and any(x.shape[position] == 0 for position in numbers):
        shape = [len(numbers.get(i - x.ndim, range(n))) for i, n in enumerate(x.shape)]
        return jnp.full(shape, nothing)
    slices, gathered = {}, {}
    config = [(0, 0, 0)] * x.ndim
    for position, rows in numbers.items():
        inside = (rows >= 0) & (rows < x.shape[position])
        if (inside.all() or position == -1 or padded) and _step(rows):
            first, last = map(int, np.searchsorted(rows, [0, x.shape[position]]))
            slices[position] = rows[first:last]
            config[position] = (first, len(rows) - last, 0)
        else:
            gathered[position] = rows
            if not inside.all():
                exists.append(jnp.asarray(along(inside, position, x.ndim)))
    x = pad(_slice(x, slices), nothing, config)
    for position, rows in gathered.items():
        x = _gather(x, position, rows, merge=not divided)
    if fill is None or clamp or not exists:
        return x
    return jnp.where(functools.reduce(operator.and_, exists), x, nothing)


def pad(x: jax.Array, fill: np.ndarray, config: Sequence[tuple[int, int, int]]) -> jax.Array:
    """`lax.pad`, omitted if all padding is 0."""
    if all(c == (0, 0, 0) for c in config):
        return x
    return lax.pad(x, np.asarray(fill, x.dtype), config)


def pad_pooled(
    x: jax.Array, window: Window, fill: np.ndarray, config: Iterable[tuple[int, int, int]]
) -> jax.Array:
    """`pad` with one (low, high, interior) per pooled axis."""
    return pad(x, fill, window.replaced([(0, 0, 0)] * x.ndim, config))


def are_slices(numbers: Numbers, shape: Sequence[Any]) -> bool:
    """Whether the rows are slices of an array of shape `shape`."""
    return all(
        _step(rows) and len(rows) > 0 and rows[0] >= 0 and rows[-1] < shape[position]
        for position, rows in numbers.items()
    )


def reader(
    x: jax.Array, every: Sequence[Numbers], fill: np.ndarray | None = None, *, target: Target
) -> Callable[..., jax.Array]:
    """`take` from an array that is read several times; `every` lists the indices of all reads.

    If indices are out of bounds on the last axis, the array is padded once in a copy, because a
    loop with one pad per read does not vectorise (k3 s1 on 8x512x512x3, with gradient: 116 -> 26
    ms).
    """
    ends = [numbers[-1] for numbers in every if -1 in numbers and consecutive(numbers[-1])]
    low = max([0, *(-int(rows[0]) for rows in ends)])
    high = max([0, *(int(rows[-1]) + 1 - x.shape[-1] for rows in ends)])
    if target is not CPU or low == high == 0:
        return functools.partial(take, x, divided=target.is_divided)
    nothing = np.asarray(0 if fill is None else fill, x.dtype)
    config = [(0, 0, 0)] * (x.ndim - 1) + [(low, high, 0)]
    copy = isolate(lambda x: lax.pad(x, nothing, config), x, target=target)

    def take_from_copy(numbers: Numbers, *arguments: Any, **options: Any) -> jax.Array:
        return take(copy, {**numbers, -1: numbers[-1] + low}, *arguments, **options)

    return take_from_copy


def along(row: np.ndarray, position: int, ndim: int) -> np.ndarray:
    """One number per row, shaped to broadcast against an array of `ndim` axes."""
    shape = [1] * ndim
    shape[position] = len(row)
    return row.reshape(shape)


def all_along(rows: Sequence[np.ndarray], positions: Sequence[int], ndim: int) -> jax.Array | None:
    """The conjunction of one mask per axis, shaped to broadcast; None if all are True."""
    partly = [
        jnp.asarray(along(row, position, ndim))
        for row, position in zip(rows, positions, strict=True)
        if not row.all()
    ]
    return functools.reduce(operator.and_, partly) if partly else None


def consecutive(rows: np.ndarray) -> bool:
    """Whether the row indices are consecutive."""
    return len(rows) > 0 and _step(rows) == 1


def _step(rows: np.ndarray) -> int:
    """The distance between rows if it is constant and positive, else 0.

    XLA partitions a slice of one element with a step above 1 incorrectly among several devices.
    """
    if len(rows) < 2:
        return 1
    step = int(rows[1]) - int(rows[0])
    return step if step > 0 and (np.diff(rows) == step).all() else 0


def slice_inside(x: jax.Array, numbers: Numbers) -> jax.Array:
    """The in-bounds rows of evenly spaced rows."""
    inside = {p: rows[(rows >= 0) & (rows < x.shape[p])] for p, rows in numbers.items()}
    return _slice(x, inside)


def _slice(x: jax.Array, slices: Numbers) -> jax.Array:
    """The rows, by a single slice: XLA:CPU would round between two slices of bfloat16."""
    start, limit, step = [0] * x.ndim, list(x.shape), [1] * x.ndim
    for position, rows in slices.items():
        start[position] = int(rows[0]) if len(rows) else 0
        limit[position] = int(rows[-1]) + 1 if len(rows) else 0
        step[position] = _step(rows)
    return lax.slice(x, start, limit, step) if slices else x


def _gather(x: jax.Array, position: int, rows: np.ndarray, *, merge: bool) -> jax.Array:
    """The rows; out-of-bounds indices are clamped.

    XLA transposes a gathered axis to the front and back. It may move the second transpose to the
    end of the computation, where it becomes a copy. If `merge`, axes before the gathered axis are
    merged with it.
    """
    axis = x.ndim + position
    before, size, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    numbers = rows = np.clip(rows, 0, size - 1).astype(np.int32)
    known = merge and all(isinstance(n, int) for n in before)
    count = math.prod(before) if known else 0
    if known and (position == -1 or count * len(rows) <= tuning.ROW_NUMBERS):
        if count * len(rows) <= tuning.ROW_NUMBERS:  # a constant: computing it may not vectorise
            first = np.arange(count, dtype=np.int32)[:, None]
            numbers = jnp.asarray(first * np.int32(size) + rows)
        else:
            first = lax.broadcasted_iota(np.int32, (count, len(rows)), 0)
            numbers = first * np.int32(size) + rows
        x, numbers, axis = x.reshape(count * size, *after), numbers.reshape(-1), 0
    layout = lax.GatherDimensionNumbers(
        offset_dims=tuple(i for i in range(x.ndim) if i != axis),
        collapsed_slice_dims=(axis,),
        start_index_map=(axis,),
    )
    mode = lax.GatherScatterMode.PROMISE_IN_BOUNDS  # clipped above
    sizes = [*x.shape[:axis], 1, *x.shape[axis + 1 :]]
    taken = lax.gather(x, numbers[:, None], layout, sizes, mode=mode)
    return taken.reshape(*before, len(rows), *after)
