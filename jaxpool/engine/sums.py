"""Windowed sums, and their adjoint: axis by axis, since a sum over a box is a sum of sums.

Wide windows are summed in log4(k) steps, each adding up four sums of a quarter of the width, and
never by prefix sums, whose differences would cancel.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import NO_TAP, Axis
from jaxpool.engine import blocks, layout, native, planner, rows, rules, taps
from jaxpool.engine.isolate import isolate
from jaxpool.engine.rules import NATIVE
from jaxpool.engine.target import CPU, TPU, TPUS, Target
from jaxpool.monoid import SUM
from jaxpool.window import Window

# What one more pass through memory costs, in taps, and from how many on a loop compiles slowly.
PASS, MOST = 4, 12

# Below this many elements, to add up a fused operand again costs less than to keep it apart.
SMALL = 16_384


@dataclass(frozen=True)
class Share:
    """What a sum is divided by, and in which precision.

    Attributes:
        dtype: The dtype in which to add up and divide; None for that of the array.
        counts: One tuple of divisors a pooled axis, one an output or one for all; the divisor of
            an output is their product.
    """

    dtype: np.dtype | None = None
    counts: tuple[tuple[float, ...], ...] = ()

    def wide(self, x: jax.Array) -> jax.Array:
        """The array in that precision."""
        return x if self.dtype is None else x.astype(self.dtype)

    def widens(self, x: jax.Array) -> bool:
        """Whether this is the precision in which the array's elements are best read."""
        return self.dtype == rows.wide_dtype(x.dtype)

    def of(self, total: jax.Array, window: Window) -> jax.Array:
        """Divide what each window has added up."""
        divisors = [
            np.array(numbers)
            if len(numbers) == 1
            else rows.along(np.array(numbers), position, total.ndim)
            for numbers, position in zip(self.counts, window.positions, strict=bool(self.counts))
        ]
        if not divisors:
            return total
        single = np.prod([d for d in divisors if d.size == 1])
        several = [jnp.asarray(d, total.dtype) for d in divisors if d.size > 1]
        divisor = functools.reduce(operator.mul, several, single.astype(total.dtype))
        return total / divisor

    def of_elements(self, row: int) -> Share:
        """The same, along a last pooled axis of which each position is a row of elements."""
        if row == 1 or not self.counts or len(self.counts[-1]) == 1:
            return self
        last = tuple(count for count in self.counts[-1] for _ in range(row))
        return Share(self.dtype, (*self.counts[:-1], last))


WHOLE = Share()


def windowed_sum(x: jax.Array, window: Window, share: Share, *, target: Target) -> jax.Array:
    """Each window's share of its sum, padding counting as 0."""
    if rules.rule(target, window).total is NATIVE:
        return share.of(_native(x, window, share), window).astype(x.dtype)
    few = window.taps <= _few(window, x.dtype)
    if window.is_tiling and (few or max(window.output) <= 1):
        return _sum_at_once(x, window, share, target=target)
    if few:
        by = layout.of(window, x.shape, target=target)
        step = functools.partial(
            _sum_at_once, window=by.window, share=share.of_elements(by.row), target=target
        )
        return by.restore(isolate(step, by.lay(x), target=target, small=SMALL))
    wide, widen = (x, True) if share.widens(x) else (share.wide(x), False)
    steps = [step for i in reversed(range(len(window.axes))) for step in _steps(window.only(i))]
    for number, step in enumerate(steps):
        # The last is open, for the division and what follows, unless it reads what comes before.
        last = number == len(steps) - 1 and (number > 0 or planner.doubles(step.axes[0]))
        by = layout.of(step, wide.shape, target=target)
        wide = by.restore(
            _sum_along(by.lay(wide), by.window, last=last, widen=widen, target=target)
        )
    return rows.narrow(share.of(wide, window), x.dtype, target=target)


def _native(x: jax.Array, window: Window, share: Share) -> jax.Array:
    """Sums by XLA's own windowed operations."""
    if any(axis.weights is not None for axis in window.axes):
        return native.filtered(x, window, share.dtype or x.dtype)
    return native.reduce(x, SUM, window, share.dtype)


def _few(window: Window, dtype: np.dtype) -> int:
    """Up to how many taps are best added up in one loop.

    More than of maxima in float16, which takes one instruction to widen (k4 s4 on 16x112x112x64, in
    ms: 1.4, and 1.9 in two passes; k5 s5: 1.4 and 1.6).
    """
    return planner.few(window, planner.FLOAT32 if dtype == jnp.float16 else dtype)


