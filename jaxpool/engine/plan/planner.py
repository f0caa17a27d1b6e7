"""Decomposes a pooling into a sequence of windows: for maxima, sums, uneven bins and filters.

A maximum of maxima is a maximum, and the first winner of first winners is the first. So a plan is a
tuple of windows, applied one after the other:

    direct      the window as it is, all its taps in one loop
    separable   one 1-D window per axis, the last axis first (which keeps row-major order)
    doubling    windows of a few taps at growing distances, log(k) of them, for a wide axis; of
                windows that tile, tiles of tiles

Sums take the same steps, except that the parts of a wide window must not overlap (`sum_width`).
Uneven bins and filters take one step per axis. docs/xla-cpu.md has the measurements.
"""

from __future__ import annotations

import functools
import math

import jax.numpy as jnp
import numpy as np

from jaxpool import checks
from jaxpool.axis import Axis, PooledAxis, Uneven
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import CPU, Target
from jaxpool.window import Window

Passes = tuple[tuple[int, int], ...]

FLOAT32 = np.dtype(np.float32)

METHODS = ("auto", "direct", "separable", "doubling")


def steps(window: Window, method: str = "auto", dtype: np.dtype = FLOAT32) -> tuple[Window, ...]:
    """The windows whose composition is `window`, for max and min.

    Args:
        window: The whole pooling.
        method: One of `METHODS`.
        dtype: The dtype of the array.

    Returns:
        The windows, in the order in which they are applied.

    Raises:
        ValueError: The method is unknown.
    """
    checks.choice("method", method, METHODS)
    if method == "direct" or (method == "auto" and window.taps <= _one_loop(window, dtype)):
        return (window,)
    result: list[Window] = []
    for along in separable(window):
        result += [Window(along.positions, (part,)) for part in _parts(along.axes[0], method)]
    return tuple(result) or (window,)


def separable(window: Window) -> list[Window]:
    """One window per axis, the last axis first."""
    return [window.only(index) for index in reversed(range(len(window.axes)))]


def divided_steps(window: Window) -> tuple[Window, ...]:
    """The windows whose composition is an even `window`, for max and min on several devices.

    Each slice of a divided axis is an exchange with neighbours, so there is one step per axis: the
    taps of the other axes share its slices. Whole planes are one reduction, of which XLA makes an
    all-reduce.
    """
    if window.is_global:
        return (window,)
    result: list[Window] = []
    for along in separable(window):
        (axis,) = along.axes
        parts = (axis,) if axis.is_tiling else _parts(axis, "auto")
        result += [Window(along.positions, (part,)) for part in parts]
    return tuple(result) or (window,)


def native_steps(window: Window, *, scatter: bool = False) -> list[Window]:
    """The steps of XLA's own operations: of `select_and_scatter`, or else of `reduce_window`."""
    few = window.taps <= tuning.NATIVE_TAPS
    narrow = len(window.axes) <= 2 and all(a.window <= tuning.NATIVE_WIDTH for a in window.axes)
    single = window.is_even and (few or (narrow and not scatter))
    bins = not scatter and all(isinstance(axis, Uneven) for axis in window.axes)
    few_bins = bins and math.prod(window.output) <= tuning.NATIVE_BINS
    return [window] if single or few_bins else separable(window)


def weighted_steps(window: Window) -> list[Window]:
    """The steps of a sum whose weights depend on the elements: one, or one per axis."""
    single = window.is_tiling or window.taps <= tuning.ONE_LOOP
    return [window] if single else separable(window)


def sum_steps(window: Window) -> list[Window]:
    """The steps of a sum that takes several loops."""
    result: list[Window] = []
    for along in separable(window):
        (axis,) = along.axes
        parts = tiling(axis, overlap=False) if isinstance(axis, Axis) else (axis,)
        result += [Window(along.positions, (part,)) for part in parts]
    return result


def sums_in_one_loop(window: Window, dtype: np.dtype) -> bool:
    """Whether to add up all taps in one loop."""
    whole = window.is_tiling and max(window.output) <= 1
    return whole or window.taps <= one_loop_of_sums(window, dtype)


def one_loop_of_sums(window: Window, dtype: np.dtype) -> int:
    """The most taps to add up in one loop.

    float16 is widened by one instruction, so sums take more taps than maxima (k4 s4 on
    16x112x112x64: 1.9 in two passes -> 1.4 ms).
    """
    return _one_loop(window, FLOAT32 if dtype == jnp.float16 else dtype)


def transposes_in_one_loop(window: Window, target: Target) -> bool:
    """Whether the transpose of a sum reads all axes in one loop instead of one axis at a time.

    On GPU each reader of an uneven window is a gather (gradient of the blur of 32x60x60x128 on
    H100, XLA's estimate: 95 in one loop -> 69 us one axis at a time).
    """
    return (window.is_even or target is CPU) and window.taps <= tuning.ONE_LOOP


def _one_loop(window: Window, dtype: np.dtype) -> int:
    """The most taps to read in one loop."""
    if not window.is_tiling:
        return tuning.ONE_LOOP
    half = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
    return tuning.ONE_LOOP_TILING_HALF if half else tuning.ONE_LOOP_TILING


