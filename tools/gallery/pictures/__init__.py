"""What every operator does to one photograph, each in a strip of panels.

photo.py       the photograph
strip.py       panels side by side
windows.py, places.py, aliasing.py, whole.py, bins.py, boxes.py
               functions with the operators' names, each of which draws a strip
"""

from tools.gallery.pictures import aliasing, bins, boxes, places, whole, windows

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
    for module in _MODULES:
        if hasattr(module, name):
            return getattr(module, name)()
    raise KeyError(name)