def _steps(along: Window) -> list[Window]:
    """Windows along one axis that compose to these."""
    (axis,) = along.axes
    parts = planner.tiling(axis, overlap=False) if axis.is_tiling else (axis,)
    return [Window(along.positions, (part,)) for part in parts]


def _sum_at_once(x: jax.Array, window: Window, share: Share, *, target: Target) -> jax.Array:
    """All taps, in one loop."""
    if blocks.fits(window, _few(window, x.dtype) + 1):
        wide = share.wide(x)
        zero = np.zeros((), wide.dtype)
        total = blocks.reduce(blocks.split(wide, window, zero), window, zero, lax.add)
    elif share.widens(x):
        total = _sum_of_taps(x, window, widen=True, target=target)
    else:
        total = _sum_of_taps(share.wide(x), window, target=target)
    return rows.narrow(share.of(total, window), x.dtype, target=target)


def _sum_along(
    x: jax.Array, window: Window, *, last: bool, widen: bool = False, target: Target
) -> jax.Array:
    """One axis, apart from its neighbours where fusing would repeat work (see `winner`)."""
    (axis,) = window.axes
    if planner.doubles(axis):
        return _by_parts(x, window, last=last, widen=widen, target=target)
    step = functools.partial(_sum_of_taps, window=window, widen=widen, target=target)
    return step(x) if last else isolate(step, x, target=target, small=SMALL)


def _sum_of_taps(x: jax.Array, window: Window, *, widen: bool = False, target: Target) -> jax.Array:
    zero = np.zeros((), x.dtype)
    every = taps.elements(x, window, zero, target=target, by_copy=True, widen=widen)
    return functools.reduce(lax.add, taps.weighted(every, window))


def _by_parts(
    x: jax.Array, window: Window, *, last: bool = False, widen: bool = False, target: Target
) -> jax.Array:
    """A wide axis: each window is so many narrower ones side by side, and the elements left over.

    The narrower sums are taken wherever one begins that holds an element, and once on each side
    where it holds none: that sum, 0, is what those farther out are as well.
    """
    (position,), (axis,) = window.positions, window.axes
    width = part(axis.window)
    if width == 1:
        step = functools.partial(_sum_of_taps, window=window, widen=widen, target=target)
        return isolate(step, x, target=target)
    count, rest = divmod(axis.window, width)
    apart_by, reach = width * axis.dilation, (width - 1) * axis.dilation
    furthest = (axis.output - 1) * axis.stride - axis.low + (count - 1) * apart_by
    begin, end = max(-axis.low, -reach - 1), min(furthest, axis.size)
    narrow = Axis(axis.size, width, 1, axis.dilation, -begin, end + reach + 1 - axis.size)
    sums = _by_parts(x, Window((position,), (narrow,)), widen=widen, target=target)
    parts = Axis(narrow.output, count, axis.stride, apart_by, axis.low + begin, furthest - end)
    side_by_side = Window((position,), (parts,))
    zero = np.zeros((), x.dtype)

    def add(sums: jax.Array, *x: jax.Array) -> jax.Array:
        terms = taps.elements(
            sums, side_by_side, zero.astype(sums.dtype), target=target, clamp=True
        )
        left = [(tap,) for tap in range(count * width, axis.window)]
        for array in x:
            terms += taps.elements(array, window, zero, left, target=target, widen=widen)
        return functools.reduce(lax.add, terms)

    operands = [sums, x] if rest else [sums]
    return add(*operands) if last else isolate(add, *operands, target=target)


