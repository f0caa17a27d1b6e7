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

from jaxpool.engine import blocks, planner, rows, taps
from jaxpool.engine.apart import apart
from jaxpool.window import Axis, Window

# Sums of a quarter of the width make a wide one; up to so many taps, single elements do.
PARTS, LONGEST = 4, 7


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


WHOLE = Share()


def windowed_sum(x: jax.Array, window: Window, share: Share, *, cpu: bool) -> jax.Array:
    """Each window's share of its sum, padding counting as 0."""

    def total(x: jax.Array) -> jax.Array:
        """All taps, in one loop."""
        wide = share.wide(x)
        zero = np.zeros((), wide.dtype)
        if blocks.fits(window):
            tiles = blocks.split(wide, window, zero)
            wide = blocks.reduce(tiles, window, zero, lax.add)
        else:
            wide = _sum_of_taps(wide, window, cpu=cpu)
        return share.of(wide, window).astype(x.dtype)

    if window.is_tiling:
        return total(x)
    if window.taps <= planner.FEW:
        return apart(total, x, cpu=cpu)
    wide = share.wide(x)
    for index in reversed(range(len(window.axes))):
        last = index == 0 < len(window.axes) - 1
        wide = _sum_along(wide, window.only(index), last=last, cpu=cpu)
    return share.of(wide, window).astype(x.dtype)


def _sum_along(x: jax.Array, window: Window, *, last: bool, cpu: bool) -> jax.Array:
    """One axis, apart from its neighbours where fusing would repeat work (see `winner`)."""
    (axis,) = window.axes
    if planner.doubles(axis):
        return _by_doubling(x, window, cpu=cpu)
    step = functools.partial(_sum_of_taps, window=window, cpu=cpu)
    return step(x) if last or window.is_tiling else apart(step, x, cpu=cpu)


def _sum_of_taps(x: jax.Array, window: Window, *, cpu: bool) -> jax.Array:
    zero = np.zeros((), x.dtype)
    terms = (taps.element(x, window, tap, zero, cpu=cpu) for tap in taps.every_tap(window))
    return functools.reduce(lax.add, terms)


def _by_doubling(x: jax.Array, window: Window, *, cpu: bool) -> jax.Array:
    """A wide axis: `S[k] = S[d] at 0, d, 2d, 3d` plus the `k - 4d` elements that are left."""
    (position,) = window.positions
    zero = np.zeros((), x.dtype)
    padded = apart(lambda x: taps.pad_to_reach(x, window, zero)[0], x, cpu=cpu)
    exact = _exact(window)
    (axis,) = exact.axes
    starts = axis.size - axis.extent + 1

    def sums(width: int, stride: int) -> jax.Array:
        """`S[width]` at every `stride`-th start of a window of the full width, and beyond it."""
        room = axis.size - (width - 1) * axis.dilation if stride == 1 else starts
        distance = width // PARTS if width > LONGEST else 0
        offsets = [distance * i for i in range(PARTS if distance else 0)]
        rest = range(PARTS * distance, width)

        def at(array: jax.Array, tap: int) -> jax.Array:
            begin = tap * axis.dilation
            return lax.slice_in_dim(array, begin, begin + room, stride, position)

        def add(padded: jax.Array, *narrower: jax.Array) -> jax.Array:
            terms = [at(array, tap) for array in narrower for tap in offsets]
            return functools.reduce(lax.add, terms + [at(padded, tap) for tap in rest])

        return apart(add, padded, *([sums(distance, 1)] if distance else []), cpu=cpu)

    return sums(axis.window, axis.stride)


def _exact(window: Window) -> Window:
    """The window on the padded axis, which it fits exactly."""
    (axis,) = window.axes
    size = axis.size + sum(axis.reach)
    return Window(window.positions, (Axis(size, axis.window, axis.stride, axis.dilation),))


def spread(y: jax.Array, window: Window, share: Share, *, cpu: bool) -> jax.Array:
    """For each input, the sum over the windows that contain it of their shares."""

    def total(y: jax.Array) -> jax.Array:
        """All readers, in one loop."""
        return _spread_taps(share.of(share.wide(y), window), window, cpu=cpu).astype(y.dtype)

    if window.is_tiling:
        return total(y)
    if window.taps <= planner.FEW:
        return apart(total, y, cpu=cpu)
    wide = share.of(share.wide(y), window)
    for index in range(len(window.axes)):
        last = 0 < index == len(window.axes) - 1
        wide = _spread_along(wide, window.only(index), last=last, cpu=cpu)
    return wide.astype(y.dtype)


def _spread_along(y: jax.Array, window: Window, *, last: bool, cpu: bool) -> jax.Array:
    """The adjoint of one axis, itself a windowed sum: over the outputs that read an input."""
    (position,), (axis,) = window.positions, window.axes
    zero = np.zeros((), y.dtype)
    if axis.stride == 1:
        return _sum_along(y, Window((position,), (_mirrored(axis),)), last=last, cpu=cpu)
    if planner.doubles(axis):  # wide and overlapping: spell out the holes between the windows
        config = [(0, 0, 0)] * y.ndim
        config[position] = (0, 0, axis.stride - 1)
        holes = Axis(axis.size, axis.window, 1, axis.dilation, *axis.reach)
        mirrored = Window((position,), (_mirrored(holes),))
        return _by_doubling(taps.pad(y, zero, config), mirrored, cpu=cpu)
    step = functools.partial(_spread_taps, window=window, cpu=cpu)
    return step(y) if last or window.is_tiling else apart(step, y, cpu=cpu)


def _spread_taps(y: jax.Array, window: Window, *, cpu: bool) -> jax.Array:
    """Every output's value at every input it reads, tap by tap."""
    return _by_reader(y, window) if cpu and not window.is_tiling else _by_shift(y, window)


def _by_reader(y: jax.Array, window: Window) -> jax.Array:
    """Every input asks its readers, one after the other."""
    zero = np.zeros((), y.dtype)
    terms = []
    for outputs, readers in taps.readers(window):
        term, reads = rows.take(y, outputs), taps.reads(window, readers, y.ndim)
        terms.append(term if reads is None else jnp.where(reads, term, zero))
    return functools.reduce(lax.add, terms)


def _by_shift(y: jax.Array, window: Window) -> jax.Array:
    """Blocks of as many inputs as the stride ask their reader together."""
    zero = np.zeros((), y.dtype)
    terms = []
    for shift in taps.every_shift(window):
        used = blocks.place(shift.taps != taps.NO_TAP, window, y.ndim)
        terms.append(blocks.shifted(jnp.where(used, blocks.expand(y, window), zero), window, shift))
    return blocks.join(functools.reduce(lax.add, terms), window)


def _mirrored(axis: Axis) -> Axis:
    """The window through which an input of a stride-1 axis sees the outputs that read it."""
    reach = axis.extent - 1
    low = reach - axis.low
    high = axis.size + axis.low - axis.output
    return Axis(axis.output, axis.window, 1, axis.dilation, low, high)
