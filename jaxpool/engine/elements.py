"""The elements of every window, for searches that need them one by one.

A median or a random draw visits the taps of a window in turn, by `Taps`. What it finds is a number
of a tap, and `choose` takes the element that stands there, with its derivative; so the search
itself needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpool.engine import linear, masked, taps
from jaxpool.window import Window


class Taps:
    """Arrays as every tap of a window reads them, in row-major order: one array per tap and turn.

    Args:
        window: The geometry, resolved for the shape of the arrays.
        arrays: Each with what a tap reads in padding.
    """

    def __init__(self, window: Window, *arrays: tuple[jax.Array, Any]):
        """Pad the arrays."""
        self._window = window
        self._padded = []
        for array, fill in arrays:
            padded, self._window = taps.pad_to_reach(array, window, np.asarray(fill, array.dtype))
            self._padded.append(padded)

    def fold(self, step: Callable[..., Any], start: Any) -> Any:
        """`step(carry, number, *elements)` for every tap.

        Few taps are spelt out, so that all turns are one kernel; of many, nothing is stored but the
        carry.
        """
        if 0 in self._window.output:
            return start
        if self._window.taps > taps.FEW:
            return taps.loop(
                lambda carry, number, tap: step(carry, number, *self._read_at(tap)),
                start,
                self._window,
            )
        for number, elements in enumerate(self.every()):
            start = step(start, np.int32(number), *elements)
        return start

    def every(self) -> Iterator[tuple[jax.Array, ...]]:
        """What each tap reads."""
        for tap in taps.every_tap(self._window):
            yield tuple(taps.read(x, self._window, tap) for x in self._padded)

    def _read_at(self, tap: Any) -> list[jax.Array]:
        return [taps.read_at(x, self._window, tap) for x in self._padded]


def occupied(window: Window, ndim: int, where: jax.Array | None) -> jax.Array:
    """Which windows have an element, as booleans that broadcast against the output."""
    count = np.dtype(np.int32)
    present = ones(window, ndim, count) if where is None else where.astype(count)
    return linear.collect(present, window) > 0


def ones(window: Window, ndim: int, dtype: np.dtype) -> jax.Array:
    """An input of ones, of size 1 along the axes that are not pooled."""
    shape = [1] * ndim
    for position, axis in zip(window.positions, window.axes, strict=True):
        shape[position] = axis.size
    return jnp.ones(shape, dtype)


def choose(x: jax.Array, window: Window, tap: jax.Array) -> jax.Array:
    """The element of each window that stands at a given tap.

    Args:
        x: The input.
        window: The geometry, resolved for the shape of `x`.
        tap: For each window the row-major number of a tap inside the image, or `window.taps` for
            none, where the result is 0.

    Returns:
        The elements; their derivative is that of the elements chosen.
    """
    dtype = masked.index_dtype(window)
    index = jnp.where(tap == window.taps, masked.no_winner(dtype), tap.astype(dtype))
    return linear.collect(x, window, index)
