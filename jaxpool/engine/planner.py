"""Which method, for which window. Every rule is here, and each names its measurement.

A maximum may be taken in steps, because a maximum of maxima is a maximum, and the first winner
of first winners is the first. So a plan is a tuple of windows, applied one after the other:

    direct      the window as it is, all its taps in one loop
    separable   one 1-D window an axis, the last axis first (which keeps row-major order)
    doubling    windows of two taps at distances 1, 2, 4, ..., for a wide axis

docs/performance.md tells how each was measured.
"""

from __future__ import annotations

import math

from jaxpool.window import Axis, Window

METHODS = ("auto", "direct", "separable", "doubling")


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
    """Few taps: one loop over all of them costs less than another pass through memory."""
    return window.taps <= 9 or all(axis.is_tiling for axis in window.axes)


def can_double(axis: Axis) -> bool:
    """Whether every window between the first and the last is sure to hold an element."""
    low, high = axis.reach
    inside = axis.low < axis.extent and high < axis.extent and axis.dilation <= axis.size
    return axis.window > 2 and low > -axis.size and inside and axis.output > 0


def doubles(axis: Axis) -> bool:
    """Whether log2(k) passes over the input cost less than k passes over the output."""
    if axis.window < 8 or not can_double(axis) or axis.is_tiling:
        return False
    return axis.window * axis.output > 2 * math.log2(axis.window) * axis.size


def doubling(axis: Axis) -> tuple[Axis, ...]:
    """Windows of two taps that compose to `axis`.

    The maximum of `2w` neighbours is that of two windows of `w`, at distance `w`; the last step
    lets its two windows overlap, to reach any width. Each step covers only starts that are
    needed and whose window holds an element, so that padding is known as such in every step.
    """
    k, s, d = axis.window, axis.stride, axis.dilation
    last_start = (axis.output - 1) * s - axis.low

    def starts(width: int) -> tuple[int, int]:
        return (
            max(-axis.low, -(width - 1) * d),
            min(last_start + (k - width) * d, axis.size - 1),
        )

    result, width, (first, last) = [], 1, (0, axis.size - 1)
    while 2 * width < k:
        begin, end = starts(2 * width)
        result.append(_pair(last - first + 1, width * d, 1, first - begin, end - begin + 1))
        width, first, last = 2 * width, begin, end
    final = _pair(last - first + 1, (k - width) * d, s, axis.low + first, axis.output)
    return (*result, final)


def _pair(size: int, distance: int, stride: int, low: int, output: int) -> Axis:
    """Two taps at a distance, with the padding that makes `output` windows."""
    high = (output - 1) * stride + distance + 1 - size - low
    return Axis(size, 2, stride, distance, low, high)
