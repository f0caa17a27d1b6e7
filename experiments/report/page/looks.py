"""Colour and marker of each variant or contender on the page, the same as in `report.plots`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.report.plots import COLOURS, MARKERS

_STAR = "M" + "L".join(
    f"{r * math.sin(i * math.pi / 5):.3f},{-r * math.cos(i * math.pi / 5):.3f}"
    for i, r in enumerate([1.15, 0.46] * 5)
)
PATHS = {
    "o": "M-0.85,0A0.85,0.85,0,1,1,0.85,0A0.85,0.85,0,1,1,-0.85,0Z",
    "s": "M-0.8,-0.8L0.8,-0.8L0.8,0.8L-0.8,0.8Z",
    "^": "M0,-1L1,0.8L-1,0.8Z",
    "D": "M0,-1.05L1.05,0L0,1.05L-1.05,0Z",
    "v": "M0,1L1,-0.8L-1,-0.8Z",
    "P": "M-0.35,-1L0.35,-1L0.35,-0.35L1,-0.35L1,0.35L0.35,0.35L0.35,1L-0.35,1L-0.35,0.35"
    "L-1,0.35L-1,-0.35L-0.35,-0.35Z",
    "X": "M-1,-0.55L-0.55,-1L0,-0.45L0.55,-1L1,-0.55L0.45,0L1,0.55L0.55,1L0,0.45L-0.55,1L-1,0.55"
    "L-0.45,0Z",
    "*": f"{_STAR}Z",
}
"""Matplotlib's markers as SVG paths in a square from -1 to 1."""


@dataclass(frozen=True)
class Look:
    """Colour and marker of a variant or contender.

    Attributes:
        name: The variant or contender.
        colour: As #RRGGBB.
        path: The marker, as an SVG path in a square from -1 to 1.
        label: The name shown to the reader.
    """

    name: str
    colour: str
    path: str
    label: str


def looks(names: Sequence[str], labels: Sequence[str] | None = None) -> list[Look]:
    """One look per name, in order; the first 56 differ in colour or marker."""
    return [
        Look(name, COLOURS[i % len(COLOURS)], PATHS[MARKERS[i % len(MARKERS)]], label)
        for i, (name, label) in enumerate(zip(names, labels or names, strict=True))
    ]


def scales(found: Sequence[Look]) -> dict[str, dict]:
    """Vega-Lite's encodings of colour and shape, without a legend: the page has its own."""
    names = [look.name for look in found]
    colours, paths = [look.colour for look in found], [look.path for look in found]
    field = {"field": "variant", "type": "nominal", "legend": None}
    return {
        "color": {**field, "scale": {"domain": names, "range": colours}},
        "shape": {**field, "scale": {"domain": names, "range": paths}},
    }
