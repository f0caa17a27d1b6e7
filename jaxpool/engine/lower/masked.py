"""Sums over the winning taps: the tangent of a maximum, and its transpose."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import NO_TAP, Reader
from jaxpool.engine.lower import half_order, row_gather, taps, tiles
from jaxpool.engine.lower.precision import narrow, widen
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import CPU, Target
from jaxpool.window import Window


def index_dtype(window: Window) -> np.dtype:
    """The smallest unsigned dtype for tap numbers and two reserved values (see `no_winner`)."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        if window.taps <= np.iinfo(dtype).max - 1:
            return np.dtype(dtype)
    raise ValueError(f"window_shape must have fewer than 2**32 elements, got {window.taps}")


def no_winner(dtype: np.dtype) -> np.ndarray:
    """The index that marks a window without an element; the next lower one is reserved too."""
    return np.array(np.iinfo(dtype).max, dtype)


def select_winners(x: jax.Array, winner: jax.Array, *, window: Window, target: Target) -> jax.Array:
    """The winning element of each window; 0 where there is none."""
    if target is CPU and half_order.supports(x.dtype):  # a selection does not need ordered keys
        bits = select_winners(half_order.to_bits(x), winner, window=window, target=target)
        return half_order.from_bits(bits, x.dtype)
    zero = np.zeros((), x.dtype)
    if tiles.are_reduced(window, tuning.TILE_REDUCTION, target):
        members = tiles.split(x, window, zero)
        hit = tiles.tap_numbers(window, x.ndim, winner.dtype) == tiles.expand(winner, window)
        add = lax.bitwise_or if x.dtype == bool else lax.add
        return tiles.reduce(jnp.where(hit, members, zero), window, zero, add)
    if window.taps > tuning.UNROLLED_TAPS and window.is_even:
        return _select_in_a_loop(x, window, winner)
    chosen = jnp.zeros(winner.shape, x.dtype)
    # A winner is never out of bounds, so no fill value is needed.
    for number, element in enumerate(taps.elements(x, window, None, target=target, by_copy=True)):
        chosen = jnp.where(winner == np.array(number, winner.dtype), element, chosen)
    return chosen


def _select_in_a_loop(x: jax.Array, window: Window, winner: jax.Array) -> jax.Array:
    if 0 in winner.shape:
        return jnp.zeros(winner.shape, x.dtype)
    padded, exact = taps.pad_to_fit(x, window, np.zeros((), x.dtype))

    def step(chosen: jax.Array, number: jax.Array, tap: Any) -> jax.Array:
        hit = winner == number.astype(winner.dtype)
        return jnp.where(hit, taps.read_at(padded, exact, tap), chosen)

    return taps.loop(step, jnp.zeros(winner.shape, x.dtype), exact)


def scatter_to_winners(
    y: jax.Array, winner: jax.Array, *, window: Window, target: Target
) -> jax.Array:
    """Add each output's value to the input that won it: the transpose of `select_winners`."""
    if window.taps > tuning.UNROLLED_TAPS and window.is_even and not window.is_tiling:
        return narrow(_scatter_in_a_loop(widen(y), window, winner), y.dtype, target=target)
    if window.is_tiling and half_order.supports(y.dtype):  # one reader per input: no sum
        bits = _by_reader(half_order.to_bits(y), window, winner, target=target)
        return half_order.from_bits(bits, y.dtype)
    return narrow(_by_reader(widen(y), window, winner, target=target), y.dtype, target=target)


def _scatter_in_a_loop(y: jax.Array, window: Window, winner: jax.Array) -> jax.Array:
    padding, exact = taps.fitted(window)
    zero = np.zeros((), y.dtype)

    def step(total: jax.Array, number: jax.Array, tap: Any) -> jax.Array:
        chosen = jnp.where(winner == number.astype(winner.dtype), y, zero)
        return taps.add_at(total, chosen, exact, tap)

    total = jnp.zeros(exact.input_shape(y.shape), y.dtype)
    if 0 not in winner.shape:
        total = taps.loop(step, total, window)
    crop = ((-low, -high, 0) for low, high in padding)
    return row_gather.pad_pooled(total, window, zero, crop)


def _by_reader(y: jax.Array, window: Window, winner: jax.Array, *, target: Target) -> jax.Array:
    """For every input, sum over its readers the values of the outputs that it won."""
    single = all(len(axis.readers()) == 1 for axis in window.axes)
    unrolled = isinstance(y.shape[-1], int) and y.shape[-1] in tuning.UNROLLED_ROW
    by_bits = target is CPU and single and y.dtype == np.float32 and unrolled
    choose = _where_equal_by_bits if by_bits else _where_equal

    def term(readers: tuple[Reader, ...], index: jax.Array, value: jax.Array) -> jax.Array:
        readers = tuple(map(_without_ends, window.positions, readers))
        number = _number(readers, window, y.ndim, winner.dtype, target=target)
        return choose(index, number, value)

    none = no_winner(winner.dtype)
    return taps.sum_over_readers(window, term, (winner, none), (y, None), target=target)


def _without_ends(position: int, reader: Reader) -> Reader:
    """The reader with one tap number for the whole last axis, if there is only one."""
    if position != -1 or not row_gather.consecutive(reader.outputs):
        return reader
    numbers = np.unique(reader.taps[reader.taps != NO_TAP])
    return Reader(reader.outputs, numbers) if len(numbers) == 1 else reader


def _where_equal(winner: jax.Array, number: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.where(winner == number, y, np.zeros((), y.dtype))


def _where_equal_by_bits(winner: jax.Array, number: jax.Array, y: jax.Array) -> jax.Array:
    """`_where_equal` in integer arithmetic, so that LLVM vectorises the loop (not unrolls it)."""
    distance = jnp.abs(winner.astype(np.float32) - number.astype(np.float32))
    mask = -jnp.maximum(0, 1 - distance).astype(np.int32)  # all bits set if equal, else 0
    return lax.bitcast_convert_type(lax.bitcast_convert_type(y, np.int32) & mask, np.float32)


def _number(
    readers: tuple[Reader, ...], window: Window, ndim: int, dtype: np.dtype, *, target: Target
) -> jax.Array:
    """The number of the tap that reads each input; a reserved number if none does.

    A constant off CPU, where XLA would compute the numbers in kernels of their own.
    """
    inputs = math.prod(axis.size for axis in window.axes)
    xp: Any = jnp if target is CPU or inputs > tuning.ROW_NUMBERS else np
    number, gaps = xp.zeros((1,) * ndim, dtype), []
    for reader, axis, position in zip(readers, window.axes, window.positions, strict=True):
        tap = row_gather.along(reader.taps, position, ndim)
        number = number * np.array(axis.window, dtype) + xp.asarray(tap.astype(dtype))
        gaps += [xp.asarray(tap == NO_TAP)] if (tap == NO_TAP).any() else []
    if gaps:
        number = xp.where(functools.reduce(operator.or_, gaps), no_winner(dtype) - 1, number)
    return jnp.asarray(number)
