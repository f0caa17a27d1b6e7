"""The elements of every window, for searches that visit them one by one.

A median or a random draw visits the taps of a window in order, with `Taps`, and returns a tap
number. `choose` reads the element of this tap and defines the derivative, so the search itself is
not differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpool.engine.lower import masked, taps
from jaxpool.engine.rules import linear
from jaxpool.window import Window


class Taps:
    """The elements that every tap of a window reads, in row-major order of the taps.

    Args:
        window: The geometry, resolved for the shape of the arrays.
        arrays: Pairs of an array and its padding value.
    """

    def __init__(self, window: Window, *arrays: tuple[jax.Array, Any]):
        """Pad the arrays."""
        self._window = window
        self._padded = []
        for array, fill in arrays:
            padded, self._window = taps.pad_to_fit(array, window, np.asarray(fill, array.dtype))
            self._padded.append(padded)

    def fold(self, step: Callable[..., Any], start: Any) -> Any:
        """`step(carry, number, *elements)` for every tap; see `taps.fold`."""

        def turn(carry: Any, number: Any, tap: Any) -> Any:
            elements = (taps.read_at(x, self._window, tap) for x in self._padded)
            return step(carry, number, *elements)

        return start if 0 in self._window.output else taps.fold(turn, start, self._window)

    def every(self) -> Iterator[tuple[jax.Array, ...]]:
        """The elements of each tap."""
        for tap in taps.every_tap(self._window):
            yield tuple(taps.read(x, self._window, tap) for x in self._padded)


def occupied(window: Window, ndim: int, where: jax.Array | None) -> jax.Array:
    """Mask of the windows that have an element, shaped to broadcast to the output."""
    count = np.dtype(np.int32)
    present = ones(window, ndim, count) if where is None else where.astype(count)
    return linear.windowed_sum(present, window) > 0


def ones(window: Window, ndim: int, dtype: np.dtype) -> jax.Array:
    """An input of ones, of size 1 along the axes that are not pooled."""
    return jnp.ones(window.input_shape([1] * ndim), dtype)


def choose(x: jax.Array, window: Window, tap: jax.Array) -> jax.Array:
    """The element of each window at a given tap.

    Args:
        x: The input.
        window: The geometry, resolved for the shape of `x`.
        tap: For each window, the row-major number of a tap inside the image, or `window.taps` for
            none; the result is then 0.

    Returns:
        The chosen elements; the derivative goes to these elements.
    """
    dtype = masked.index_dtype(window)
    index = jnp.where(tap == window.taps, masked.no_winner(dtype), tap.astype(dtype))
    return linear.windowed_sum(x, window, index)
