"""Windowed sums and their transpose, axis by axis: a sum over a box is separable.

A wide window is summed in a few steps; each step adds partial sums of a fraction of the width
(`planner.sum_width`). Prefix sums are not used, because their differences suffer from cancellation.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxpool.axis import Axis, Reader
from jaxpool.engine.lower import native, taps, tiles
from jaxpool.engine.lower.isolate import isolate
from jaxpool.engine.lower.precision import Accumulation, narrow
from jaxpool.engine.plan import layout, planner
from jaxpool.engine.plan.dispatch import NATIVE, rule
from jaxpool.engine.plan.target import CPUS, TPU, TPUS, Target
from jaxpool.monoid import SUM
from jaxpool.window import Window


def windowed_sum(
    x: jax.Array, *, window: Window, accumulation: Accumulation, target: Target
) -> jax.Array:
    """The sum of each window, divided as `accumulation` says; padding counts as 0."""
    if rule(target, window).total is NATIVE:
        return accumulation.divide(_native(x, window, accumulation), window).astype(x.dtype)
    if _is_one_loop(window, target) and planner.sums_in_one_loop(window, x.dtype):
        return _merged(_sum_at_once, x, window, accumulation, target=target)
    wide, widen = (x, True) if accumulation.widens_reads(x) else (accumulation.widen(x), False)
    steps = planner.sum_steps(window)
    for number, step in enumerate(steps):
        # The last step may fuse with the division and the operations after it, unless it reads the
        # producer of the pooling's input.
        fusible = number == len(steps) - 1 and (number > 0 or planner.doubles(step.axes[0]))
        wide = _along(_sum_along, wide, step, widen=widen, fusible=fusible, target=target)
    return narrow(accumulation.divide(wide, window), x.dtype, target=target)


def windowed_sum_transpose(
    y: jax.Array, *, window: Window, accumulation: Accumulation, target: Target
) -> jax.Array:
    """For each input, the sum of the outputs that read it, each divided as `accumulation` says."""
    if rule(target, window).total_gradient is NATIVE:
        wide = accumulation.divide(accumulation.widen(y), window)
        is_filter = any(axis.weights is not None for axis in window.axes)
        if target in (TPU, TPUS) and not (window.is_even or is_filter):
            return native.transpose_bins(wide, window).astype(y.dtype)
        x = jax.ShapeDtypeStruct(window.input_shape(y.shape), wide.dtype)
        (total,) = jax.linear_transpose(lambda x: _native(x, window, accumulation), x)(wide)
        return total.astype(y.dtype)
    one_loop = planner.transposes_in_one_loop(window, target) and _is_one_loop(window, target)
    if window.is_tiling or one_loop:
        return _merged(_transpose_at_once, y, window, accumulation, target=target)
    wide = accumulation.divide(accumulation.widen(y), window)
    for index in range(len(window.axes)):
        fusible = 0 < index == len(window.axes) - 1
        step = window.only(index)
        wide = _along(_transpose_along, wide, step, fusible=fusible, target=target)
    return narrow(wide, y.dtype, target=target)


def _is_one_loop(window: Window, target: Target) -> bool:
    """Whether axes may share a loop: not where each slice is an exchange (`divided_steps`)."""
    return not (target is CPUS and window.is_even) or window.is_global


def _merged(
    step: Any, x: jax.Array, window: Window, accumulation: Accumulation, *, target: Target
) -> jax.Array:
    """One isolated step in the merged layout; tiles read each element once, so they may fuse."""
    if window.is_tiling:
        return step(x, window=window, accumulation=accumulation, target=target)
    by = layout.merged(window, x.shape, target=target)
    repeated = accumulation.repeated(by.row)
    step = functools.partial(step, window=by.window, accumulation=repeated, target=target)
    return isolate(step, x, target=target, layout=by)


def _along(step: Any, x: jax.Array, window: Window, *, target: Target, **options: Any) -> jax.Array:
    """A step along one axis, in the merged layout."""
    by = layout.merged(window, x.shape, target=target)
    return by.split(step(by.merge(x), by.window, target=target, **options))


def _native(x: jax.Array, window: Window, accumulation: Accumulation) -> jax.Array:
    """Sums by XLA's own windowed operations."""
    if any(axis.weights is not None for axis in window.axes):
        return native.filtered(x, window, accumulation.dtype or x.dtype)
    return native.reduce(x, SUM, window, accumulation.dtype)


