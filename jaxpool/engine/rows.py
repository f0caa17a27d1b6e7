"""Reading numbered rows of an array, some of which may not exist, without a branch an element.

XLA:CPU turns `lax.pad` inside a loop into a branch, and LLVM gives up vectorising after about
three of them. A gather of constant, clamped row numbers is a load whose address changes with the
row only, so the loop over the rest of the array stays straight (k3 s1 SAME with its derivative, on
32x28x28x256: 56 ms of CPU for the backward pass with pads, 14 with clamped rows).

The last axis of an array is the loop itself: there, neighbours are sliced, from a copy that holds
what lies beyond the ends (`source`).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine.isolate import isolate
from jaxpool.engine.target import CPU, Target

# The most numbers of rows that a program holds as a constant: 4 MB.
MOST_NUMBERS = 2**20


def wide(x: jax.Array) -> jax.Array:
    """`x` in the precision in which to compute inside a step (see `wide_dtype`)."""
    return x.astype(wide_dtype(x.dtype))


def narrow(x: jax.Array, dtype: np.dtype, *, target: Target) -> jax.Array:
    """`x` in `dtype`, rounded to nearest, ties to even.

    From float32 to bfloat16, on XLA:CPU, by integers: a carry out of the lower half rounds up, and
    what is NaN has its quiet bit set, lest the carry make it a number (mean of 32x28x28x256, k2 s2,
    in ms of wall time: 0.90 by XLA's own conversion, 0.75 like this).
    """
    if not (target is CPU and x.dtype == np.float32 and dtype == jnp.bfloat16):
        return x.astype(dtype)
    bits = lax.bitcast_convert_type(x, np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = jnp.where(jnp.isnan(x), bits | np.uint32(1 << 22), bits + np.uint32(0x7FFF) + odd)
    return lax.bitcast_convert_type((rounded >> np.uint32(16)).astype(np.uint16), dtype)


def wide_dtype(dtype: np.dtype) -> np.dtype:
    """float32 for anything narrower.

    XLA:CPU would round after every operation, one by one (max of 8x112x112x64, k3 s2, in bfloat16:
    52 ms, and 7 like this). For a maximum nothing changes; a sum is rounded once.
    """
    narrow = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
    return np.dtype(np.float32) if narrow else dtype


def take(
    x: jax.Array,
    numbers: Mapping[int, np.ndarray],
    fill: np.ndarray | None = None,
    *,
    clamp: bool = False,
) -> jax.Array:
    """Rows of `x` along some axes.

    Args:
        x: The array.
        numbers: For an axis, counted from the end, the numbers of the rows to take.
        fill: What stands where a number is not that of a row; None for whatever is cheapest.
        clamp: Whether the nearest row may stand there as well.

    Returns:
        The rows, as many along each axis as it has numbers.
    """
    exists: list[jax.Array] = []
    nothing = np.asarray(0 if fill is None else fill, x.dtype)
    if any(x.shape[position] == 0 for position in numbers):
        shape = [len(numbers.get(i - x.ndim, range(n))) for i, n in enumerate(x.shape)]
        return jnp.full(shape, nothing)
    slices, gathered = {}, {}
    config = [(0, 0, 0)] * x.ndim
    for position, rows in numbers.items():
        inside = (rows >= 0) & (rows < x.shape[position])
        if (inside.all() or position == -1) and _step(rows):
            first, last = map(int, np.searchsorted(rows, [0, x.shape[position]]))
            slices[position] = rows[first:last]
            config[position] = (first, len(rows) - last, 0)
        else:
            gathered[position] = rows
            if not inside.all():
                exists.append(jnp.asarray(along(inside, position, x.ndim)))
    x = _slice(x, slices)
    if any(side for low, high, _ in config for side in (low, high)):
        x = lax.pad(x, nothing, config)
    for position, rows in gathered.items():
        x = _gather(x, position, rows)
    if fill is None or clamp or not exists:
        return x
    return jnp.where(functools.reduce(operator.and_, exists), x, nothing)


def sliced(numbers: Mapping[int, np.ndarray], shape: Sequence[Any]) -> bool:
    """Whether these rows are slices of an array of that shape."""
    return all(
        _step(rows) and len(rows) > 0 and rows[0] >= 0 and rows[-1] < shape[position]
        for position, rows in numbers.items()
    )


def source(
    x: jax.Array,
    every: Sequence[Mapping[int, np.ndarray]],
    fill: np.ndarray | None = None,
    *,
    target: Target,
) -> Callable[..., jax.Array]:
    """`take`, from an array that is read several times: `every` lists the numbers to come.

    Where they go beyond the ends of the last axis, those are laid down in a copy once, since a pad
    a read would not vectorise (k3 s1 with its derivative on 8x512x512x3: 116 ms, and 26 like this).
    """
    ends = [numbers[-1] for numbers in every if -1 in numbers and consecutive(numbers[-1])]
    low = max([0, *(-int(rows[0]) for rows in ends)])
    high = max([0, *(int(rows[-1]) + 1 - x.shape[-1] for rows in ends)])
    if target is not CPU or low == high == 0:
        return functools.partial(take, x)
    nothing = np.asarray(0 if fill is None else fill, x.dtype)
    config = [(0, 0, 0)] * (x.ndim - 1) + [(low, high, 0)]
    copy = isolate(lambda x: lax.pad(x, nothing, config), x, target=target)

    def take_from_copy(numbers: Mapping[int, np.ndarray], *arguments: Any, **options: Any):
        return take(copy, {**numbers, -1: numbers[-1] + low}, *arguments, **options)

    return take_from_copy


def along(row: np.ndarray, position: int, ndim: int) -> np.ndarray:
    """One number a row, shaped to broadcast against an array of `ndim` axes."""
    shape = [1] * ndim
    shape[position] = len(row)
    return row.reshape(shape)


def consecutive(rows: np.ndarray) -> bool:
    """Whether these are the numbers of neighbours."""
    return len(rows) > 0 and _step(rows) == 1


def _step(rows: np.ndarray) -> int:
    """The distance between the rows where it is the same everywhere and ascends, else 0."""
    if len(rows) < 2:
        return 1
    step = int(rows[1]) - int(rows[0])
    return step if step > 0 and (np.diff(rows) == step).all() else 0


def _slice(x: jax.Array, slices: Mapping[int, np.ndarray]) -> jax.Array:
    """These rows, in one slice: of bfloat16, XLA:CPU would round between two of them."""
    start, limit, step = [0] * x.ndim, list(x.shape), [1] * x.ndim
    for position, rows in slices.items():
        start[position] = int(rows[0]) if len(rows) else 0
        limit[position] = int(rows[-1]) + 1 if len(rows) else 0
        step[position] = _step(rows)
    return lax.slice(x, start, limit, step) if slices else x


def _gather(x: jax.Array, position: int, rows: np.ndarray) -> jax.Array:
    """These rows, of which those outside stand for the nearest.

    XLA moves a gathered axis first, and back. The way back may sink to the end of all that is
    computed, and become a copy; so axes before the gathered one are made part of it.
    """
    axis = x.ndim + position
    before, size, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    rows = np.clip(rows, 0, size - 1).astype(np.int32)
    known = all(isinstance(n, int) for n in before)
    if not known or (position != -1 and math.prod(before) * len(rows) > MOST_NUMBERS):
        return _numbered(x, rows, axis)
    count = math.prod(before)
    if count * len(rows) <= MOST_NUMBERS:  # a constant, as its computation may not vectorise
        numbers = jnp.asarray(np.arange(count, dtype=np.int32)[:, None] * np.int32(size) + rows)
    else:
        numbers = lax.broadcasted_iota(np.int32, (count, len(rows)), 0) * np.int32(size) + rows
    taken = _numbered(x.reshape(count * size, *after), numbers.reshape(-1), 0)
    return taken.reshape(*before, len(rows), *after)


def _numbered(x: jax.Array, numbers: np.ndarray | jax.Array, axis: int) -> jax.Array:
    """`jnp.take` of numbers that are known to be inside."""
    sizes = [*x.shape[:axis], 1, *x.shape[axis + 1 :]]
    layout = lax.GatherDimensionNumbers(
        offset_dims=tuple(i for i in range(x.ndim) if i != axis),
        collapsed_slice_dims=(axis,),
        start_index_map=(axis,),
    )
    mode = lax.GatherScatterMode.PROMISE_IN_BOUNDS
    return lax.gather(x, numbers[:, None], layout, sizes, mode=mode)
