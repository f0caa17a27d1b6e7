"""Placement of labels on a scatter plot without overlaps."""

from collections.abc import Sequence
from itertools import product
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

Colour = tuple[float, float, float]
_SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
_DISTANCES = (7, 12, 18, 26, 36, 48, 64)  # typographic points
_ALIGNED_X: dict[int, Literal["left", "center", "right"]] = {1: "left", 0: "center", -1: "right"}
_ALIGNED_Y: dict[int, Literal["bottom", "center", "top"]] = {1: "bottom", 0: "center", -1: "top"}


def place(
    axes: Axes,
    canvas: FigureCanvasAgg,
    texts: Sequence[str],
    points: Sequence[tuple[float, float]],
    obstacles: Sequence[Bbox],
    colours: Sequence[Colour],
) -> list[Annotation]:
    """Writes a label beside each point, at the nearest free position.

    A position is free if the label is inside the axes and overlaps no obstacle and no earlier
    label. If no position is free, the one with the smallest overlap is used. Labels at a distance
    from their point get a thin line to it. The limits of the axes must be final.

    Args:
        axes: The axes to write on.
        canvas: The figure's canvas, which measures the text.
        texts: The labels.
        points: The labelled points, in data coordinates.
        obstacles: Rectangles that must stay visible, in pixels.
        colours: One colour per label.

    Returns:
        The annotations.
    """
    renderer = canvas.get_renderer()
    inside = axes.get_window_extent(renderer)
    taken = list(obstacles)
    placed = []
    for text, point, colour in zip(texts, points, colours, strict=True):
        note = axes.annotate(
            text, point, textcoords="offset points", xytext=(0, 0), color=colour, fontsize=10
        )
        best = None
        for distance, (x, y) in product(_DISTANCES, _SIDES):
            _move(note, distance, x, y)
            extent = note.get_window_extent(renderer)
            cost = sum(_overlap(extent, other) for other in taken) + _outside(extent, inside)
            if best is None or cost < best[0]:
                best = (cost, distance, x, y)
            if cost == 0:
                break
        if best is not None:
            _move(note, *best[1:])
            if best[1] > _DISTANCES[1]:
                _draw_leader(axes, point, note, colour)
        taken.append(note.get_window_extent(renderer))
        placed.append(note)
    return placed


def _move(note: Annotation, distance: float, x: int, y: int) -> None:
    note.set_position((distance * x, distance * y))
    note.set_horizontalalignment(_ALIGNED_X[x])
    note.set_verticalalignment(_ALIGNED_Y[y])


def _draw_leader(axes: Axes, point: tuple[float, float], note: Annotation, colour: Colour) -> None:
    axes.annotate(
        "",
        point,
        textcoords="offset points",
        xytext=note.get_position(),
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkB": 5},
    )


def _overlap(one: Bbox, other: Bbox) -> float:
    common = Bbox.intersection(one, other)
    return 0.0 if common is None else common.width * common.height


def _outside(label: Bbox, inside: Bbox) -> float:
    return label.width * label.height - _overlap(label, inside)
