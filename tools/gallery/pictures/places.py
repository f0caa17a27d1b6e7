"""Indices of maxima, and max unpooling."""

import numpy as np

import jaxpool
from tools.gallery.pictures.photo import grey, pagoda
from tools.gallery.pictures.strip import Panel, strip


def dots(indices: object, width: int) -> list[tuple[int, int]]:
    """The positions `(row, column)` of flat indices of a plane."""
    return [divmod(int(index), width) for index in np.ravel(np.asarray(indices))]


def max_pool_with_argmax() -> bytes:
    """A dot for every winner."""
    x = grey(pagoda(48))
    values, indices = jaxpool.max_pool_with_argmax(x, 6)
    lines = range(6, 48, 6)
    return strip(
        Panel("x", x, "48 x 48, in windows of 6 x 6"),
        Panel("indices", x, "dots: where they point", lines, lines, dots(indices, 48)),
        Panel("values", values, "max_pool_with_argmax(x, 6)"),
    )


def max_unpool() -> bytes:
    """Pooled values, and the unpooled map."""
    x = grey(pagoda(48))
    values, indices = jaxpool.max_pool_with_argmax(x, 2)
    return strip(
        Panel("x", x, "48 x 48"),
        Panel("values, indices", values, "max_pool_with_argmax(x, 2)"),
        Panel("max_unpool(values, indices, 48)", jaxpool.max_unpool(values, indices, 48)),
    )