def _parts(axis: PooledAxis, method: str) -> tuple[PooledAxis, ...]:
    """The windows along one axis."""
    if axis == Axis(axis.size, 1):
        return ()
    if method == "separable" or not isinstance(axis, Axis):
        return (axis,)
    if axis.is_tiling:
        return tiling(axis)
    wide = doubles(axis) or (method == "doubling" and can_double(axis))
    return doubling(axis) if wide else (axis,)


def can_double(axis: Axis) -> bool:
    """Whether every window between the first and the last contains an element."""
    low, high = axis.reach
    return (
        low < axis.extent and high < axis.extent and axis.dilation <= axis.size and axis.output > 0
    )


def doubles(axis: PooledAxis) -> bool:
    """Whether passes over the input, a few taps each, cost less than all taps of all outputs."""
    if not isinstance(axis, Axis) or axis.is_tiling or not can_double(axis):
        return False
    return _price(widths(axis.window)) * axis.size < _price(((axis.window, 1),)) * axis.output


def _price(passes: Passes) -> int:
    """The cost of reading an axis in these passes, in taps."""
    return sum(tuning.PASS_COST + taps for taps, _ in passes)


@functools.cache
def widths(window: int) -> Passes:
    """The cheapest chain for a wide window: pairs (taps, distance), each on the last one's result.

    A window of `k` is `r` windows of `w = k - (r - 1) d` at distance `d = k // r`. Since `w >= d`,
    the windows leave no gap. They may overlap, which does not change a maximum.
    """
    found: list[Passes] = [((window, 1),)] if window <= tuning.STEP_TAPS else []
    for taps in range(2, min(window, tuning.STEP_TAPS + 1)):
        distance = window // taps
        found.append((*widths(window - (taps - 1) * distance), (taps, distance)))
    return min(found, key=lambda passes: (_price(passes), len(passes)))


def doubling(axis: Axis) -> tuple[Axis, ...]:
    """Windows of a few taps that compose to `axis`.

    Each step computes only starts that are needed and whose window contains an element, so the
    padding of every step is static and never wins. Each output of a step covers as many consecutive
    elements as its window is wide, unless the window is dilated.
    """
    d = axis.dilation
    last_start = (axis.output - 1) * axis.stride - axis.low
    *inner, (taps, distance) = widths(axis.window)
    result, width, covers, first, last = [], 1, 1, 0, axis.size - 1
    for count, step in inner:
        width += (count - 1) * step
        begin = max(-axis.low, -(width - 1) * d)
        end = min(last_start + (axis.window - width) * d, axis.size - 1)
        size, outputs = last - first + 1, end - begin + 1
        result.append(_step(size, count, step * d, 1, first - begin, outputs, covers))
        first, last, covers = begin, end, width if d == 1 else 1
    size = last - first + 1
    final = _step(size, taps, distance * d, axis.stride, axis.low + first, axis.output, covers)
    return (*result, final)


def tiling(axis: Axis, *, overlap: bool = True) -> tuple[Axis, ...]:
    """Tiles of tiles that compose to the wide ones of `axis`; itself if there are none.

    The inner tiles begin at multiples of a distance from the start of the first one, so this
    distance must divide the stride, unless there is a single window. The inner tiles of a single
    window may overlap, if `overlap` allows it.
    """
    low, high = axis.reach
    if not axis.is_tiling or axis.window <= tuning.STEP_TAPS:
        return (axis,)
    if low > 0 or high > 0 or axis.output == 0:
        return (axis,)
    k, single = axis.window, axis.output == 1
    most = tuning.STEP_TAPS
    exact = [(w, w) for w in range(most, 2, -1) if k % w == 0]
    overlapping = [(w, d) for w in range(most, 3, -1) for d in range(w - 1, w // 2, -1)]
    for width, distance in exact + overlapping * (single and overlap):
        if (k - width) % distance == 0 and (single or axis.stride % distance == 0):
            count = (k - width) // distance + 1
            between = 1 if single else axis.stride // distance
            inner = (axis.output - 1) * between + count
            parts = Axis(inner, count, between if between >= count else count)
            first = _step(axis.size, width, 1, distance, axis.low, inner)
            return (first, *tiling(parts, overlap=overlap))
    return (axis,)


def _step(
    size: int, taps: int, dilation: int, stride: int, low: int, output: int, covers: int = 1
) -> Axis:
    """An axis with the high padding that makes `output` windows."""
    high = (output - 1) * stride + dilation * (taps - 1) + 1 - size - low
    return Axis(size, taps, stride, dilation, low, high, covers=covers)


@functools.cache
def sum_width(window: int) -> int:
    """The width of the partial sums that minimises the cost of a window's sum; 1 for none."""
    counts = range(2, min(window, tuning.SUM_STEP_TAPS) + 1)
    widths = sorted({1, *(window // count for count in counts)})
    return min(widths, key=lambda width: _sum_price(window, width))


def _sum_price(window: int, width: int) -> int:
    """The cost, in taps, of partial sums of this width and of adding them up per window."""
    if width == 1:
        return tuning.SUM_PASS_COST + window + (window > tuning.SUM_STEP_TAPS) * window
    inner = _sum_price(width, sum_width(width))
    return tuning.SUM_PASS_COST + sum(divmod(window, width)) + inner


def transposed(axis: Axis) -> Axis:
    """For a stride-1 axis, the window of the outputs that read each input."""
    low = axis.extent - 1 - axis.low
    high = axis.size + axis.low - axis.output
    return Axis(axis.output, axis.window, 1, axis.dilation, low, high)
