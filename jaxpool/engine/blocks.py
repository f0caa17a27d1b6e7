"""The blocked layout: every pooled axis written as (groups, members).

With `stride >= window` no two windows share an input, and a pooling is a reshape followed by a
reduction over the members. The backward reading of *any* window has this layout too, with the
stride as the group size (see `taps`).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import Axis
from jaxpool.engine import taps
from jaxpool.window import Window

# From so many taps on a reshape and a reduction beat a chain of slices, fused into one loop, if the
# reduction is one that XLA:CPU vectorises. Others are up to 30 times as slow (max of 32x32x32x64,
# k4 s4, with NaN kept: 3.9 ms, and 0.12 as slices), and serve where slices would be too many.
WIDE, MANY = 9, 65


def fits(window: Window, least: int = WIDE) -> bool:
    """Whether windows tile, and have so many taps."""
    return window.taps >= least and window.is_tiling


def member_positions(window: Window, ndim: int) -> tuple[int, ...]:
    """Where the member axes stand in an array of `ndim` axes, once each is inserted."""
    return tuple(ndim + p + i + 1 for i, p in enumerate(window.positions))


def split(x: jax.Array, window: Window, fill: np.ndarray) -> jax.Array:
    """The input as (..., output, window, ...) for each pooled axis; padding holds `fill`."""
    config, shape, limits = [(0, 0, 0)] * x.ndim, [], []
    axes = dict(zip((x.ndim + p for p in window.positions), window.axes, strict=True))
    for position, size in enumerate(x.shape):
        if axis := axes.get(position):
            high = axis.output * axis.stride - axis.size - axis.low
            config[position] = (axis.low, high, 0)
            shape += [axis.output, axis.stride]
            limits += [axis.output, axis.window]
        else:
            shape.append(size)
            limits.append(size)
    tiles = taps.pad(x, fill, config).reshape(shape)
    return tiles if limits == shape else lax.slice(tiles, [0] * len(shape), limits)


def join(tiles: jax.Array, window: Window) -> jax.Array:
    """Undo `split` for (groups, stride) blocks: the input's own positions, padding dropped."""
    ndim = tiles.ndim - len(window.axes)
    members = member_positions(window, ndim)
    shape = [size for i, size in enumerate(tiles.shape) if i not in members]
    config = [(0, 0, 0)] * ndim
    for position, axis, member in zip(window.positions, window.axes, members, strict=True):
        shape[position] *= tiles.shape[member]
        config[position] = (-axis.low, axis.low + axis.size - shape[position], 0)
    return taps.pad(tiles.reshape(shape), np.zeros((), tiles.dtype), config)


def expand(y: jax.Array, window: Window) -> jax.Array:
    """An output-shaped array with a member axis of size one after each pooled axis."""
    return lax.expand_dims(y, member_positions(window, y.ndim))


def shifted(tiles: jax.Array, window: Window, shift: taps.Shift) -> jax.Array:
    """Output `q - j` at group `q`: blocks of outputs brought to one a group, 0 where there is none.

    What is chosen among the members is best chosen before: this pads, and a pad of each operand of
    a choice costs XLA:CPU a branch each.
    """
    ndim = tiles.ndim - len(window.axes)
    config = [(0, 0, 0)] * tiles.ndim
    for member, axis, count, j in zip(
        member_positions(window, ndim), window.axes, taps.phases(window), shift.shifts, strict=True
    ):
        config[member - 1] = (j, count - axis.output - j, 0)
    return taps.pad(tiles, np.zeros((), tiles.dtype), config)


def place(members: np.ndarray, window: Window, ndim: int) -> np.ndarray:
    """An array over the members, shaped to broadcast against blocks of an `ndim`-axes array."""
    shape = [1] * (ndim + len(window.axes))
    for position, size in zip(member_positions(window, ndim), members.shape, strict=True):
        shape[position] = size
    return members.reshape(shape)


def tap_numbers(window: Window, ndim: int, dtype: np.dtype) -> jax.Array:
    """Row-major tap numbers, shaped to broadcast against the blocks."""
    sizes = tuple(axis.window for axis in window.axes)
    strides = [int(np.prod(sizes[i + 1 :])) for i in range(len(sizes))]
    result = None
    for i, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        shape = [1] * len(sizes)
        shape[i] = size
        numbers = (np.arange(size) * stride).astype(dtype).reshape(shape)
        placed = jnp.asarray(place(numbers, window, ndim))
        result = placed if result is None else result + placed
    assert result is not None
    return result


def reduce(tiles: jax.Array, window: Window, init: np.ndarray, op: Callable) -> jax.Array:
    """Reduce the members of every block."""
    members = member_positions(window, tiles.ndim - len(window.axes))
    return lax.reduce(tiles, np.asarray(init, tiles.dtype), op, members)


def inside(window: Window, ndim: int) -> np.ndarray | None:
    """Which members of which blocks lie inside the image; None if all do."""
    result = None
    for index, axis in enumerate(window.axes):
        if axis.low == 0 and _last(axis) <= axis.size:
            continue
        at = np.arange(axis.output)[:, None] * axis.stride + np.arange(axis.window) - axis.low
        shape = [1] * (ndim + len(window.axes))
        member = member_positions(window, ndim)[index]
        shape[member - 1 : member + 1] = at.shape
        valid = ((at >= 0) & (at < axis.size)).reshape(shape)
        result = valid if result is None else result & valid
    return result


def _last(axis: Axis) -> int:
    return (axis.output - 1) * axis.stride + axis.window