@functools.cache
def part(window: int) -> int:
    """The width of the sums of which a window's sum is best put together; 1 for single elements."""
    widths = sorted({1, *(window // count for count in range(2, min(window, MOST) + 1))})
    return min(widths, key=lambda width: _price(window, width))


def _price(window: int, width: int) -> int:
    """What sums of this width, and the window's sum of them, cost, in taps."""
    if width == 1:
        return PASS + window + (window > MOST) * window
    return PASS + sum(divmod(window, width)) + _price(width, part(width))


def spread(y: jax.Array, window: Window, share: Share, *, target: Target) -> jax.Array:
    """For each input, the sum over the windows that contain it of their shares."""
    if rules.rule(target, window).spread is NATIVE:
        wide = share.of(share.wide(y), window)
        is_filter = any(axis.weights is not None for axis in window.axes)
        if target in (TPU, TPUS) and not (window.is_even or is_filter):
            return native.spread(wide, window).astype(y.dtype)
        shape = list(y.shape)
        for position, axis in zip(window.positions, window.axes, strict=True):
            shape[position] = axis.size
        x = jax.ShapeDtypeStruct(shape, wide.dtype)
        (total,) = jax.linear_transpose(lambda x: _native(x, window, share), x)(wide)
        return total.astype(y.dtype)
    if window.is_tiling:
        return _spread_at_once(y, window, share, target=target)
    if _reads_at_once(window, target):
        by = layout.of(window, y.shape, target=target)
        step = functools.partial(
            _spread_at_once, window=by.window, share=share.of_elements(by.row), target=target
        )
        return by.restore(isolate(step, by.lay(y), target=target, small=SMALL))
    wide = share.of(share.wide(y), window)
    for index in range(len(window.axes)):
        last = 0 < index == len(window.axes) - 1
        by = layout.of(window.only(index), wide.shape, target=target)
        wide = by.restore(_spread_along(by.lay(wide), by.window, last=last, target=target))
    return rows.narrow(wide, y.dtype, target=target)


def _reads_at_once(window: Window, target: Target) -> bool:
    """Whether to compute the adjoint in one loop over all axes, rather than one axis at a time.

    On GPU each reader of an uneven window is a gather (gradient of the blur of 32x60x60x128 on
    H100, as XLA estimates it: 95 us at once, 69 an axis at a time).
    """
    return (window.is_even or target is CPU) and window.taps <= planner.FEW


def _spread_at_once(y: jax.Array, window: Window, share: Share, *, target: Target) -> jax.Array:
    """All readers, in one loop."""
    total = _spread_taps(share.of(share.wide(y), window), window, target=target)
    return rows.narrow(total, y.dtype, target=target)


def _spread_along(y: jax.Array, window: Window, *, last: bool, target: Target) -> jax.Array:
    """The adjoint of one axis, itself a windowed sum: over the outputs that read an input."""
    (position,), (axis,) = window.positions, window.axes
    zero = np.zeros((), y.dtype)
    if window.is_even and axis.stride == 1:
        return _sum_along(y, Window((position,), (_mirrored(axis),)), last=last, target=target)
    if planner.doubles(axis):  # wide and overlapping: spell out the holes between the windows
        config = [(0, 0, 0)] * y.ndim
        config[position] = (0, 0, axis.stride - 1)
        holes = Axis(axis.size, axis.window, 1, axis.dilation, *axis.reach)
        mirrored = Window((position,), (_mirrored(holes),))
        return _by_parts(taps.pad(y, zero, config), mirrored, target=target)
    step = functools.partial(_spread_taps, window=window, target=target)
    return step(y) if last or window.is_tiling else isolate(step, y, target=target, small=SMALL)


def _spread_taps(y: jax.Array, window: Window, *, target: Target) -> jax.Array:
    """Every output's value at every input it reads, tap by tap."""
    if not window.is_even or (target is CPU and not window.is_tiling):
        return _by_reader(y, window, target=target)
    return _by_shift(y, window)


def _by_reader(y: jax.Array, window: Window, *, target: Target) -> jax.Array:
    """Every input asks its readers, one after the other."""
    zero = np.zeros((), y.dtype)
    every = list(taps.readers(window))
    take = rows.source(y, [outputs for outputs, _ in every], target=target)
    terms = []
    for outputs, readers in every:
        term, reads = take(outputs), taps.reads(window, readers, y.ndim)
        term = taps.weighted_by_readers(term, window, readers)
        terms.append(term if reads is None else jnp.where(reads, term, zero))
    return functools.reduce(lax.add, terms)


def _by_shift(y: jax.Array, window: Window) -> jax.Array:
    """Blocks of as many inputs as the stride ask their reader together."""
    zero = np.zeros((), y.dtype)
    terms = []
    for shift in taps.every_shift(window):
        used = blocks.place(shift.taps != NO_TAP, window, y.ndim)
        terms.append(blocks.shifted(jnp.where(used, blocks.expand(y, window), zero), window, shift))
    return blocks.join(functools.reduce(lax.add, terms), window)


def _mirrored(axis: Axis) -> Axis:
    """The window through which an input of a stride-1 axis sees the outputs that read it."""
    reach = axis.extent - 1
    low = reach - axis.low
    high = axis.size + axis.low - axis.output
    return Axis(axis.output, axis.window, 1, axis.dilation, low, high)
