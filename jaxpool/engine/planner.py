"""Which method, for which window. Every rule is here, and each names its measurement.

A maximum may be taken in steps, because a maximum of maxima is a maximum, and the first winner
of first winners is the first. So a plan is a tuple of windows, applied one after the other:

    direct      the window as it is, all its taps in one loop
    separable   one 1-D window an axis, the last axis first (which keeps row-major order)
    doubling    windows of a few taps at growing distances, log(k) of them, for a wide axis; of
                windows that tile, tiles of tiles

docs/performance.md tells how each was measured.
"""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxpool.axis import Axis, Uneven
from jaxpool.window import Window

Passes = tuple[tuple[int, int], ...]

FLOAT32 = np.dtype(np.float32)

METHODS = ("auto", "direct", "separable", "doubling")

# What one more pass through memory costs, in taps. Roughly, since measured on a busy machine: max
# of 8x65536x8, k1025 s1, with its derivative, took 191 ms of CPU in four passes of 23 taps and 245
# in six of 22; on 16x13x13x512, k13 s1, one pass of 13 taps an axis took twice as long as two of 4.
PASS = 2

# Up to so many taps, one loop over all of them beats a pass an axis; windows that tile read each
# element once either way (k5 s5 on 16x110x110x64 in one loop and in two passes, in ms: 1.2 and 1.8;
# k7 s7 on 16x112x112x64: 2.6 and 1.3; with their derivatives 4.9 and 7.9, 7.0 and 6.5).
FEW, FEW_TILED = 9, 25

# So many with float16 and bfloat16: a longer loop does not vectorise (k4 s4 on 32x32x32x64: 0.6 ms
# in one loop, 0.2 in two passes).
FEW_TILED_HALF = 14

# The most taps of one step. They are spelt out in one loop, which must stay quick to compile.
MOST = 8


def steps(window: Window, method: str = "auto", dtype: np.dtype = FLOAT32) -> tuple[Window, ...]:
    """The windows whose composition is `window`, for max and min.

    Args:
        window: The whole pooling.
        method: One of `METHODS`.
        dtype: That of the array.

    Returns:
        The windows, in the order in which they are applied.

    Raises:
        ValueError: The method is unknown.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if method == "direct" or (method == "auto" and window.taps <= few(window, dtype)):
        return (window,)
    result: list[Window] = []
    for index in reversed(range(len(window.axes))):
        parts = _parts(window.axes[index], method)
        result += [Window((window.positions[index],), (part,)) for part in parts]
    return tuple(result) or (window,)


def few(window: Window, dtype: np.dtype) -> int:
    """Up to how many taps are best read in one loop."""
    if not window.is_tiling:
        return FEW
    half = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
    return FEW_TILED_HALF if half else FEW_TILED


def _parts(axis: Axis | Uneven, method: str) -> tuple[Axis | Uneven, ...]:
    """The windows along one axis."""
    if axis == Axis(axis.size, 1):
        return ()
    if method == "separable" or isinstance(axis, Uneven):
        return (axis,)
    if axis.is_tiling:
        return tiling(axis)
    wide = doubles(axis) or (method == "doubling" and can_double(axis))
    return doubling(axis) if wide else (axis,)


def can_double(axis: Any) -> bool:
    """Whether every window between the first and the last is sure to hold an element."""
    if not isinstance(axis, Axis):
        return False
    low, high = axis.reach
    return (
        low < axis.extent and high < axis.extent and axis.dilation <= axis.size and axis.output > 0
    )


def doubles(axis: Any) -> bool:
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
    every step padding is known as such, and never wins. What a step gives covers as many neighbours
    as its windows are wide, unless they are dilated.
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

    The inner ones begin every so many elements from the first one's beginning on, so this distance
    must divide the stride, unless there is but one window. Then a maximum's may even overlap a
    little.
    """
    low, high = axis.reach
    if axis.window <= MOST or low > 0 or high > 0 or axis.output == 0:
        return (axis,)
    k, single = axis.window, axis.output == 1
    exact = [(w, w) for w in range(MOST, 2, -1) if k % w == 0]
    overlapping = [(w, d) for w in range(MOST, 3, -1) for d in range(w - 1, w // 2, -1)]
    for width, distance in exact + overlapping * (single and overlap):
        if (k - width) % distance == 0 and (single or axis.stride % distance == 0):
            count = (k - width) // distance + 1
            between = 1 if single else axis.stride // distance
            inner = (axis.output - 1) * between + count
            parts = Axis(inner, count, between if between >= count else count)
            return (
                _step(axis.size, width, 1, distance, axis.low, inner),
                *tiling(parts, overlap=overlap),
            )
    return (axis,)


def _step(
    size: int, taps: int, dilation: int, stride: int, low: int, output: int, covers: int = 1
) -> Axis:
    """An axis with the high padding that makes `output` windows."""
    high = (output - 1) * stride + dilation * (taps - 1) + 1 - size - low
    return Axis(size, taps, stride, dilation, low, high, covers=covers)
