"""Cases of pooling over boxes."""

from __future__ import annotations

from typing import Any

from tools.peers.arrays import Array, given, normal
from tools.peers.case import PeerCase
from tools.peers.cases.windowed import ROUNDING

INSIDE = given([[0.0, 0.0, 6.7, 5.0], [1.3, 2.1, 6.2, 7.9], [2.5, 0.5, 4.0, 6.0]])
INNER = given([[0.0, 0.0, 6.7, 5.0], [1.3, 2.1, 6.2, 6.4], [2.5, 0.5, 4.0, 6.0]])
OUTSIDE = given([[-1.0, -1.0, 5.0, 4.2], [4.0, 4.0, 13.0, 12.5]])
MAP = normal(8, 9, 3)


def boxes(topic: str, features: Array, of: Array, **fields: Any) -> PeerCase:
    """A case with 2 x 3 bins per box."""
    return PeerCase(
        topic=topic, operands=(features, of), args=((2, 3),), tolerance=ROUNDING, **fields
    )


IMAGES = {"batch_indices": given([1, 0, 1], "int32")}
ALIGN = (
    boxes("one sample a bin", MAP, INSIDE, options={"sampling_ratio": 1}),
    boxes("samples a bin", MAP, INSIDE, options={"sampling_ratio": 2}),
    boxes("samples by size", MAP, INSIDE),
    boxes("not aligned", MAP, INSIDE, options={"sampling_ratio": 1, "aligned": False}),
    boxes("scale", MAP, INSIDE, options={"sampling_ratio": 1, "spatial_scale": 0.5}),
    boxes("outside the map", MAP, OUTSIDE, options={"sampling_ratio": 1}),
    boxes("maximum", MAP, INSIDE, options={"sampling_ratio": 1, "reduce": "max"}),
    boxes("derivative of boxes", MAP, INSIDE, options={"sampling_ratio": 1}, wrt=1),
    boxes("several images", normal(2, 8, 9, 3), INSIDE, options={"sampling_ratio": 1, **IMAGES}),
)
POOL = (
    boxes("2-D", MAP, INSIDE),
    boxes("scale", MAP, INSIDE, options={"spatial_scale": 0.5}),
    boxes("outside the map", MAP, OUTSIDE),
    boxes("several images", normal(2, 8, 9, 3), INSIDE, options=IMAGES),
)

MAPS = normal(8, 9, 12)
PS_IMAGES = boxes("several images", normal(2, 8, 9, 12), INSIDE, options=IMAGES)
PS_ALIGN = (
    boxes("samples a bin", MAPS, INSIDE, options={"sampling_ratio": 2}),
    boxes("samples by size", MAPS, INSIDE),
    boxes("scale", MAPS, INSIDE, options={"sampling_ratio": 2, "spatial_scale": 0.5}),
    boxes("outside the map", MAPS, OUTSIDE, options={"sampling_ratio": 2}),
    PS_IMAGES,
)
PS_POOL = (
    boxes("2-D", MAPS, INNER),
    boxes("scale", MAPS, INNER, options={"spatial_scale": 0.5}),
    boxes("several images", normal(2, 8, 9, 12), INNER, options=IMAGES),
    boxes("last row and column", MAPS, INSIDE),
    boxes("last row and column", MAPS, OUTSIDE),
)
