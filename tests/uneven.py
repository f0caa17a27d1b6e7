"""The oracle of windows that differ in position and length: plain loops, as in `oracle`."""

import itertools

import numpy as np


def pool(x, windows, function, where=None):
    """`function(elements, indices, count)` of every window of `x`, `(batch, *spatial, channels)`.

    `windows(image, channel)` lists, for each spatial axis, the `(start, stop)` of its windows.
    """
    planes = np.moveaxis(x, -1, 1)
    present = np.moveaxis(np.broadcast_to(True if where is None else where, x.shape), -1, 1)
    result = []
    for plane in np.ndindex(planes.shape[:2]):
        for spans in itertools.product(*windows(*plane)):
            places = itertools.product(*(range(start, stop) for start, stop in spans))
            places = [place for place in places if present[plane + place]]
            elements = [planes[plane + place] for place in places]
            indices = [np.ravel_multi_index(place, planes.shape[2:]) for place in places]
            result.append(function(elements, indices, len(elements)))
    outputs = [len(axis) for axis in windows(0, 0)]
    return np.moveaxis(np.reshape(result, (*planes.shape[:2], *outputs)), 1, -1)
