"""Sums over the winning tap only: how a tangent follows a maximum, and how a cotangent returns."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine import blocks, taps
from jaxpool.window import Window


def index_dtype(window: Window) -> np.dtype:
    """The smallest unsigned integer that holds a tap number and two marks (see `no_winner`)."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        if window.taps <= np.iinfo(dtype).max - 1:
            return np.dtype(dtype)
    raise ValueError(f"window_shape must have fewer than 2**32 elements, got {window.taps}")


def no_winner(dtype: np.dtype) -> np.ndarray:
    """The index of a window without an element; the number below it is no tap's either."""
    return np.array(np.iinfo(dtype).max, dtype)


def collect(x: jax.Array, window: Window, winner: jax.Array) -> jax.Array:
    """The winning element of each window; 0 where there is none."""
    dtype, x = x.dtype, taps.wide(x)
    zero = np.zeros((), x.dtype)
    if blocks.fits(window):
        tiles = blocks.split(x, window, zero)
        hit = blocks.tap_numbers(window, x.ndim, winner.dtype) == blocks.expand(winner, window)
        chosen = jnp.where(hit, tiles, zero)
        add = lax.bitwise_or if x.dtype == bool else lax.add
        return blocks.reduce(chosen, window, zero, add).astype(dtype)
    result = None
    for number, tap in enumerate(taps.every_tap(window)):
        hit = taps.inside(winner, window, tap) == np.array(number, winner.dtype)
        term = jnp.where(hit, taps.read(x, window, tap), zero)
        term = taps.widen(term, window, tap, zero)
        result = term if result is None else result + term
    assert result is not None  # a window has at least one tap
    return result.astype(dtype)


def distribute(y: jax.Array, window: Window, winner: jax.Array) -> jax.Array:
    """Give each output's value to the input that won it, adding up where several agree."""
    dtype, y = y.dtype, taps.wide(y)
    zero = np.zeros((), y.dtype)
    none = no_winner(winner.dtype)
    result = None
    for shift in taps.every_shift(window):
        numbers = np.where(shift.taps == taps.NO_TAP, none - 1, shift.taps).astype(winner.dtype)
        hit = blocks.expand(winner, window) == blocks.place(numbers, window, y.ndim)
        chosen = jnp.where(hit, blocks.expand(y, window), zero)
        term = blocks.shifted(chosen, window, shift)
        result = term if result is None else result + term
    assert result is not None
    return blocks.join(result.astype(dtype), window)
