"""Charts as the page has them: drawings in Vega-Lite among which the reader may choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Spec = dict[str, Any]
Scale = Literal["log", "linear"]
_HEIGHT = 380


@dataclass(frozen=True)
class Option:
    """One of the drawings that a chart offers.

    Attributes:
        label: Its name among the others.
        spec: Vega-Lite, each layer with its own encoding.
        axis: The axis whose scale the reader may switch; empty if none.
        scale: The scale to begin with.
    """

    label: str
    spec: Spec
    axis: Literal["", "x", "y"] = ""
    scale: Scale = "linear"


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
        id: Its id in the page.
        title: Its heading.
        caption: What stands below it.
        options: Its drawings, the first one shown first.
        choice: What the reader chooses among the options.
    """

    id: str
    title: str
    caption: str
    options: Sequence[Option]
    choice: str = ""


ZOOM = "Shift and the mouse wheel zoom, Shift and drag move, a double click resets."
"""What a caption says of `zoomed`."""


def zoomed(layer: Spec, axes: Sequence[str] = ("x", "y")) -> Spec:
    """A layer that lets the reader zoom and move these axes; without Shift the page scrolls."""
    select = {
        "type": "interval",
        "encodings": list(axes),
        "zoom": "wheel![event.shiftKey]",
        "translate": "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!",
    }
    return {**layer, "params": [{"name": "view", "select": select, "bind": "scales"}]}


def frame(layers: Sequence[Spec], data: Sequence[Mapping[str, Any]], description: str) -> Spec:
    """A spec of layers over one table, whose variants the page can hide."""
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
    """The encoding of a quantity on an axis that need not begin at zero."""
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, "nice": True, "padding": 12},
        "axis": {"tickCount": 6, **({"format": number} if number else {}), **more},
    }
