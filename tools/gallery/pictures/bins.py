"""Adaptive and fractional pooling: bins drawn over the input."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import jaxpool
from tools.gallery.pictures.photo import grey, pagoda
from tools.gallery.pictures.places import dots
from tools.gallery.pictures.strip import Box, Panel, strip

_SIZE, _BINS = 32, 7
_FINE, _WINDOWS = 24, 15
_OTHER = "#0072B2"


def adaptive_max_pool() -> bytes:
    """Bins that overlap by a pixel."""
    return _adaptive(jaxpool.adaptive_max_pool)


def adaptive_avg_pool() -> bytes:
    """Bins that overlap by a pixel."""
    return _adaptive(jaxpool.adaptive_avg_pool)


def adaptive_max_pool_with_argmax() -> bytes:
    """A dot for every winner."""
    x = grey(pagoda(_SIZE))
    values, indices = jaxpool.adaptive_max_pool_with_argmax(x, _BINS)
    return strip(
        Panel("x", x, f"{_BINS} x {_BINS} bins that overlap", boxes=_overlapping()),
        Panel("indices", x, "dots: where they point", dots=dots(indices, _SIZE)),
        Panel("values", values, f"adaptive_max_pool_with_argmax(x, {_BINS})"),
    )


def fractional_max_pool() -> bytes:
    """Two draws of the windows."""
    return _fractional(jaxpool.fractional_max_pool)


def fractional_avg_pool() -> bytes:
    """Two draws of the windows."""
    return _fractional(jaxpool.fractional_avg_pool)


def fractional_max_pool_with_argmax() -> bytes:
    """A dot for every winner."""
    x, key = grey(pagoda(_FINE)), jax.random.key(0)
    rows, columns = jaxpool.fractional_samples(x, None, _WINDOWS, key=key)
    values, indices = jaxpool.fractional_max_pool_with_argmax(x, None, _WINDOWS, key=key)
    return strip(
        Panel("x", x, f"a draw of {_WINDOWS} x {_WINDOWS} windows", _inner(rows), _inner(columns)),
        Panel("indices", x, "dots: where they point", dots=dots(indices, _FINE)),
        Panel("values", values, f"..._with_argmax(x, None, {_WINDOWS}, key=...)"),
    )


def spatial_pyramid_pool() -> bytes:
    """The three levels of one vector."""
    x, lines = pagoda(), (24, 48, 72)
    vector = np.asarray(jaxpool.spatial_pyramid_pool(x, (1, 2, 4)))
    panels, start = [Panel("x", x, "with the bins of level 4", lines, lines)], 0
    for level in (1, 2, 4):
        end = start + 3 * level**2
        bins = vector[:, start:end].reshape(1, level, level, 3)
        panels.append(Panel(f"y[0, {start}:{end}]", bins, f"level {level}"))
        start = end
    return strip(*panels)


def _adaptive(function: Callable[..., Any]) -> bytes:
    x, name = pagoda(_SIZE), function.__name__
    return strip(
        Panel("x", x, "32 x 32"),
        Panel("7 x 7 bins", x, "they overlap between two lines", boxes=_overlapping()),
        Panel(f"{name}(x, 7)", function(x, 7), "7 x 7"),
        Panel(f"{name}(x, (3, 12))", function(x, (3, 12)), "3 x 12"),
    )


def _overlapping() -> list[Box]:
    """The bins, in two alternating colours."""
    ends = [(i * _SIZE // _BINS, -(-(i + 1) * _SIZE // _BINS)) for i in range(_BINS)]
    return [
        Box((left, top, right, bottom), colour=_OTHER if (i + j) % 2 else "#E6007E")
        for i, (top, bottom) in enumerate(ends)
        for j, (left, right) in enumerate(ends)
    ]


def _fractional(function: Callable[..., Any]) -> bytes:
    x, panels = pagoda(_FINE), []
    for seed in (0, 1):
        key = jax.random.key(seed)
        rows, columns = jaxpool.fractional_samples(x, None, _WINDOWS, key=key)
        y = function(x, None, _WINDOWS, key=key)
        note = f"a draw of {_WINDOWS} x {_WINDOWS} windows"
        panels += [
            Panel("x", x, note, _inner(rows), _inner(columns)),
            Panel(f"{function.__name__}(x, None, {_WINDOWS})", y, f"key=jax.random.key({seed})"),
        ]
    return strip(*panels)


def _inner(boundaries: Any) -> list[float]:
    """The boundaries without the edges of the map."""
    return np.asarray(boundaries, np.float64)[1:-1].tolist()