def _sum_at_once(
    x: jax.Array, *, window: Window, accumulation: Accumulation, target: Target
) -> jax.Array:
    """All taps, in one loop."""
    if tiles.are_reduced(window, planner.one_loop_of_sums(window, x.dtype) + 1, target):
        wide = accumulation.widen(x)
        zero = np.zeros((), wide.dtype)
        total = tiles.reduce(tiles.split(wide, window, zero), window, zero, lax.add)
    elif accumulation.widens_reads(x):
        total = _sum_of_taps(x, window=window, widen=True, target=target)
    else:
        total = _sum_of_taps(accumulation.widen(x), window=window, target=target)
    return narrow(accumulation.divide(total, window), x.dtype, target=target)


def _sum_along(
    x: jax.Array, window: Window, *, fusible: bool, widen: bool = False, target: Target
) -> jax.Array:
    """One axis, isolated where fusing would repeat work."""
    if planner.doubles(window.axes[0]):
        return _by_parts(x, window, fusible=fusible, widen=widen, target=target)
    step = functools.partial(_sum_of_taps, window=window, widen=widen, target=target)
    return isolate(step, x, target=target, fusible=fusible)


def _sum_of_taps(x: jax.Array, *, window: Window, widen: bool = False, target: Target) -> jax.Array:
    zero = np.zeros((), x.dtype)
    every = taps.elements(x, window, zero, target=target, by_copy=True, wide=widen)
    return functools.reduce(lax.add, taps.apply_weights(every, window))


def _by_parts(
    x: jax.Array, window: Window, *, fusible: bool = False, widen: bool = False, target: Target
) -> jax.Array:
    """Sum wide windows as sums of adjacent narrower windows plus the remaining elements.

    Narrower sums are computed at every position whose window contains an element, and at one
    position per side whose window contains none: its sum, 0, serves all positions farther out.
    """
    (axis,) = window.even_axes
    width = planner.sum_width(axis.window)
    if width == 1:
        step = functools.partial(_sum_of_taps, window=window, widen=widen, target=target)
        return isolate(step, x, target=target)
    count, rest = divmod(axis.window, width)
    distance, reach = width * axis.dilation, (width - 1) * axis.dilation
    furthest = (axis.output - 1) * axis.stride - axis.low + (count - 1) * distance
    begin, end = max(-axis.low, -reach - 1), min(furthest, axis.size)
    narrow = Axis(axis.size, width, 1, axis.dilation, -begin, end + reach + 1 - axis.size)
    sums = _by_parts(x, Window(window.positions, (narrow,)), widen=widen, target=target)
    parts = Axis(narrow.output, count, axis.stride, distance, axis.low + begin, furthest - end)
    side_by_side = Window(window.positions, (parts,))
    zero = np.zeros((), x.dtype)

    def add(sums: jax.Array, *x: jax.Array) -> jax.Array:
        nothing = zero.astype(sums.dtype)
        terms = taps.elements(sums, side_by_side, nothing, target=target, clamp=True)
        left = [(tap,) for tap in range(count * width, axis.window)]
        for array in x:
            terms += taps.elements(array, window, zero, left, target=target, wide=widen)
        return functools.reduce(lax.add, terms)

    return isolate(add, *([sums, x] if rest else [sums]), target=target, fusible=fusible)


def _transpose_at_once(
    y: jax.Array, *, window: Window, accumulation: Accumulation, target: Target
) -> jax.Array:
    """All readers, in one loop."""
    wide = accumulation.divide(accumulation.widen(y), window)
    return narrow(_sum_of_readers(wide, window=window, target=target), y.dtype, target=target)


def _transpose_along(y: jax.Array, window: Window, *, fusible: bool, target: Target) -> jax.Array:
    """The transpose of one axis, itself a windowed sum: over the outputs that read an input."""
    (axis,) = window.axes
    if isinstance(axis, Axis):
        if axis.stride > 1 and planner.doubles(axis):  # materialize the zeros between outputs
            y = taps.interior_pad(y, window, np.zeros((), y.dtype))
            every = Axis(axis.size, axis.window, 1, axis.dilation, *axis.reach)
            mirrored = Window(window.positions, (planner.transposed(every),))
            return _by_parts(y, mirrored, target=target)
        if axis.stride == 1:
            mirrored = Window(window.positions, (planner.transposed(axis),))
            return _sum_along(y, mirrored, fusible=fusible, target=target)
    step = functools.partial(_sum_of_readers, window=window, target=target)
    return isolate(step, y, target=target, fusible=fusible or window.is_tiling)


def _sum_of_readers(y: jax.Array, *, window: Window, target: Target) -> jax.Array:
    """The sum of the outputs that read each input."""
    zero = np.zeros((), y.dtype)

    def term(readers: tuple[Reader, ...], value: jax.Array) -> jax.Array:
        value = taps.apply_weights_of_readers(value, window, readers)
        return taps.where_read(value, window, readers, zero)

    return taps.sum_over_readers(window, term, (y, None), target=target, repeat=window.is_tiling)
