"""Windowed sums, and their adjoint: axis by axis, since a sum over a box is a sum of sums.

Wide windows are summed by doubling: with S1 = x and S2w[i] = Sw[i] + Sw[i + w], any width is the
sum of the powers of two in it. About 2 log2(k) additions an output, and no prefix sums, whose
differences would cancel.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine import blocks, planner, taps
from jaxpool.window import Axis, Window


def windowed_sum(x: jax.Array, window: Window) -> jax.Array:
    """Sum over each window, padding counting as 0."""
    zero = np.zeros((), x.dtype)
    if blocks.fits(window):
        return blocks.reduce(blocks.split(x, window, zero), window, zero, lax.add)
    for index in reversed(range(len(window.axes))):
        x = _sum_along(x, window.only(index))
    return x


def _sum_along(x: jax.Array, window: Window) -> jax.Array:
    zero = np.zeros((), x.dtype)
    (axis,) = window.axes
    if planner.doubles(axis):
        return _by_doubling(x, window)
    if blocks.fits(window):
        return blocks.reduce(blocks.split(x, window, zero), window, zero, lax.add)
    result = None
    for tap in taps.every_tap(window):
        term = taps.widen(taps.read(x, window, tap), window, tap, zero)
        result = term if result is None else result + term
    assert result is not None
    return result


def _by_doubling(x: jax.Array, window: Window) -> jax.Array:
    (position,) = window.positions
    padded, exact = taps.pad_to_reach(x, window, np.zeros((), x.dtype))
    (axis,) = exact.axes
    span = (axis.output - 1) * axis.stride + 1  # positions at which a window may start

    def starting(array: jax.Array, offset: int) -> jax.Array:
        return lax.slice_in_dim(array, offset, offset + span, axis.stride, axis=position)

    total, offset, power, width = None, 0, padded, 1
    while width <= axis.window:
        if axis.window & width:
            part = starting(power, offset)
            total = part if total is None else total + part
            offset += width * axis.dilation
        width *= 2
        if width <= axis.window:
            reach = power.shape[position] - width // 2 * axis.dilation
            left = lax.slice_in_dim(power, 0, reach, axis=position)
            right = lax.slice_in_dim(power, width // 2 * axis.dilation, None, axis=position)
            power = left + right
    assert total is not None
    return total


def spread(y: jax.Array, window: Window) -> jax.Array:
    """For each input, the sum over the windows that contain it."""
    for index in range(len(window.axes)):
        y = _spread_along(y, window.only(index))
    return y


def _spread_along(y: jax.Array, window: Window) -> jax.Array:
    """The adjoint of one axis, itself a windowed sum: over the outputs that read an input."""
    (position,), (axis,) = window.positions, window.axes
    zero = np.zeros((), y.dtype)
    if axis.stride == 1:
        return _sum_along(y, Window((position,), (_mirrored(axis),)))
    if planner.doubles(axis):  # wide and overlapping: spell out the holes between the windows
        config = [(0, 0, 0)] * y.ndim
        config[position] = (0, 0, axis.stride - 1)
        holes = Axis(axis.size, axis.window, 1, axis.dilation, *axis.reach)
        return _sum_along(taps.pad(y, zero, config), Window((position,), (_mirrored(holes),)))
    (groups,) = taps.phases(window)
    result = None
    for shift in taps.every_shift(window):
        (j,) = shift.shifts
        config = [(0, 0, 0)] * y.ndim
        config[position] = (j, groups - axis.output - j, 0)
        moved = blocks.expand(taps.pad(y, zero, config), window)
        used = blocks.place(shift.taps != taps.NO_TAP, window, y.ndim)
        term = jnp.where(used, moved, zero)
        result = term if result is None else result + term
    assert result is not None
    return blocks.join(result, window)


def _mirrored(axis: Axis) -> Axis:
    """The window through which an input of a stride-1 axis sees the outputs that read it."""
    reach = axis.extent - 1
    low = reach - axis.low
    high = axis.size + axis.low - axis.output
    return Axis(axis.output, axis.window, 1, axis.dilation, low, high)
