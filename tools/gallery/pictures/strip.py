"""Strips of panels; each element of an array is one square of one colour."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

SIDE = 192
"""Pixels along a panel: a multiple of all sizes of arrays that are shown, but for a few."""

_GAP, _HEAD, _DPI = 14, 36, 100
_COLOURS = 256  # a third of the file size, without a visible difference
_MARK = "#E6007E"
_GREY = "#555555"


@dataclass(frozen=True)
class Box:
    """A rectangle over a panel, in elements: `(left, top, right, bottom)`, and its bins."""

    corners: tuple[float, float, float, float]
    bins: tuple[int, int] = (1, 1)
    colour: str = _MARK


@dataclass(frozen=True)
class Panel:
    """One square picture.

    Attributes:
        title: The title.
        image: `(1, height, width, channels)` of 3 channels or 1, from 0 to 1.
        note: A second line.
        rows: Positions of horizontal lines, in elements from the top.
        columns: Positions of vertical lines, in elements from the left.
        dots: Elements `(row, column)` to mark.
        boxes: Rectangles to draw.
        numbers: Numbers to draw in the elements, `(height, width)`.
        colours: Matplotlib's name of the colours for images without any.
    """

    title: str
    image: Any
    note: str = ""
    rows: Sequence[float] = ()
    columns: Sequence[float] = ()
    dots: Sequence[tuple[float, float]] = ()
    boxes: Sequence[Box] = ()
    numbers: Any = None
    colours: str = "gray"


def strip(*panels: Panel) -> bytes:
    """Draws panels in a row.

    Args:
        panels: From left to right.

    Returns:
        A PNG.
    """
    width = len(panels) * SIDE + (len(panels) + 1) * _GAP
    height = SIDE + _HEAD + _GAP
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    for number, panel in enumerate(panels):
        left = _GAP + number * (SIDE + _GAP)
        place = (left / width, _GAP / height, SIDE / width, SIDE / height)
        axes = figure.add_axes(place)
        _draw(axes, panel)
        middle = (left + SIDE / 2) / width
        figure.text(middle, 1 - 9 / height, panel.title, ha="center", va="center", fontsize=8)
        figure.text(
            middle, 1 - 24 / height, panel.note, ha="center", va="center", fontsize=7, color=_GREY
        )
    drawn, result = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    colours = Image.open(drawn).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    colours.save(result, format="png", optimize=True)
    return result.getvalue()


def _draw(axes: Axes, panel: Panel) -> None:
    image = np.asarray(panel.image, np.float32)[0]
    rows, columns, _ = image.shape
    axes.imshow(
        np.clip(image, 0, 1).squeeze(-1) if image.shape[-1] == 1 else np.clip(image, 0, 1),
        cmap=panel.colours,
        vmin=0,
        vmax=1,
        interpolation="nearest",
        aspect="auto",
        extent=(0, columns, rows, 0),
    )
    axes.set_axis_off()
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    for row in panel.rows:
        axes.plot((0, columns), (row, row), color=_MARK, linewidth=0.8)
    for column in panel.columns:
        axes.plot((column, column), (0, rows), color=_MARK, linewidth=0.8)
    for row, column in panel.dots:
        axes.plot(column + 0.5, row + 0.5, "o", color=_MARK, markersize=3, markeredgewidth=0)
    for box in panel.boxes:
        _draw_box(axes, box)
    if panel.numbers is not None:
        _write(axes, np.asarray(panel.numbers), image)


def _draw_box(axes: Axes, box: Box) -> None:
    left, top, right, bottom = box.corners
    corner, width, height = (left, top), right - left, bottom - top
    axes.add_patch(
        Rectangle(corner, width, height, fill=False, edgecolor=box.colour, linewidth=1.6)
    )
    down, across = box.bins
    for i in range(1, down):
        level = top + height * i / down
        axes.plot((left, right), (level, level), color=box.colour, linewidth=0.6)
    for j in range(1, across):
        place = left + width * j / across
        axes.plot((place, place), (top, bottom), color=box.colour, linewidth=0.6)


def _write(axes: Axes, numbers: np.ndarray, image: np.ndarray) -> None:
    for row, column in np.ndindex(numbers.shape):
        shade = float(np.mean(image[row, column]))
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{numbers[row, column]:g}",
            ha="center",
            va="center",
            fontsize=8 if len(numbers) > 2 else 10,
            color="black" if shade > 0.55 else "white",
        )
