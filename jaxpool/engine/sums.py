"""Windowed sums, and their adjoint: axis by axis, since a sum over a box is a sum of sums.

Wide windows are summed in log4(k) steps, each adding up four sums of a quarter of the width, and
never by prefix sums, whose differences would cancel.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine import blocks, planner, rows, taps
from jaxpool.engine.apart import apart
from jaxpool.window import Axis, Window

# Sums of a quarter of the width make a wide one; up to so many taps, single elements do.
PARTS, LONGEST = 4, 7


def windowed_sum(x: jax.Array, window: Window, *, cpu: bool) -> jax.Array:
    """Sum over each window, padding counting as 0."""
    zero = np.zeros((), x.dtype)
    if blocks.fits(window):
        return blocks.reduce(blocks.split(x, window, zero), window, zero, lax.add)
    if window.is_tiling:
        return _sum_of_taps(x, window, cpu=cpu)
    if window.taps <= planner.FEW:
        return apart(functools.partial(_sum_of_taps, window=window, cpu=cpu), x, cpu=cpu)
    for index in reversed(range(len(window.axes))):
        last = index == 0 < len(window.axes) - 1
        x = _sum_along(x, window.only(index), last=last, cpu=cpu)
    return x


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


def spread(y: jax.Array, window: Window, *, cpu: bool) -> jax.Array:
    """For each input, the sum over the windows that contain it."""
    if window.is_tiling:
        return _spread_taps(y, window, cpu=cpu)
    if window.taps <= planner.FEW:
        return apart(functools.partial(_spread_taps, window=window, cpu=cpu), y, cpu=cpu)
    for index in range(len(window.axes)):
        last = 0 < index == len(window.axes) - 1
        y = _spread_along(y, window.only(index), last=last, cpu=cpu)
    return y


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
    return _by_reader(y, window) if cpu else _by_shift(y, window)


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
