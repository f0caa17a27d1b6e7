"""Sums over the winning tap only: how a tangent follows a maximum, and how a cotangent returns."""

from __future__ import annotations

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import NO_TAP, Axis, Reader
from jaxpool.engine import blocks, half_order, rows, taps
from jaxpool.engine.target import CPU, Target
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


def collect(x: jax.Array, window: Window, winner: jax.Array, *, target: Target) -> jax.Array:
    """The winning element of each window; 0 where there is none."""
    if target is CPU and half_order.serve(x.dtype):  # which need not be understood to be chosen
        return half_order.again(collect(half_order.bits(x), window, winner, target=target), x.dtype)
    zero = np.zeros((), x.dtype)
    if blocks.fits(window, blocks.MANY):
        tiles = blocks.split(x, window, zero)
        hit = blocks.tap_numbers(window, x.ndim, winner.dtype) == blocks.expand(winner, window)
        add = lax.bitwise_or if x.dtype == bool else lax.add
        return blocks.reduce(jnp.where(hit, tiles, zero), window, zero, add)
    if window.taps > taps.FEW and window.is_even:
        return _collect_in_a_loop(x, window, winner)
    chosen = jnp.zeros(winner.shape, x.dtype)
    # A winner exists: no need to fill.
    for number, element in enumerate(taps.elements(x, window, None, target=target, by_copy=True)):
        chosen = jnp.where(winner == np.array(number, winner.dtype), element, chosen)
    return chosen


def _collect_in_a_loop(x: jax.Array, window: Window, winner: jax.Array) -> jax.Array:
    if 0 in winner.shape:
        return jnp.zeros(winner.shape, x.dtype)
    padded, exact = taps.pad_to_reach(x, window, np.zeros((), x.dtype))

    def step(chosen: jax.Array, number: jax.Array, tap: Any) -> jax.Array:
        hit = winner == number.astype(winner.dtype)
        return jnp.where(hit, taps.read_at(padded, exact, tap), chosen)

    return taps.loop(step, jnp.zeros(winner.shape, x.dtype), exact)


def _distribute_in_a_loop(y: jax.Array, window: Window, winner: jax.Array) -> jax.Array:
    shape, config, axes = list(y.shape), [(0, 0, 0)] * y.ndim, []
    for position, axis in zip(window.positions, window.axes, strict=True):
        low, high = axis.reach
        shape[position] = axis.size + low + high
        config[position] = (-low, -high, 0)
        axes.append(Axis(shape[position], axis.window, axis.stride, axis.dilation))

    def step(total: jax.Array, number: jax.Array, tap: Any) -> jax.Array:
        chosen = jnp.where(winner == number.astype(winner.dtype), y, np.zeros((), y.dtype))
        return taps.add_at(total, chosen, Window(window.positions, tuple(axes)), tap)

    total = jnp.zeros(shape, y.dtype)
    if 0 not in winner.shape:
        total = taps.loop(step, total, window)
    return taps.pad(total, np.zeros((), y.dtype), config)


def distribute(y: jax.Array, window: Window, winner: jax.Array, *, target: Target) -> jax.Array:
    """Give each output's value to the input that won it, adding up where several agree."""
    if window.taps > taps.FEW and window.is_even and not window.is_tiling:
        return rows.narrow(
            _distribute_in_a_loop(rows.wide(y), window, winner), y.dtype, target=target
        )
    if target is not CPU and window.is_even:
        return _by_shift(rows.wide(y), window, winner).astype(y.dtype)
    if window.is_tiling and half_order.serve(y.dtype):  # nothing to add up
        return half_order.again(
            _by_reader(half_order.bits(y), window, winner, target=target), y.dtype
        )
    total = _by_reader(rows.wide(y), window, winner, target=target)
    return rows.narrow(total, y.dtype, target=target)


def _by_reader(y: jax.Array, window: Window, winner: jax.Array, *, target: Target) -> jax.Array:
    """Every input asks its readers, one after the other."""
    every = list(taps.readers(window))
    numbers = [outputs for outputs, _ in every]
    take_winner = rows.source(winner, numbers, no_winner(winner.dtype), target=target)
    take = rows.source(y, numbers, target=target)
    single = len(every) == 1 and y.dtype == np.float32 and _narrow(y)
    choose = _busily if single else _simply
    terms = []
    for outputs, readers in every:
        readers = tuple(map(_without_ends, window.positions, readers))
        number = _number(readers, window, y.ndim, winner.dtype)
        terms.append(choose(take_winner(outputs), number, take(outputs)))
    return functools.reduce(operator.add, terms)


def _without_ends(position: int, reader: Reader) -> Reader:
    """Along the last axis one number for all, where it is so: beyond the ends no winner is read."""
    if position != -1 or not rows.consecutive(reader.outputs):
        return reader
    numbers = np.unique(reader.taps[reader.taps != NO_TAP])
    return Reader(reader.outputs, numbers) if len(numbers) == 1 else reader


def _narrow(y: jax.Array) -> bool:
    """Whether LLVM would unroll the loop over the last axis whole."""
    return isinstance(y.shape[-1], int) and 16 < y.shape[-1] <= 32


def _simply(winner: jax.Array, number: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.where(winner == number, y, np.zeros((), y.dtype))


def _busily(winner: jax.Array, number: jax.Array, y: jax.Array) -> jax.Array:
    """`_simply`, with so much arithmetic that LLVM vectorises the loop rather than unroll it.

    On 128x28x28x32, k2 s2: 10 ms of CPU simply, 1.4 busily.
    """
    distance = jnp.abs(winner.astype(np.float32) - number.astype(np.float32))
    mask = -jnp.maximum(0, 1 - distance).astype(np.int32)  # all bits where equal, else none
    return lax.bitcast_convert_type(lax.bitcast_convert_type(y, np.int32) & mask, np.float32)


def _number(readers: tuple[Reader, ...], window: Window, ndim: int, dtype: np.dtype) -> jax.Array:
    """The number of the tap through which each input is read; no tap's where it is not read."""
    number = jnp.zeros((1,) * ndim, dtype)
    for reader, axis, position in zip(readers, window.axes, window.positions, strict=True):
        tap = jnp.asarray(rows.along(reader.taps.astype(dtype), position, ndim))
        number = number * np.array(axis.window, dtype) + tap
    reads = taps.reads(window, readers, ndim)
    return number if reads is None else jnp.where(reads, number, no_winner(dtype) - 1)


def _by_shift(y: jax.Array, window: Window, winner: jax.Array) -> jax.Array:
    """Blocks of as many inputs as the stride ask their reader together."""
    zero = np.zeros((), y.dtype)
    none = no_winner(winner.dtype)
    terms = []
    for shift in taps.every_shift(window):
        numbers = np.where(shift.taps == NO_TAP, none - 1, shift.taps).astype(winner.dtype)
        hit = blocks.expand(winner, window) == blocks.place(numbers, window, y.ndim)
        chosen = jnp.where(hit, blocks.expand(y, window), zero)
        terms.append(blocks.shifted(chosen, window, shift))
    return blocks.join(functools.reduce(operator.add, terms), window)
