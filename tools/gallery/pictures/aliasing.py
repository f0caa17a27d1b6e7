"""Aliasing: a roof with stripes, downsampled with and without a blur."""

from collections.abc import Callable
from typing import Any

import numpy as np

import jaxpool
from tools.gallery.pictures.photo import roof
from tools.gallery.pictures.strip import Panel, strip


def blur_pool() -> bytes:
    """Blur pooling, compared with subsampling."""
    return strip(
        Panel("x", roof(), "96 x 96"),
        _panel("x[:, ::3, ::3]", lambda x: x[:, ::3, ::3]),
        _panel("blur_pool(x, 5, 3)", lambda x: jaxpool.blur_pool(x, 5, 3)),
    )


def max_blur_pool() -> bytes:
    """Max blur pooling, compared with strided max pooling."""
    return strip(
        Panel("x", roof(), "96 x 96"),
        _panel("max_pool(x, 2, strides=3)", lambda x: jaxpool.max_pool(x, 2, strides=3)),
        _panel("max_blur_pool(x, 2, 5, 3)", lambda x: jaxpool.max_blur_pool(x, 2, 5, 3)),
    )


def _panel(title: str, shrink: Callable[[Any], Any]) -> Panel:
    """The downsampled roof, and its change when the input is shifted by one pixel."""
    moved = np.roll(roof(97), -1, 2)[:, :-1, :-1]
    change = np.abs(np.asarray(shrink(roof(97)[:, :-1, :-1])) - np.asarray(shrink(moved))).mean()
    return Panel(title, shrink(roof()), f"x moves by a pixel: changes by {change:.3f}")
