"""The elements of every window, for reductions that need them one by one.

A median or a random draw has to see a whole window at once. `every_element` shows it: every tap as
an array of the output's shape. What has been found is a number of a tap, and `choose` takes the
element that stands there, with its derivative; so the search itself needs none.

Taps are arrays of their own as long as they are few, since XLA then reads them inside the loop
that uses them; stacked into one array they would be written out first (ten times slower on CPU).
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine import linear, masked, taps
from jaxpool.engine.kernel_sums import FEW
from jaxpool.window import Window


@dataclass(frozen=True)
class Elements:
    """One array of the output's shape a tap, in row-major order: apart if few, else stacked."""

    arrays: tuple[jax.Array, ...] | jax.Array

    @property
    def dtype(self) -> np.dtype:
        """The dtype of every tap."""
        return self.arrays[0].dtype

    def map(self, function: Callable[..., jax.Array], *others: Elements) -> Elements:
        """Apply an elementwise function to every tap of this one and the others."""
        if isinstance(self.arrays, tuple):
            return Elements(tuple(map(function, self.arrays, *(o.arrays for o in others))))
        return Elements(function(self.arrays, *(o.arrays for o in others)))

    def sum(self) -> jax.Array:
        """The sum over all taps."""
        return self._reduce(operator.add, jnp.sum)

    def max(self) -> jax.Array:
        """The largest tap; NaN if there is one."""
        return self._reduce(jnp.maximum, jnp.max)

    def rows(self, array: jax.Array) -> Elements:
        """The rows of an array, one a tap, in the same form as these."""
        return Elements(tuple(array) if isinstance(self.arrays, tuple) else array)

    def last(self) -> jax.Array:
        """The last tap."""
        return self.arrays[-1]

    def accumulate(self) -> Elements:
        """For every tap, the sum up to and including it."""
        if isinstance(self.arrays, tuple):
            return Elements(tuple(itertools.accumulate(self.arrays)))
        return Elements(jnp.cumsum(self.arrays, axis=0))

    def first(self) -> jax.Array:
        """The number of the first tap that is True; the number of taps where none is."""
        numbers = range(len(self.arrays))
        none = np.int32(len(self.arrays))
        if isinstance(self.arrays, tuple):
            result = jnp.full(self.arrays[0].shape, none)
            for number, hit in zip(reversed(numbers), reversed(self.arrays), strict=True):
                result = jnp.where(hit, np.int32(number), result)
            return result
        column = np.array(numbers, np.int32).reshape(-1, *(1,) * (self.arrays.ndim - 1))
        return jnp.where(self.arrays, column, none).min(axis=0)

    def _reduce(self, pairwise: Callable[..., Any], whole: Callable[..., Any]) -> jax.Array:
        if isinstance(self.arrays, tuple):
            return functools.reduce(pairwise, self.arrays)
        return whole(self.arrays, axis=0)


def every_element(
    x: jax.Array, window: Window, where: jax.Array | None = None
) -> tuple[Elements, Elements]:
    """Every tap of every window, and whether there is an element.

    Args:
        x: The input.
        window: The geometry, resolved for the shape of `x`.
        where: Boolean mask of the shape of `x`; False elements do not exist.

    Returns:
        The elements, 0 where a tap reads padding; and which of them exist, as booleans that
        broadcast against the elements.
    """
    present = ones(window, x.ndim, np.dtype(bool)) if where is None else where
    return _read(x, window), _read(present, window)


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


def _read(x: jax.Array, window: Window) -> Elements:
    if 0 in window.output:
        return Elements(jnp.zeros((window.taps, *window.output_shape(x.shape)), x.dtype))
    padded, exact = taps.pad_to_reach(x, window, np.zeros((), x.dtype))
    if window.taps <= FEW:
        return Elements(tuple(taps.read(padded, exact, tap) for tap in taps.every_tap(exact)))
    for position, axis in reversed(list(zip(exact.positions, exact.axes, strict=True))):
        at = np.arange(axis.output) * axis.stride + np.arange(axis.window)[:, None] * axis.dilation
        padded = jnp.moveaxis(jnp.take(padded, at, axis=position, mode="clip"), position - 1, 0)
    return Elements(lax.collapse(padded, 0, len(exact.axes)))


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
