"""Pictures of the gallery: the result of every operator on one photograph, as panels.

The catalogue defines the panels of most windowed operators. For the others, a function with the
operator's name draws them:

photo.py       the photograph
strip.py       panels side by side
windows.py, places.py, aliasing.py, whole.py, bins.py, boxes.py
               functions with the operators' names, each of which draws a strip
"""

from collections.abc import Mapping

import jaxpool
from catalogue import CATALOGUE
from tools.gallery.pictures import aliasing, bins, boxes, places, whole, windows
from tools.gallery.pictures.photo import pagoda
from tools.gallery.pictures.strip import Panel, strip

_MODULES = (windows, places, aliasing, whole, bins, boxes)


def draw(name: str) -> bytes:
    """The strip of an operator.

    Args:
        name: The operator's name.

    Returns:
        A PNG.

    Raises:
        KeyError: The operator has no picture.
    """
    if name in CATALOGUE and (panels := CATALOGUE[name].picture):
        return _calls(panels)
    for module in _MODULES:
        if hasattr(module, name):
            return getattr(module, name)()
    raise KeyError(
        f"{name} has no picture: give its entry in catalogue/entries.py one, or write a function "
        f"{name} in tools/gallery/pictures/"
    )


def _calls(panels: Mapping[str, str]) -> bytes:
    """The photograph, and the value of each expression; the expression is the panel's title."""
    names = {"x": pagoda(), **vars(jaxpool)}
    results = (Panel(call, eval(call, names), note) for call, note in panels.items())
    return strip(Panel("x", names["x"], "96 x 96"), *results)
