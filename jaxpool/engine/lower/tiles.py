"""The tiled layout: every pooled axis written as (groups, members).

If `stride >= window`, no two windows share an input, and a pooling is a reshape followed by a
reduction over the members. In the backward pass of any even window, `stride` members share the
outputs that they read.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import Axis
from jaxpool.engine.lower.row_gather import Numbers, pad, pad_pooled, take
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


def expand(y: jax.Array, window: Window) -> jax.Array:
    """An output-shaped array with a member axis of size one after each pooled axis."""
    return lax.expand_dims(y, member_positions(window, y.ndim))


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


def reader_of_outputs(
    y: jax.Array,
    window: Window,
    every: Sequence[Numbers],
    fill: np.ndarray | None,
    *,
    target: Target,
) -> Callable[[Numbers], jax.Array]:
    """`row_gather.reader` for the readers of all inputs of even windows, by slices only.

    Adjacent inputs read adjacent elements of an array that repeats each output `stride` times.
    """
    axes = dict(zip(window.positions, window.even_axes, strict=True))
    nothing = np.asarray(0 if fill is None else fill, y.dtype)
    y = _repeated(y, window)

    def rows(numbers: Numbers, position: int, axis: Axis) -> np.ndarray:
        first = numbers[position][:1] * axis.stride + axis.low % axis.stride
        return first + np.arange(axis.size)

    low, config = dict.fromkeys(axes, 0), []
    if not target.is_divided:  # a padded copy would be divided otherwise than the inputs
        for position, axis in axes.items():
            ends = np.concatenate([rows(numbers, position, axis) for numbers in every])
            low[position] = max(0, -int(ends.min(initial=0)))
            high = max(0, int(ends.max(initial=-1)) + 1 - y.shape[position])
            config.append((low[position], high, 0))
        y = pad_pooled(y, window, nothing, config)

    def read(numbers: Numbers) -> jax.Array:
        at = {p: rows(numbers, p, axis) + low[p] for p, axis in axes.items()}
        return take(y, at, nothing, padded=True)

    return read


def _repeated(y: jax.Array, window: Window) -> jax.Array:
    """Each output `stride` times along each axis; `jnp.repeat` per axis is slower on TPU."""
    members = member_positions(window, y.ndim)
    shape = list(y.shape)
    for member, axis in zip(members, window.even_axes, strict=True):
        shape.insert(member, axis.stride)
    kept = [i for i in range(len(shape)) if i not in members]
    merged = (axis.output * axis.stride for axis in window.even_axes)
    return lax.broadcast_in_dim(y, shape, kept).reshape(window.replaced(y.shape, merged))
