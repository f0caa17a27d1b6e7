"""The whole map: one number a channel, shown as the colour that it is."""

from collections.abc import Callable
from typing import Any

import numpy as np

import jaxpool
from tools.gallery.pictures.photo import pagoda
from tools.gallery.pictures.strip import Panel, strip


def global_max_pool() -> bytes:
    """The largest of red, green and blue."""
    return _whole(jaxpool.global_max_pool)


def global_min_pool() -> bytes:
    """The smallest of red, green and blue."""
    return _whole(jaxpool.global_min_pool)


def global_avg_pool() -> bytes:
    """The mean colour."""
    return _whole(jaxpool.global_avg_pool)


def global_sum_pool() -> bytes:
    """The mean colour, times the number of pixels."""
    return _whole(jaxpool.global_sum_pool, 9216, "; the colour: / 9216")


def global_lp_pool() -> bytes:
    """The root of the mean square, times that of the number of pixels."""
    return _whole(jaxpool.global_lp_pool, 96, "; the colour: / 96")


def _whole(function: Callable[..., Any], scale: int = 1, note: str = "") -> bytes:
    x = pagoda()
    y = np.asarray(function(x, keepdims=True))
    numbers = ", ".join(f"{value:.2g}" if value < 100 else f"{value:.0f}" for value in y.ravel())
    return strip(
        Panel("x", x, "96 x 96"),
        Panel(f"{function.__name__}(x)", y / scale, f"[{numbers}]{note}"),
    )
