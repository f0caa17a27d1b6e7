"""The tiled layout: every pooled axis written as (groups, members).

If `stride >= window`, no two windows share an input, and a pooling is a reshape followed by a
reduction over the members. The backward pass of any window uses this layout too, with the stride as
the group size (see `taps`).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine.lower import taps
from jaxpool.engine.lower.row_gather import pad
from jaxpool.engine.plan.target import Target
from jaxpool.window import Window


def are_reduced(window: Window, least: int, target: Target) -> bool:
    """Whether windows tile and have at least `least` taps, so `lax.reduce` replaces slices.

    In a partitioned program, whole maps are always reduced: each device reduces its part, and the
    devices exchange one result. Every slice would be an exchange of its own.
    """
    whole = target.is_divided and window.is_global
    return whole or (window.taps >= least and window.is_tiling)


def member_positions(window: Window, ndim: int) -> tuple[int, ...]:
    """The positions of the member axes after they are inserted in an array of `ndim` axes."""
    return tuple(ndim + p + i + 1 for i, p in enumerate(window.positions))


def split(x: jax.Array, window: Window, fill: np.ndarray) -> jax.Array:
    """The input as (..., output, window, ...) for each pooled axis; padding holds `fill`."""
    config, shape, limits = [(0, 0, 0)] * x.ndim, [], []
    axes = dict(zip((x.ndim + p for p in window.positions), window.even_axes, strict=True))
    for position, size in enumerate(x.shape):
        if axis := axes.get(position):
            high = axis.output * axis.stride - axis.size - axis.low
            config[position] = (axis.low, high, 0)
            shape += [axis.output, axis.stride]
            limits += [axis.output, axis.window]
        else:
            shape.append(size)
            limits.append(size)
    tiles = pad(x, fill, config).reshape(shape)
    return tiles if limits == shape else lax.slice(tiles, [0] * len(shape), limits)


def join(tiles: jax.Array, window: Window) -> jax.Array:
    """The inverse of `split` for (groups, stride) tiles, without the padding."""
    ndim = tiles.ndim - len(window.axes)
    members = member_positions(window, ndim)
    shape = [size for i, size in enumerate(tiles.shape) if i not in members]
    config = [(0, 0, 0)] * ndim
    for position, axis, member in zip(window.positions, window.even_axes, members, strict=True):
        shape[position] *= tiles.shape[member]
        config[position] = (-axis.low, axis.low + axis.size - shape[position], 0)
    return pad(tiles.reshape(shape), np.zeros((), tiles.dtype), config)


def expand(y: jax.Array, window: Window) -> jax.Array:
    """An output-shaped array with a member axis of size one after each pooled axis."""
    return lax.expand_dims(y, member_positions(window, y.ndim))


def sum_over_shifts(
    y: jax.Array, window: Window, is_read: Callable[[np.ndarray], Any]
) -> jax.Array:
    """For every input, the sum over the outputs that read it, by groups of `stride` inputs.

    `is_read(taps)` returns the mask of the outputs to add, for one tap number per member of a
    group.
    """
    terms = []
    for shift in taps.every_shift(window):
        chosen = jnp.where(is_read(shift.taps), expand(y, window), np.zeros((), y.dtype))
        terms.append(_shifted(chosen, window, shift))
    return join(functools.reduce(operator.add, terms), window)


def _shifted(tiles: jax.Array, window: Window, shift: taps.Shift) -> jax.Array:
    """Output `q - j` at group `q`: tiles of outputs aligned with their groups, 0 where none is.

    The shift pads, and XLA:CPU compiles one branch per padded operand. So select among the members
    before the shift.
    """
    ndim = tiles.ndim - len(window.axes)
    config = [(0, 0, 0)] * tiles.ndim
    for member, output, count, j in zip(
        member_positions(window, ndim),
        window.output,
        taps.phases(window),
        shift.shifts,
        strict=True,
    ):
        config[member - 1] = (j, count - output - j, 0)
    return pad(tiles, np.zeros((), tiles.dtype), config)


def place(members: np.ndarray, window: Window, ndim: int) -> np.ndarray:
    """An array over the members, shaped to broadcast against tiles of an `ndim`-axes array."""
    shape = [1] * (ndim + len(window.axes))
    for position, size in zip(member_positions(window, ndim), members.shape, strict=True):
        shape[position] = size
    return members.reshape(shape)


def tap_numbers(window: Window, ndim: int, dtype: np.dtype) -> jax.Array:
    """Row-major tap numbers, shaped to broadcast against the tiles."""
    sizes = tuple(axis.window for axis in window.axes)
    strides = [int(np.prod(sizes[i + 1 :])) for i in range(len(sizes))]
    placed = []
    for i, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        shape = [1] * len(sizes)
        shape[i] = size
        numbers = (np.arange(size) * stride).astype(dtype).reshape(shape)
        placed.append(jnp.asarray(place(numbers, window, ndim)))
    return functools.reduce(operator.add, placed)


def reduce(tiles: jax.Array, window: Window, init: np.ndarray, op: Callable) -> jax.Array:
    """Reduce the members of every tile."""
    members = member_positions(window, tiles.ndim - len(window.axes))
    return lax.reduce(tiles, np.asarray(init, tiles.dtype), op, members)


def inside(window: Window, ndim: int) -> np.ndarray | None:
    """Mask of the members that lie inside the image; None if all do."""
    result = None
    for index, axis in enumerate(window.even_axes):
        if axis.low == 0 and (axis.output - 1) * axis.stride + axis.window <= axis.size:
            continue
        at = np.arange(axis.output)[:, None] * axis.stride + np.arange(axis.window) - axis.low
        shape = [1] * (ndim + len(window.axes))
        member = member_positions(window, ndim)[index]
        shape[member - 1 : member + 1] = at.shape
        valid = ((at >= 0) & (at < axis.size)).reshape(shape)
        result = valid if result is None else result & valid
    return result
