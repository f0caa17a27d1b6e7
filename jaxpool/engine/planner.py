"""Which method, for which window. Every rule is here, and each names its measurement.

A maximum may be taken in steps, because a maximum of maxima is a maximum, and the first winner
of first winners is the first. So a plan is a tuple of windows, applied one after the other:

    direct      the window as it is, all its taps in one loop
    separable   one 1-D window an axis, the last axis first (which keeps row-major order)
    doubling    windows of four taps at growing distances, log4(k) of them, for a wide axis

docs/performance.md tells how each was measured.
"""

from __future__ import annotations

import math

from jaxpool.window import Axis, Window

METHODS = ("auto", "direct", "separable", "doubling")

# Taps of one step. Two would double the passes through memory, eight the length of the loops.
RADIX = 4

# The widest window that is read tap by tap in one pass.
LONGEST = 7


def steps(window: Window, method: str = "auto") -> tuple[Window, ...]:
    """The windows whose composition is `window`, for max and min.

    Args:
        window: The whole pooling.
        method: One of `METHODS`.

    Returns:
        The windows, in the order in which they are applied.

    Raises:
        ValueError: The method is unknown.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if method == "direct" or (method == "auto" and _small(window)):
        return (window,)
    result: list[Window] = []
    for index in reversed(range(len(window.axes))):
        axis = window.axes[index]
        wide = doubles(axis) if method == "auto" else can_double(axis) and method == "doubling"
        parts = doubling(axis) if wide else (axis,)
        result += [Window((window.positions[index],), (part,)) for part in parts]
    return tuple(result)


def _small(window: Window) -> bool:
    """Whether one loop over all taps costs less than another pass through memory."""
    strided = all(axis.stride > 1 for axis in window.axes)
    return window.is_tiling or (window.taps <= 9 and strided)


def can_double(axis: Axis) -> bool:
    """Whether every window between the first and the last is sure to hold an element."""
    low, high = axis.reach
    holds = low < axis.extent and high < axis.extent and axis.dilation <= axis.size
    return axis.window > RADIX and axis.output > 0 and holds


def doubles(axis: Axis) -> bool:
    """Whether passes over the input, a few taps each, cost less than all taps of all outputs."""
    if axis.window <= LONGEST or axis.is_tiling or not can_double(axis):
        return False
    passes = 1 + math.ceil(math.log(axis.window, RADIX))
    return axis.window * axis.output > RADIX * passes * axis.size


def widths(window: int) -> list[tuple[int, int]]:
    """How a wide window is put together: pairs (taps, distance), each step on the last one's.

    A window of `k` is `RADIX` windows of `w = k - (RADIX - 1) d` at distance `d = k // RADIX`.
    As `w >= d` they leave no gap; they may overlap, which a maximum does not mind.
    """
    if window <= RADIX:
        return [(window, 1)]
    distance = window // RADIX
    return [*widths(window - (RADIX - 1) * distance), (RADIX, distance)]


def doubling(axis: Axis) -> tuple[Axis, ...]:
    """Windows of a few taps that compose to `axis`.

    Each step covers only starts that are needed and whose window holds an element, so that in
    every step padding is known as such, and never wins.
    """
    d = axis.dilation
    last_start = (axis.output - 1) * axis.stride - axis.low
    *inner, (taps, distance) = widths(axis.window)
    result, width, first, last = [], 1, 0, axis.size - 1
    for count, apart in inner:
        width += (count - 1) * apart
        begin = max(-axis.low, -(width - 1) * d)
        end = min(last_start + (axis.window - width) * d, axis.size - 1)
        step = _step(last - first + 1, count, apart * d, 1, first - begin, end - begin + 1)
        result.append(step)
        first, last = begin, end
    size = last - first + 1
    final = _step(size, taps, distance * d, axis.stride, axis.low + first, axis.output)
    return (*result, final)


def _step(size: int, taps: int, dilation: int, stride: int, low: int, output: int) -> Axis:
    """An axis with the high padding that makes `output` windows."""
    high = (output - 1) * stride + dilation * (taps - 1) + 1 - size - low
    return Axis(size, taps, stride, dilation, low, high)
