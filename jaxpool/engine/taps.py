"""Reading windows tap by tap: strided slices of the input, and their adjoint, the phases.

Output `o` and tap `t` of an axis meet at input `i = o * stride + t * dilation - low`.

- *Forward*, tap `t` of all outputs is one strided slice of the input.
- *Backward*, write `i + low = q * stride + r` with the phase `r < stride`. Input `(q, r)` is read
  by output `q - j` through the one tap `t` with `t * dilation = j * stride + r`. So a handful of
  shifts `j`, each serving all phases at once, cover every reader of every input: no scatter.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import NO_TAP, Axis, Reader, Uneven
from jaxpool.engine import rows
from jaxpool.engine.target import CPU, Target
from jaxpool.window import Window

# A search that visits more taps than this does so in a loop, of which UNROLL turns are one kernel.
# Spelt out, XLA:CPU would store what each tap reads, and they would take long to compile (median of
# 1x512x512x1, k15 s1: 788 -> 9 inputs of temporaries, 1.2 -> 0.08 s; k31 compiles in 0.5 s, not
# 88).
FEW, UNROLL = 25, 8


def every_tap(window: Window) -> Iterator[tuple[int, ...]]:
    """The taps of a window in row-major order, one number an axis."""
    return itertools.product(*(range(axis.window) for axis in window.axes))


def read(x: jax.Array, window: Window, tap: tuple[int, ...]) -> jax.Array:
    """The elements that `tap` reads, for the outputs whose tap lies inside the image."""
    start, limit, step = [0] * x.ndim, list(x.shape), [1] * x.ndim
    for position, axis, t in zip(window.positions, window.axes, tap, strict=True):
        first, last = axis.inside(t)
        if first == last:
            limit[position] = 0
        else:
            # (XLA divides a slice with a stride and one element among several devices wrongly.)
            step[position] = axis.stride if last - first > 1 else 1
            start[position] = first * axis.stride + t * axis.dilation - axis.low
            limit[position] = start[position] + (last - first - 1) * axis.stride + 1
    return lax.slice(x, start, limit, step)


def read_at(x: jax.Array, window: Window, tap: Any) -> jax.Array:
    """What a tap, whose numbers may be traced, reads of an array that the window fits exactly.

    Args:
        x: The array, which has an element for every tap of every output.
        window: The windows.
        tap: One number per pooled axis: NumPy's, or traced ones in a loop over taps.
    """
    if isinstance(tap, np.ndarray):
        return read(x, window, tuple(map(int, tap)))
    starts = [tap[i] * axis.dilation for i, axis in enumerate(window.axes)]
    spans = [(axis.output - 1) * axis.stride + 1 for axis in window.axes]
    part = cut(x, window, starts, spans)
    strides = [1] * x.ndim
    for position, axis in zip(window.positions, window.axes, strict=True):
        strides[position] = axis.stride if axis.output > 1 else 1
    return lax.slice(part, [0] * x.ndim, part.shape, strides)


def add_at(x: jax.Array, y: jax.Array, window: Window, tap: Any) -> jax.Array:
    """The adjoint of `read_at`: `x`, with `y` added to the elements that the tap reads."""
    config, starts = [(0, 0, 0)] * x.ndim, [np.int32(0)] * x.ndim
    for i, (position, axis) in enumerate(zip(window.positions, window.axes, strict=True)):
        config[position] = (0, 0, axis.stride - 1)
        starts[position] = tap[i] * axis.dilation
    y = pad(y, np.zeros((), y.dtype), config)
    return lax.dynamic_update_slice(x, lax.dynamic_slice(x, starts, y.shape) + y, starts)


def cut(x: jax.Array, window: Window, starts: Sequence[Any], sizes: Sequence[int]) -> jax.Array:
    """So many elements from there on, along the pooled axes."""
    begin: list[Any] = [np.int32(0)] * x.ndim
    size = list(x.shape)
    for position, start, length in zip(window.positions, starts, sizes, strict=True):
        begin[position], size[position] = start, length
    if not any(isinstance(start, jax.Array) for start in starts):
        return lax.slice(x, begin, [b + n for b, n in zip(begin, size, strict=True)])
    return lax.dynamic_slice(x, begin, size)


def loop(step: Callable[..., Any], start: Any, window: Window) -> Any:
    """`step(carry, number, tap)` for every tap in row-major order, as a loop of the program."""
    sizes = [axis.window for axis in window.axes]

    def turn(number: jax.Array, carry: Any) -> Any:
        tap = []
        rest = number
        for size in reversed(sizes):
            tap.insert(0, rest % size)
            rest = rest // size
        return step(carry, number, tap)

    return lax.fori_loop(0, window.taps, turn, start, unroll=UNROLL)


def elements(
    x: jax.Array,
    window: Window,
    fill: np.ndarray | None,
    only: Iterable[tuple[int, ...]] | None = None,
    *,
    target: Target,
    clamp: bool = False,
    by_copy: bool = False,
    widen: bool = False,
) -> list[jax.Array]:
    """The elements that taps read, for every output.

    Args:
        x: The input.
        window: The windows.
        fill: What stands where there is no element; None for anything.
        only: The taps; None for all of them, in row-major order.
        target: For what device this is.
        clamp: Whether, where there is no element, that at the edge may stand.
        by_copy: Whether what lies beyond the last axis is worth a copy (see `rows.source`).
        widen: Whether to make it `rows.wide`: after slicing, which would else read a copy that is
            made first (mean of 16x112x112x64, k8 s8, in bfloat16: 3.4 ms, and 0.9), but before
            gathering, as gathers of bfloat16 do not vectorise.

    Returns:
        One output-shaped array a tap.
    """
    some = list(every_tap(window) if only is None else only)
    if target is not CPU and window.is_even:
        x = rows.wide(x) if widen else x
        return [_padded(x, window, tap, fill) for tap in some]
    numbers = [_rows(window, tap) for tap in some]
    if widen and not all(rows.sliced(every, x.shape) for every in numbers):
        x = rows.wide(x)
    take = (
        rows.source(x, numbers, fill, target=target) if by_copy else functools.partial(rows.take, x)
    )
    read = [take(every, fill, clamp=clamp) for every in numbers]
    if widen:
        read = list(map(rows.wide, read))
    if window.is_even or fill is None or clamp:
        return read
    return [_filled(element, window, tap, fill) for element, tap in zip(read, some, strict=True)]


def weighted(every: list[jax.Array], window: Window) -> list[jax.Array]:
    """What the elements of all taps count for, where axes have weights."""
    for index, axis in enumerate(window.axes):
        if axis.weights is not None:
            factors = [axis.weights[tap[index]] for tap in every_tap(window)]
            every = [x * np.array(f, x.dtype) for x, f in zip(every, factors, strict=True)]
    return every


def weighted_by_readers(x: jax.Array, window: Window, readers: tuple[Reader, ...]) -> jax.Array:
    """What every input counts for in what these readers have read."""
    for axis, position, reader in zip(window.axes, window.positions, readers, strict=True):
        if axis.weights is not None:
            factors = np.array(axis.weights, x.dtype)[reader.taps]  # (no tap's is never used)
            x *= jnp.asarray(rows.along(factors, position, x.ndim))
    return x


def _filled(x: jax.Array, window: Window, tap: tuple[int, ...], fill: np.ndarray) -> jax.Array:
    there = exists(window, tap, x.ndim)
    return x if there is None else jnp.where(there, x, fill.astype(x.dtype))


def hold_edges(window: Window) -> bool:
    """Whether all windows that reach beyond an edge of the image hold what is at that edge."""
    return all(map(_holds_its_edge, window.axes))


def _holds_its_edge(axis: Axis | Uneven) -> bool:
    if isinstance(axis, Uneven):
        return True  # (and what stands for a tap that does not exist is another one's)
    first, last = -axis.low, (axis.output - 1) * axis.stride - axis.low
    inside = first >= 0 and last + axis.extent <= axis.size
    gapless = axis.dilation <= axis.covers
    return inside or (gapless and first + axis.extent > 0 and last < axis.size)


def _padded(
    x: jax.Array, window: Window, tap: tuple[int, ...], fill: np.ndarray | None
) -> jax.Array:
    config = [(0, 0, 0)] * x.ndim
    for position, axis, t in zip(window.positions, window.axes, tap, strict=True):
        first, last = axis.inside(t)
        config[position] = (first, axis.output - last, 0)
    return pad(read(x, window, tap), np.zeros((), x.dtype) if fill is None else fill, config)


def exists(window: Window, tap: tuple[int, ...], ndim: int) -> jax.Array | None:
    """For which outputs `tap` reads inside the image, to broadcast; None if for all."""
    every = [
        jnp.asarray(rows.along(there, position, ndim))
        for position, axis, t in zip(window.positions, window.axes, tap, strict=True)
        if not (there := axis.exists(t)).all()
    ]
    return functools.reduce(operator.and_, every) if every else None


def all_exist(window: Window) -> bool:
    """Whether every tap of every output reads inside the image."""
    return all(axis.exists(tap).all() for axis in window.axes for tap in range(axis.window))


def _rows(window: Window, tap: tuple[int, ...]) -> dict[int, np.ndarray]:
    """What `tap` reads: numbers of input positions, one an output, for each pooled axis."""
    return {
        position: axis.rows(t)
        for position, axis, t in zip(window.positions, window.axes, tap, strict=True)
    }


def pad(x: jax.Array, fill: np.ndarray, config: list[tuple[int, int, int]]) -> jax.Array:
    """`lax.pad`, left out where it would do nothing."""
    if all(c == (0, 0, 0) for c in config):
        return x
    return lax.pad(x, np.asarray(fill, x.dtype), config)


def pad_to_reach(x: jax.Array, window: Window, fill: np.ndarray) -> tuple[jax.Array, Window]:
    """Pad (or crop) the input so that the windows fit it exactly; and the window on the result."""
    config = [(0, 0, 0)] * x.ndim
    axes = []
    for position, axis in zip(window.positions, window.axes, strict=True):
        low, high = axis.reach
        config[position] = (low, high, 0)
        axes.append(Axis(axis.size + low + high, axis.window, axis.stride, axis.dilation))
    return pad(x, fill, config), Window(window.positions, tuple(axes))


@dataclass(frozen=True)
class Shift:
    """One shift of the backward reading: per axis `j`, and the tap number of each phase."""

    shifts: tuple[int, ...]
    taps: np.ndarray  # (stride_1, ..., stride_d), row-major tap numbers or NO_TAP


def phases(window: Window) -> list[int]:
    """How many groups of `stride` inputs each axis has, the padded low side included."""
    return [-(-(axis.size + axis.low) // axis.stride) for axis in window.axes]


def every_shift(window: Window) -> list[Shift]:
    """The shifts that together reach every (input, reader) pair of a window once."""
    per_axis = []
    for axis in window.axes:
        groups: dict[int, list[int]] = {}
        for t in range(axis.window):
            j, r = divmod(t * axis.dilation, axis.stride)
            groups.setdefault(j, [NO_TAP] * axis.stride)[r] = t
        per_axis.append(sorted(groups.items()))
    result = []
    for combination in itertools.product(*per_axis):
        taps = np.zeros((), np.int64)
        used = np.ones((), bool)
        for axis, (_, numbers) in zip(window.axes, combination, strict=True):
            numbers = np.array(numbers)
            taps = taps[..., None] * axis.window + numbers
            used = used[..., None] & (numbers != NO_TAP)
        result.append(Shift(tuple(j for j, _ in combination), np.where(used, taps, NO_TAP)))
    return result


def readers(window: Window) -> Iterator[tuple[dict[int, np.ndarray], tuple[Reader, ...]]]:
    """Combinations of one reader an axis, each with the rows of the output that it stands for."""
    for every in itertools.product(*(axis.readers() for axis in window.axes)):
        outputs = (reader.outputs for reader in every)
        yield dict(zip(window.positions, outputs, strict=True)), every


def reads(window: Window, every: tuple[Reader, ...], ndim: int) -> jax.Array | None:
    """Which inputs these readers do read, to broadcast; None if all."""
    found = [
        jnp.asarray(rows.along(reader.taps != NO_TAP, position, ndim))
        for reader, position in zip(every, window.positions, strict=True)
        if (reader.taps == NO_TAP).any()
    ]
    return functools.reduce(operator.and_, found) if found else None
