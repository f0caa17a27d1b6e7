"""Weighted sums (see `rules.weighted`): over the taps of every window, and their transpose."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import NO_TAP, Axis, Reader
from jaxpool.engine.lower import taps, tiles
from jaxpool.engine.lower.row_gather import pad_pooled
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import CPU, Target
from jaxpool.window import Window

Kernel = Callable[..., jax.Array]
Arrays = tuple[jax.Array, ...]


def weighted_sum(
    kernel: Kernel, v: Arrays, xs: Arrays, ys: Arrays, window: Window, *, target: Target
) -> jax.Array:
    """The weighted sum over the taps of each window; `v` has at most one array."""
    inner = (*v, *xs)
    shape = lax.broadcast_shapes(*(window.output_shape(x.shape) for x in (*inner, *ys)))
    if 0 in window.output:
        return jnp.zeros(shape, inner[0].dtype)

    def weigh(parts: Sequence[jax.Array], outer: Sequence[jax.Array], exists: Any) -> jax.Array:
        value = kernel(*parts[len(v) :], *outer)
        value = value * parts[0] if v else value
        return value if exists is None else jnp.where(exists, value, 0)

    if tiles.are_reduced(window, tuning.ONE_LOOP_TILING + 1, target):
        members = [tiles.split(x, window, _zero(x)) for x in inner]
        outer = [tiles.expand(y, window) for y in ys]
        value = weigh(members, outer, tiles.inside(window, len(shape)))
        return jnp.broadcast_to(value.sum(tiles.member_positions(window, len(shape))), shape)

    if target is CPU and window.taps <= tuning.WRITTEN_OUT:
        every = zip(*(taps.elements(x, window, None, target=target) for x in inner), strict=True)
        present = [taps.exists(window, tap, len(shape)) for tap in taps.every_tap(window)]
        terms = (weigh(parts, ys, exists) for parts, exists in zip(every, present, strict=True))
        return jnp.broadcast_to(functools.reduce(operator.add, terms), shape)

    padded, exact = [taps.pad_to_fit(x, window, _zero(x))[0] for x in inner], taps.fitted(window)[1]
    outside = any(side > 0 for axis in window.even_axes for side in axis.reach)
    present = jnp.ones(window.input_shape([1] * len(shape)), bool)
    present, _ = taps.pad_to_fit(present, window, np.array(False))

    def term(tap: Any) -> jax.Array:
        exists = taps.read_at(present, exact, tap) if outside else None
        value = weigh([taps.read_at(x, exact, tap) for x in padded], ys, exists)
        return jnp.broadcast_to(value, shape)

    return _add_up(term, np.array(list(taps.every_tap(window)), np.int32))


def weighted_sum_transpose(
    kernel: Kernel, v: Arrays, xs: Arrays, ys: Arrays, window: Window, *, target: Target
) -> jax.Array:
    """The sum over the outputs that read each input; `v` has one array. See `taps`."""
    (g,) = v
    shape = lax.broadcast_shapes(*(window.input_shape(x.shape) for x in (g, *xs, *ys)))
    if 0 in window.output:
        return jnp.zeros(shape, g.dtype)
    shifts = taps.every_shift(window)
    if target is CPU and len(shifts) <= tuning.WRITTEN_OUT:

        def read(readers: tuple[Reader, ...], g: jax.Array, *ys: jax.Array) -> jax.Array:
            return taps.where_read(kernel(*xs, *ys) * g, window, readers, 0)

        outer = ((y, None) for y in (g, *ys))
        return taps.sum_over_readers(window, read, *outer, target=target, by_copy=False)

    groups = taps.phases(window)
    furthest = [max(shift.shifts[i] for shift in shifts) for i in range(len(groups))]
    members = [tiles.split(x, _grouped(window, groups), _zero(x)) for x in xs]
    present = jnp.ones(window.output_shape([1] * len(shape)), bool)
    padded = [_pad_for_shifts(y, window, groups, furthest) for y in (g, present, *ys)]

    def term(shift: Any, used: Any) -> jax.Array:
        at = [furthest[i] - shift[i] for i in range(len(groups))]
        g, exists, *ys = (tiles.expand(taps.cut(y, window, at, groups), window) for y in padded)
        exists &= tiles.place(used, window, len(shape))
        return jnp.where(exists, kernel(*members, *ys) * g, 0)

    numbers = np.array([shift.shifts for shift in shifts], np.int32)
    used = np.array([shift.taps != NO_TAP for shift in shifts])
    return tiles.join(_add_up(term, numbers, used), window)


def _zero(x: jax.Array) -> np.ndarray:
    return np.zeros((), x.dtype)


def _add_up(term: Callable[..., jax.Array], *columns: np.ndarray) -> jax.Array:
    """The sum of `term(*row)` over the rows of a table."""
    if len(columns[0]) <= tuning.WRITTEN_OUT:
        return functools.reduce(operator.add, map(term, *columns))
    table = [jnp.asarray(column) for column in columns]
    first = term(*(column[0] for column in table))

    def add(i: Any, total: jax.Array) -> jax.Array:
        return total + term(*(column[i] for column in table))

    return lax.fori_loop(1, len(columns[0]), add, first)


def _grouped(window: Window, groups: Sequence[int]) -> Window:
    """Windows of the width of the stride that tile all positions that are read."""
    axes = []
    for axis, count in zip(window.even_axes, groups, strict=True):
        high = count * axis.stride - axis.size - axis.low
        axes.append(Axis(axis.size, axis.stride, axis.stride, 1, axis.low, high))
    return Window(window.positions, tuple(axes))


def _pad_for_shifts(
    y: jax.Array, window: Window, groups: Sequence[int], furthest: Sequence[int]
) -> jax.Array:
    """An output-shaped array, padded on the low side with False or 0 for every shift."""
    sides = zip(furthest, groups, window.output, strict=True)
    return pad_pooled(y, window, _zero(y), ((j, count - n, 0) for j, count, n in sides))
