"""RoI pooling: boxes on a coarse map, with their bins."""

import numpy as np

import jaxpool
from tools.gallery.pictures.photo import grey, pagoda
from tools.gallery.pictures.strip import Box, Panel, strip

_SIZE, _BINS = 32, 6
_BOXES = np.array([(4.6, 1.4, 27.3, 9.7), (14.4, 19.3, 27.6, 29.7)], np.float32)
_WHOLE = (4.3, 2.4, 27.8, 29.6)
_COLOURS = ("#E6007E", "#0072B2")
_TINTS = {
    "red": (1.0, 0.25, 0.25),
    "green": (0.25, 1.0, 0.25),
    "blue": (0.4, 0.5, 1.0),
    "brightness": (1.0, 1.0, 1.0),
}


def roi_align() -> bytes:
    """Boxes with unrounded corners."""
    y = jaxpool.roi_align(pagoda(_SIZE)[0], _BOXES, _BINS)
    corners = [tuple(map(float, box)) for box in _BOXES]
    return _strip("roi_align", "boxes lie between pixels", corners, y)


def roi_pool() -> bytes:
    """Boxes rounded to pixels, including the last pixel."""
    y = jaxpool.roi_pool(pagoda(_SIZE)[0], _BOXES, _BINS)
    rounded = np.floor(_BOXES + 0.5) + np.array([0, 0, 1, 1])
    corners = [tuple(map(float, box)) for box in rounded]
    return _strip("roi_pool", "boxes are rounded to pixels", corners, y)


def ps_roi_align() -> bytes:
    """Four bins, each with its own map."""
    return _position_sensitive("ps_roi_align", _WHOLE)


def ps_roi_pool() -> bytes:
    """Four bins with their own maps, of a box rounded to pixels."""
    left, top, right, bottom = map(round, _WHOLE)
    return _position_sensitive("ps_roi_pool", (left, top, right, bottom))


def _strip(name: str, note: str, corners: list, y: object) -> bytes:
    pooled = np.asarray(y)
    boxes = [
        Box(each, (_BINS, _BINS), colour) for each, colour in zip(corners, _COLOURS, strict=True)
    ]
    panels = [
        Panel(f"{name}(x, boxes, {_BINS})[{i}]", pooled[i : i + 1], f"the {which} box")
        for i, which in enumerate(("upper", "lower"))
    ]
    return strip(Panel("x, boxes", pagoda(_SIZE), f"32 x 32; {note}", boxes=boxes), *panels)


def _position_sensitive(name: str, corners: tuple[float, float, float, float]) -> bytes:
    """The maps of the bins, each in its own colour, and the pooled bins."""
    photo, tints = pagoda(_SIZE), np.array([*_TINTS.values()])
    x = np.concatenate([photo, grey(photo)], -1)
    y = np.asarray(getattr(jaxpool, name)(x[0], np.array([_WHOLE], np.float32), 2))
    maps = []
    for k, what in enumerate(_TINTS):
        i, j = divmod(k, 2)
        boxes = [Box(corners, (2, 2), "#000000"), Box(_quarter(corners, i, j), colour="#FFD400")]
        note = f"{what}; read by bin ({i}, {j})"
        maps.append(Panel(f"x[..., {k}]", x[..., k : k + 1] * tints[k], note, boxes=boxes))
    colours = y * tints.reshape(1, 2, 2, 3)
    return strip(
        *maps,
        Panel(f"{name}(x, box, 2)", colours, "each bin its own map", numbers=y[0, ..., 0].round(2)),
    )


def _quarter(
    corners: tuple[float, float, float, float], i: int, j: int
) -> tuple[float, float, float, float]:
    left, top, right, bottom = corners
    width, height = (right - left) / 2, (bottom - top) / 2
    return (
        left + j * width,
        top + i * height,
        left + (j + 1) * width,
        top + (i + 1) * height,
    )
