"""Charts of the page: Vega-Lite drawings that the reader can select and zoom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Spec = dict[str, Any]
Scale = Literal["log", "linear"]
_HEIGHT = 380


@dataclass(frozen=True)
class Option:
    """One selectable drawing of a chart.

    Attributes:
        label: The drawing's name in the selection.
        spec: The Vega-Lite specification; each layer has its own encoding.
        axis: The axis whose scale the reader can switch; empty for none.
        scale: The initial scale.
    """

    label: str
    spec: Spec
    axis: Literal["", "x", "y"] = ""
    scale: Scale = "linear"


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
        id: The chart's id in the page.
        title: The chart's heading.
        caption: Text below the chart.
        options: The drawings; the first one is shown first.
        choice: The label of the selection.
    """

    id: str
    title: str
    caption: str
    options: Sequence[Option]
    choice: str = ""


ZOOM = "Shift and the mouse wheel zoom, Shift and drag move, a double click resets."
"""Explanation of `zoomed`, for captions."""


def zoomed(layer: Spec, axes: Sequence[str] = ("x", "y")) -> Spec:
    """A layer whose axes the reader can zoom and move; without Shift, the page scrolls."""
    select = {
        "type": "interval",
        "encodings": list(axes),
        "zoom": "wheel![event.shiftKey]",
        "translate": "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!",
    }
    return {**layer, "params": [{"name": "view", "select": select, "bind": "scales"}]}


def frame(layers: Sequence[Spec], data: Sequence[Mapping[str, Any]], description: str) -> Spec:
    """A specification of layers over one table, whose variants the page can hide."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": "container",
        "height": _HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": {"mark": {"clip": True}},
        "data": {"values": list(data)},
        "transform": [{"filter": "indexof(hidden, datum.variant) < 0"}],
        "params": [{"name": "hidden", "value": []}],
        "layer": list(layers),
    }


def axis(field: str, title: str | list[str], number: str = "", **more: Any) -> Spec:
    """The encoding of a quantity on an axis that need not start at 0."""
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, "nice": True, "padding": 12},
        "axis": {"tickCount": 6, **({"format": number} if number else {}), **more},
    }
