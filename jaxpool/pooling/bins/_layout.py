"""Windows that differ in place and length: those of adaptive and fractional pooling.

Where the windows are known and not too long, the engine reads them as they are. Otherwise every
pooled axis is gathered into blocks, one a window and each as long as the longest. Then windows
tile the axis, and the engine reduces them like any others; what pads a shorter block is the
identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpool import engine
from jaxpool.axis import Axis, Uneven
from jaxpool.engine.rules.primitives import integers
from jaxpool.monoid import MAX, SUM, Monoid
from jaxpool.pooling.windows import average
from jaxpool.window import Window

# The most taps of known windows, which are spelt out in one loop, unless they are all alike.
MOST = 64

# The most windows an element may be part of for its derivative to be gathered from them.
FEW = 8


@dataclass(frozen=True, eq=False)
class Bins:
    """The windows of one axis: window `o` is `[starts[o], starts[o] + lengths[o])`.

    Attributes:
        size: Elements of the axis.
        starts: Integers, `(windows,)`, of NumPy if they are known; or, where windows differ from
            plane to plane, an array with every axis of the input, of size 1 where they do not.
        lengths: Likewise; or one int, the length of all.
        longest: What no length exceeds.
        step: What the distance between two neighbouring starts is at least; 0 if not known.
    """

    size: int
    starts: Any
    lengths: Any
    longest: int
    step: int = 0

    @property
    def axis(self) -> Axis | Uneven | None:
        """The axis of the engine, if it can read these windows as they are."""
        starts, lengths = self.starts, self.lengths
        if not (isinstance(starts, np.ndarray) and isinstance(lengths, int | np.ndarray)):
            return None
        steps, length = np.diff(starts), int(np.max(lengths))
        if np.any(lengths != length) or np.any(steps != steps[:1]) or np.any(steps < 1):
            lengths = np.broadcast_to(lengths, starts.shape)
            back = np.any(steps < 0) or np.any(np.diff(starts + lengths) < 0)
            if back or length > MOST:
                return None
            return Uneven(self.size, tuple(map(int, starts)), tuple(map(int, lengths)))
        first, end = int(starts[0]), int(starts[-1]) + length
        stride = int(steps[0]) if steps.size else length
        return Axis(self.size, length, stride, low=-first, high=end - self.size)


Layout = dict[int, Bins]  # by axis, counted from the end, ascending


def reduce(x: jax.Array, monoid: Monoid, layout: Layout, where: jax.Array | None) -> jax.Array:
    """As `engine.reduce`, over bins."""
    if window := _window(layout):
        return engine.reduce(x, monoid, window, where=where)
    x = _without_masked(x, monoid, where)
    for position, bins in reversed(layout.items()):
        blocks, mask, window = _blocks(x, where, position, bins)
        x = engine.reduce(blocks, monoid, window, where=mask)
        where = None if where is None else engine.reduce(mask, MAX, window)
    return x


def arg_reduce(
    x: jax.Array, monoid: Monoid, layout: Layout, where: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """As `engine.arg_reduce`, over bins: the winners' places are those in the whole plane."""
    if window := _window(layout):
        return engine.arg_reduce(x, monoid, window, where=where)
    dtype = engine.place_dtype(math.prod(bins.size for bins in layout.values()))
    x = _without_masked(x, monoid, where)
    within, inner = None, 1  # the winner's place in the axes done so far, and their elements
    for position, bins in reversed(layout.items()):
        blocks, mask, window = _blocks(x, where, position, bins)
        x, place = engine.arg_reduce(blocks, monoid, window, where=mask)
        where = None if where is None else engine.reduce(mask, MAX, window)
        place = integers(place)
        found = place >= 0
        if bins.axis is None:
            place = _full(bins.starts, position, x.ndim) + place % bins.longest
        place = jnp.where(found, place, 0).astype(dtype)
        if within is not None:
            place *= inner
            place += jnp.take_along_axis(within, place // inner, position, mode="clip")
        within, inner = jnp.where(found, place, -1), inner * bins.size
    assert within is not None
    return x, within


def mean(x: jax.Array, layout: Layout, where: jax.Array | None) -> jax.Array:
    """The mean of every window, of the dtype of `x` or, for integers, float32; 0 where empty."""
    if window := _window(layout):
        return average.mean(x, window, where)
    wide, result = average.mean_dtypes(x)
    if where is None:
        counts = 1
        for position, bins in layout.items():
            counts = counts * _full(bins.lengths, position, x.ndim)
    else:
        counts = jnp.maximum(reduce(where.astype(np.int32), SUM, layout, None), 1)
    summed = reduce(x.astype(wide), SUM, layout, where)
    return (summed / jnp.asarray(counts, wide)).astype(result)


def _without_masked(x: jax.Array, monoid: Monoid, where: jax.Array | None) -> jax.Array:
    """The identity in place of masked elements, so that no step moves a masked NaN."""
    return x if where is None else jnp.where(where, x, monoid.identity(x.dtype))


def _window(layout: Layout) -> Window | None:
    axes = tuple(axis for bins in layout.values() if (axis := bins.axis))
    return Window(tuple(layout), axes) if len(axes) == len(layout) else None


def _blocks(
    x: jax.Array, where: jax.Array | None, position: int, bins: Bins
) -> tuple[jax.Array, jax.Array | None, Window]:
    """Input and mask with the blocks of one axis side by side, and the windows upon them."""
    if axis := bins.axis:
        return x, where, Window((position,), (axis,))
    blocks, exists = _gather(x, position, bins)
    mask = None if exists is None else jnp.broadcast_to(exists, blocks.shape)
    if where is not None:
        given, _ = _gather(where, position, bins)
        mask = given if mask is None else given & mask
    size = blocks.shape[position]
    return blocks, mask, Window((position,), (Axis(size, bins.longest, bins.longest),))


def _gather(x: jax.Array, position: int, bins: Bins) -> tuple[jax.Array, jax.Array | None]:
    """The blocks, and which of their elements belong to their windows; None if all do."""
    member = x.ndim + position + 1  # the axis of a block's elements, next to that of the blocks

    def side_by_side(array: Any) -> Any:
        shape = list(array.shape)
        shape[member - 1 : member + 1] = [shape[member - 1] * shape[member]]
        return array.reshape(shape)

    shape = [1] * (x.ndim + 1)
    shape[member] = bins.longest
    offsets = np.arange(bins.longest, dtype=np.int32).reshape(shape)
    starts = _full(bins.starts, position, x.ndim)
    place = side_by_side(_member_axis(starts, member) + offsets)
    if 0 < bins.longest <= FEW * bins.step:
        blocks = engine.invertible_gather(x, [place], _readers(bins, position, x.ndim), position)
    else:
        blocks = jnp.take_along_axis(x, place, position, mode="clip")
    if isinstance(bins.lengths, int):
        return blocks, None
    lengths = _full(bins.lengths, position, x.ndim)
    return blocks, side_by_side(offsets < _member_axis(lengths, member))


def _readers(bins: Bins, position: int, ndim: int) -> list[jax.Array]:
    """For each element its places in the blocks, -1 for none."""
    starts = _full(bins.starts, position, ndim)
    member = ndim + position + 1
    shape = [1] * ndim
    shape[position] = bins.size
    element = np.arange(bins.size, dtype=np.int32).reshape(shape)
    begun = _member_axis(starts, member) <= np.expand_dims(element, member - 1)
    last = jnp.sum(begun, axis=member - 1, dtype=np.int32) - 1  # that begins there or before
    readers = []
    for back in range(-(-bins.longest // bins.step)):
        window = jnp.maximum(last - back, 0)
        at = element - jnp.take_along_axis(starts, window, position, mode="clip")
        length = bins.lengths
        if not isinstance(length, int):
            length = _full(length, position, ndim)
            length = jnp.take_along_axis(length, window, position, mode="clip")
        reads = (last >= back) & (at < length)
        readers.append(jnp.where(reads, window * bins.longest + at, -1))
    return readers


def _member_axis(array: Any, member: int) -> Any:
    return array.reshape(*array.shape[:member], 1, *array.shape[member:])


def _full(numbers: Any, position: int, ndim: int) -> Any:
    """Numbers a window, shaped to broadcast against the output."""
    if isinstance(numbers, int):
        return np.full((1,) * ndim, numbers, np.int32)
    if numbers.ndim == ndim:
        return numbers
    shape = [1] * ndim
    shape[position] = -1
    return numbers.reshape(shape)
