"""The oracles of poolings over boxes: loops over boxes, bins and samples, with exact fractions."""

import itertools
import math
from fractions import Fraction

import numpy as np


def sides(boxes, scale):
    """Yields the (begin, end) of the rows and of the columns of each box."""
    for x1, y1, x2, y2 in boxes * boxes.dtype.type(scale):
        yield [(Fraction(float(a)), Fraction(float(b))) for a, b in ((y1, y2), (x1, x2))]


def sampled(begin, end, bins, size, ratio, aligned):
    """Yields the samples of each bin, each a list of (element, weight) pairs, empty if outside."""
    if aligned:
        begin, end = begin - Fraction(1, 2), end - Fraction(1, 2)
    length = end - begin if aligned else max(end - begin, 1)
    bin_size = length / bins
    count = ratio or max(math.ceil(bin_size), 0)
    for i in range(bins):
        samples = []
        for s in range(count):
            position = begin + i * bin_size + (s + Fraction(1, 2)) * bin_size / count
            if not -1 <= position <= size:
                samples.append([])
                continue
            position = min(max(position, 0), size - 1)
            low = math.floor(position)
            high = min(low + 1, size - 1)
            samples.append([(low, float(1 + low - position)), (high, float(position - low))])
        yield samples


def align(features, image, boxes, output, *, ratio, aligned, reduce, scale=1.0):
    """Mean of the samples, or their largest weighted corner; `features` `(images, h, w, channels)`.

    A corner of weight 0 counts as 0, also if its element is infinite or NaN.
    """
    features = features.astype(np.float64)
    none = np.zeros(features.shape[-1])
    result = np.zeros((len(boxes), *output, features.shape[-1]))
    for r, box in enumerate(sides(boxes, scale)):
        rows, columns = (
            list(sampled(*side, bins, size, ratio, aligned))
            for side, bins, size in zip(box, output, features.shape[1:3], strict=True)
        )
        for i, j in np.ndindex(*output):
            values, corners = [], []
            for y, x in itertools.product(rows[i], columns[j]):
                parts = [
                    a * b * features[image[r], p, q] if a * b else none
                    for (p, a), (q, b) in itertools.product(y, x)
                ]
                with np.errstate(invalid="ignore"):  # the sum of two infinities
                    values.append(sum(parts, none))
                corners += parts or [none]
            if values:
                with np.errstate(invalid="ignore"):
                    mean = np.mean(values, 0)
                result[r, i, j] = mean if reduce == "mean" else np.max(corners, 0)
    return result


def rounded(number):
    """Rounds to the nearest integer, halves away from zero."""
    return int(math.copysign(math.floor(abs(number) + Fraction(1, 2)), number))


def integer_bins(begin, end, bins, size, extra):
    """Yields the (start, stop) of every bin, clipped to the map."""
    begin, end = rounded(begin), rounded(end)
    length = Fraction(max(end - begin + extra, 1))
    for i in range(bins):
        start, stop = math.floor(i * length / bins), math.ceil((i + 1) * length / bins)
        yield [min(max(edge + begin, 0), size) for edge in (start, stop)]


def pool(features, image, boxes, output, function, *, extra, scale=1.0):
    """`function(elements, i, j)` of every bin, elements `(rows, columns, channels)`; 0 if empty.

    A box includes its last row and column (`extra=1`), or ends before them (`extra=0`).
    """
    channels = function(features[0], 0, 0).shape
    result = np.zeros((len(boxes), *output, *channels))
    for r, box in enumerate(sides(boxes, scale)):
        rows, columns = (
            list(integer_bins(*side, bins, size, extra))
            for side, bins, size in zip(box, output, features.shape[1:3], strict=True)
        )
        for i, j in np.ndindex(*output):
            inside = features[image[r], slice(*rows[i]), slice(*columns[j])]
            if inside.size:
                result[r, i, j] = function(inside, i, j)
    return result


def some(rng, count, size, *, on_grid=False):
    """Random boxes inside, across, around and beside a map; some have swapped corners."""
    corner = rng.uniform(-0.7 * size, 1.2 * size, (count, 2))
    extent = rng.choice([0.0, 0.3, 1.0, 2.5], (count, 1)) * rng.uniform(0.2, 1, (count, 2)) * size
    boxes = np.concatenate([corner, corner + extent], 1)
    boxes[::5] = boxes[::5][:, [2, 3, 0, 1]]
    return (np.round(boxes * 2) / 2 if on_grid else boxes).astype(np.float32)
