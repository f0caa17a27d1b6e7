"""Geometry of boxes (x1, y1, x2, y2) in pixels, exclusive at the upper ends: overlap and deltas.

Every function takes NumPy arrays or JAX arrays, and returns the same kind.
"""

from typing import Any

import numpy as np

DELTA_SCALE = np.array([0.1, 0.1, 0.2, 0.2], np.float32)
"""Divisors of deltas, so that the deltas of typical proposals have a spread of about 1, as in
Girshick (2015)."""
_LARGEST_LOG = 4.0
"""Upper bound of tw and th, so that `exp` cannot overflow: a box grows by at most `exp(4)`."""


def iou(first: Any, second: Any) -> Any:
    """Intersection over union.

        iou = area(first and second) / area(first or second)

    Args:
        first: Boxes (..., 4).
        second: Boxes whose shape broadcasts with that of `first`.

    Returns:
        Shares (...); 0 for two boxes without area.
    """
    xp = first.__array_namespace__()
    both = xp.minimum(first[..., 2:], second[..., 2:]) - xp.maximum(first[..., :2], second[..., :2])
    intersection = xp.prod(xp.maximum(both, 0), axis=-1)
    union = area(first) + area(second) - intersection
    return intersection / xp.maximum(union, 1e-9)


def area(boxes: Any) -> Any:
    """The areas (...) of boxes (..., 4); 0 if an upper end is below its lower end."""
    xp = boxes.__array_namespace__()
    return xp.prod(xp.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def encode(proposals: Any, boxes: Any) -> Any:
    """The deltas that turn proposals into boxes, which a network learns to predict.

        tx = (x - px) / pw,  ty = (y - py) / ph,  tw = log(w / pw),  th = log(h / ph)

    for centres (x, y), widths w and heights h of the boxes, and centres (px, py), widths pw and
    heights ph of the proposals; the deltas are then divided by `DELTA_SCALE`.

    Args:
        proposals: Boxes (..., 4) with an area.
        boxes: The target boxes (..., 4), with an area.

    Returns:
        Deltas (..., 4).

    Source:
        Girshick, Donahue, Darrell and Malik, "Rich feature hierarchies for accurate object
        detection and semantic segmentation", 2014.
    """
    xp = proposals.__array_namespace__()
    (place, extent), (wanted, size) = _centred(proposals), _centred(boxes)
    deltas = xp.concatenate([(wanted - place) / extent, xp.log(size / extent)], axis=-1)
    return deltas / DELTA_SCALE


def decode(proposals: Any, deltas: Any, size: int) -> Any:
    """Applies deltas to proposals; the inverse of `encode`.

    Args:
        proposals: Boxes (..., 4).
        deltas: Deltas (..., 4).
        size: Side of the square scene, in pixels; boxes are clipped to the scene.

    Returns:
        Boxes (..., 4).
    """
    xp = proposals.__array_namespace__()
    place, extent = _centred(proposals)
    deltas = deltas * DELTA_SCALE
    centre = place + deltas[..., :2] * extent
    half = extent * xp.exp(xp.minimum(deltas[..., 2:], _LARGEST_LOG)) / 2
    return xp.clip(xp.concatenate([centre - half, centre + half], axis=-1), 0, size)


def _centred(boxes: Any) -> tuple[Any, Any]:
    """The centres (..., 2) of boxes, and their widths and heights (..., 2)."""
    extent = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + extent / 2, extent
