"""The loops of `weighted`: over the taps of every window, and over the windows of every input."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import Axis
from jaxpool.engine import blocks, rows, taps
from jaxpool.engine.target import CPU, Target
from jaxpool.window import Window

Kernel = Callable[..., jax.Array]
Arrays = tuple[jax.Array, ...]

# Beyond so many terms the program loops over them: spelt out, it would take long to compile.
FEW = 64


def full_shape(operands: Sequence[Any], window: Window, side: str) -> tuple[Any, ...]:
    """The shape to which operands broadcast, with the sizes of input or output along the window.

    Args:
        operands: Arrays of one rank, input- or output-shaped.
        window: The geometry.
        side: `"size"` or `"output"`, as an `Axis` calls them.
    """
    shapes = []
    for operand in operands:
        shape = list(operand.shape)
        for position, axis in zip(window.positions, window.axes, strict=True):
            shape[position] = getattr(axis, side)
        shapes.append(tuple(shape))
    return lax.broadcast_shapes(*shapes)


def collect(
    kernel: Kernel, v: Arrays, xs: Arrays, ys: Arrays, window: Window, *, target: Target
) -> jax.Array:
    """Sum over the taps of each window; see `weighted.collect`. `v` is one array or none."""
    inner = (*v, *xs)
    shape = full_shape((*inner, *ys), window, "output")
    if 0 in window.output:
        return jnp.zeros(shape, inner[0].dtype)

    def weigh(parts: list[jax.Array], levels: Sequence[jax.Array], exists: Any) -> jax.Array:
        value = kernel(*parts[len(v) :], *levels)
        value = value * parts[0] if v else value
        return value if exists is None else jnp.where(exists, value, 0)

    if blocks.fits(window):
        tiles = [blocks.split(x, window, _zero(x)) for x in inner]
        levels = [blocks.expand(y, window) for y in ys]
        value = weigh(tiles, levels, blocks.inside(window, len(shape)))
        return jnp.broadcast_to(value.sum(blocks.member_positions(window, len(shape))), shape)

    if target is CPU and window.taps <= FEW:
        every = zip(*(taps.elements(x, window, None, target=target) for x in inner), strict=True)
        present = [taps.exists(window, tap, len(shape)) for tap in taps.every_tap(window)]
        terms = (weigh(list(p), ys, exists) for p, exists in zip(every, present, strict=True))
        return jnp.broadcast_to(functools.reduce(operator.add, terms), shape)

    padded = [taps.pad_to_reach(x, window, _zero(x)) for x in inner]
    exact = padded[0][1]
    outside = any(side > 0 for axis in window.axes for side in axis.reach)
    present, _ = taps.pad_to_reach(_present(window, "size", len(shape)), window, np.array(False))

    def term(tap: Any) -> jax.Array:
        exists = taps.read_at(present, exact, tap) if outside else None
        value = weigh([taps.read_at(x, exact, tap) for x, _ in padded], ys, exists)
        return jnp.broadcast_to(value, shape)

    return _add_up(term, np.array(list(taps.every_tap(window)), np.int32))


def distribute(
    kernel: Kernel, g: jax.Array, xs: Arrays, ys: Arrays, window: Window, *, target: Target
) -> jax.Array:
    """Sum over the windows of each input, its readers; see `taps` for the layout."""
    shape = full_shape((g, *xs, *ys), window, "size")
    if 0 in window.output:
        return jnp.zeros(shape, g.dtype)
    shifts = taps.every_shift(window)
    if target is CPU and len(shifts) <= FEW:
        return _by_reader(kernel, g, xs, ys, window)
    groups = taps.phases(window)
    furthest = [max(shift.shifts[i] for shift in shifts) for i in range(len(groups))]
    tiles = [blocks.split(x, _grouped(window, groups), _zero(x)) for x in xs]
    present = _present(window, "output", len(shape))
    outer = [_surrounded(y, window, groups, furthest) for y in (g, present, *ys)]

    def term(shift: Any, used: Any) -> jax.Array:
        at = [furthest[i] - shift[i] for i in range(len(groups))]
        moved = [blocks.expand(taps.cut(y, window, at, groups), window) for y in outer]
        exists = moved[1] & blocks.place(used, window, len(shape))
        return jnp.where(exists, kernel(*tiles, *moved[2:]) * moved[0], 0)

    numbers = np.array([shift.shifts for shift in shifts], np.int32)
    used = np.array([shift.taps != taps.NO_TAP for shift in shifts])
    return blocks.join(_add_up(term, numbers, used), window)


def _by_reader(kernel: Kernel, g: jax.Array, xs: Arrays, ys: Arrays, window: Window) -> jax.Array:
    """Every input asks its readers, one after the other."""
    terms = []
    for outputs, readers in taps.readers(window):
        taken, *levels = (rows.take(y, outputs) for y in (g, *ys))
        term, reads = kernel(*xs, *levels) * taken, taps.reads(window, readers, taken.ndim)
        terms.append(term if reads is None else jnp.where(reads, term, 0))
    return functools.reduce(operator.add, terms)


def _zero(x: jax.Array) -> np.ndarray:
    return np.zeros((), x.dtype)


def _present(window: Window, side: str, ndim: int) -> jax.Array:
    """True everywhere, of size 1 along the axes that are not pooled."""
    return jnp.ones(full_shape([jax.ShapeDtypeStruct((1,) * ndim, bool)], window, side), bool)


def _add_up(term: Callable[..., jax.Array], *columns: np.ndarray) -> jax.Array:
    """The sum of `term(*row)` over the rows of a table."""
    if len(columns[0]) <= FEW:
        return functools.reduce(operator.add, map(term, *columns))
    table = [jnp.asarray(column) for column in columns]
    first = term(*(column[0] for column in table))

    def add(i: Any, total: jax.Array) -> jax.Array:
        return total + term(*(column[i] for column in table))

    return lax.fori_loop(1, len(columns[0]), add, first)


def _grouped(window: Window, groups: Sequence[int]) -> Window:
    """Windows as wide as the stride, side by side, which cover every position that is read."""
    axes = (
        Axis(
            axis.size, axis.stride, axis.stride, 1, axis.low, n * axis.stride - axis.size - axis.low
        )
        for axis, n in zip(window.axes, groups, strict=True)
    )
    return Window(window.positions, tuple(axes))


def _surrounded(
    y: jax.Array, window: Window, groups: Sequence[int], furthest: Sequence[int]
) -> jax.Array:
    """An output-shaped array with room on its low side for every shift; False or 0 there."""
    config = [(0, 0, 0)] * y.ndim
    for position, axis, n, j in zip(window.positions, window.axes, groups, furthest, strict=True):
        config[position] = (j, n - axis.output, 0)
    return taps.pad(y, _zero(y), config)
