"""Which method, for which window. Every rule is here, and each names its measurement.

A maximum may be taken in steps, because a maximum of maxima is a maximum, and the first winner
of first winners is the first. So a plan is a tuple of windows, applied one after the other:

    direct      the window as it is, all its taps in one loop
    separable   one 1-D window an axis, the last axis first (which keeps row-major order)
    doubling    windows of a few taps at growing distances, log(k) of them, for a wide axis

docs/performance.md tells how each was measured.
"""

from __future__ import annotations

import functools

from jaxpool.window import Axis, Window

Passes = tuple[tuple[int, int], ...]

METHODS = ("auto", "direct", "separable", "doubling")

# What one more pass through memory costs, in taps. Roughly, since measured on a busy machine: max
# of 8x65536x8, k1025 s1, with its derivative, took 191 ms of CPU in four passes of 23 taps and 245
# in six of 22; on 16x13x13x512, k13 s1, one pass of 13 taps an axis took twice as long as two of 4.
PASS = 2

# Up to so many taps, one loop over all of them beats a pass an axis.
FEW = 9

# The most taps of one step. They are spelt out in one loop, which must stay quick to compile.
MOST = 8


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
    return window.is_tiling or window.taps <= FEW


def can_double(axis: Axis) -> bool:
    """Whether every window between the first and the last is sure to hold an element."""
    low, high = axis.reach
    return (
        low < axis.extent and high < axis.extent and axis.dilation <= axis.size and axis.output > 0
    )


def doubles(axis: Axis) -> bool:
    """Whether passes over the input, a few taps each, cost less than all taps of all outputs."""
    if axis.is_tiling or not can_double(axis):
        return False
    return price(widths(axis.window)) * axis.size < price(((axis.window, 1),)) * axis.output


def price(passes: Passes) -> int:
    """What reading an axis in these passes costs, in taps."""
    return sum(PASS + taps for taps, _ in passes)


@functools.cache
def widths(window: int) -> Passes:
    """How a wide window is best put together: pairs (taps, distance), each on the last one's.

    A window of `k` is `r` windows of `w = k - (r - 1) d` at distance `d = k // r`. As `w >= d` they
    leave no gap; they may overlap, which a maximum does not mind.
    """
    found: list[Passes] = [((window, 1),)] if window <= MOST else []
    for taps in range(2, min(window, MOST + 1)):
        distance = window // taps
        found.append((*widths(window - (taps - 1) * distance), (taps, distance)))
    return min(found, key=lambda passes: (price(passes), len(passes)))


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
