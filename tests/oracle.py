"""The oracle of every windowed operator: plain loops over windows, taps and elements.

It follows the definitions, is not optimised for speed, and shares no code with the code under test.
"""

import math
import operator

import numpy as np


def span(size, window, stride, dilation, padding, ceil_mode):
    """The padding (low, high) and the number of windows of one axis."""
    extent = dilation * (window - 1) + 1
    if padding in ("SAME", "SAME_LOWER"):
        outputs = math.ceil(size / stride)
        total = max((outputs - 1) * stride + extent - size, 0)
        small, large = total // 2, total - total // 2
        return (small, large, outputs) if padding == "SAME" else (large, small, outputs)
    low, high = (0, 0) if padding == "VALID" else padding
    room = size + low + high - extent
    if not ceil_mode:
        return low, high, max(math.floor(room / stride) + 1, 0)
    outputs = math.ceil(room / stride) + 1
    if (outputs - 1) * stride >= size + low:
        outputs -= 1
    return low, high, max(outputs, 0)


def pool(x, function, axes, window, strides, padding, dilation, ceil_mode=False, where=None):
    """`function(elements, indices, count)` of every window of `x`, as an array of float64.

    Axes ascend, and every geometric argument has one entry per axis. `elements` are the elements of
    the window inside the image that are not masked, and `indices` their row-major positions in the
    pooled plane. `count` is the number of taps in the padded plane without masked elements.
    """
    d = len(axes)
    planes = np.moveaxis(x, axes, range(-d, 0))
    present = np.moveaxis(
        np.broadcast_to(True if where is None else where, x.shape), axes, range(-d, 0)
    )
    sizes = planes.shape[-d:]
    spans = [
        span(*axis, ceil_mode)
        for axis in zip(sizes, window, strides, dilation, padding, strict=True)
    ]
    result = np.empty(planes.shape[:-d] + tuple(outputs for _, _, outputs in spans))
    for place in np.ndindex(result.shape):
        batch, output = place[:-d], place[-d:]
        elements, indices, count = [], [], 0
        for tap in np.ndindex(*window):
            at = tuple(
                o * s + t * r - low
                for o, s, t, r, (low, _, _) in zip(
                    output, strides, tap, dilation, spans, strict=True
                )
            )
            if all(0 <= i < n for i, n in zip(at, sizes, strict=True)):
                if present[batch + at]:
                    elements.append(planes[batch + at])
                    indices.append(np.ravel_multi_index(at, sizes))
                    count += 1
            else:
                count += all(
                    -low <= i < n + high
                    for i, n, (low, high, _) in zip(at, sizes, spans, strict=True)
                )
        result[place] = function(elements, indices, count)
    return np.moveaxis(result, range(-d, 0), axes)


def winner(elements, better):
    """The position of the first NaN, else of the first extreme element; None if empty."""
    best = None
    for i, element in enumerate(elements):
        if element != element:
            return i
        if best is None or better(element, elements[best]):
            best = i
    return best


def extreme(better, identity):
    """The value of the winner, or the identity."""

    def function(elements, indices, count):
        return elements[winner(elements, better)] if elements else identity

    return function


def where_extreme(better):
    """The index of the winner, or -1."""

    def function(elements, indices, count):
        return indices[winner(elements, better)] if elements else -1

    return function


def total(elements, indices, count):
    return sum(float(element) for element in elements)


def average(divisor=None, include_pad=True):
    def function(elements, indices, count):
        by = divisor or (count if include_pad else len(elements))
        return total(elements, indices, count) / by if elements else 0.0

    return function


def norm(p):
    def function(elements, indices, count):
        return sum(abs(float(element)) ** p for element in elements) ** (1 / p)

    return function


BETTER = {"max": operator.gt, "min": operator.lt}
