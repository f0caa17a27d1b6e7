"""Reductions over windows of uneven starts and lengths: adaptive and fractional pooling.

If starts and lengths are static and the windows are short, the engine reads them directly
(`axis.Uneven`). Otherwise every pooled axis is gathered into blocks: one block per window, all of
the length of the longest window, padded with the identity. The blocks tile the gathered axis, so
the engine reduces them as ordinary windows.
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
from jaxpool.engine.rules.invertible_gather import look_up
from jaxpool.engine.rules.primitives import integers
from jaxpool.monoid import MAX, SUM, Monoid
from jaxpool.pooling.windows import average
from jaxpool.window import Window

# Most taps of static uneven windows that the engine reads directly, in one fused loop.
MOST = 64

# Most windows per element for which the derivative is computed by gathers.
FEW = 8


@dataclass(frozen=True, eq=False)
class Bins:
    """The windows of one axis: window `o` is `[starts[o], starts[o] + lengths[o])`.

    Attributes:
        size: Elements of the axis.
        starts: Integers `(windows,)`, a NumPy array if static. If windows differ between planes, an
            array with the rank of the input that broadcasts to its planes.
        lengths: The same, or one int for windows of equal length.
        longest: An upper bound of the lengths.
        step: A lower bound of the distance between neighbouring starts; 0 if unknown.
    """

    size: int
    starts: Any
    lengths: Any
    longest: int
    step: int = 0

    @property
    def axis(self) -> Axis | Uneven | None:
        """The engine's axis with these windows; None if the engine cannot read them directly."""
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


Layout = dict[int, Bins]  # by axis index from the end, ascending


def reduce(x: jax.Array, monoid: Monoid, layout: Layout, where: jax.Array | None) -> jax.Array:
    """`engine.reduce` over bins."""
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
    """`engine.arg_reduce` over bins; indices are row-major in the whole plane."""
    if window := _window(layout):
        return engine.arg_reduce(x, monoid, window, where=where)
    dtype = engine.place_dtype(math.prod(bins.size for bins in layout.values()))
    x = _without_masked(x, monoid, where)
    within, inner = None, 1  # index of the winner in the axes reduced so far; their size
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
            place += look_up(within, place // inner, axis=position)
        within, inner = jnp.where(found, place, -1), inner * bins.size
    assert within is not None
    return x, within


def mean(x: jax.Array, layout: Layout, where: jax.Array | None) -> jax.Array:
    """The mean of every window, in the dtype of `x`, or float32 for integers; 0 if empty."""
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
    """`x` with masked elements replaced by the identity, so that a masked NaN does not spread."""
    return x if where is None else jnp.where(where, x, monoid.identity(x.dtype))


def _window(layout: Layout) -> Window | None:
    axes = tuple(axis for bins in layout.values() if (axis := bins.axis))
    return Window(tuple(layout), axes) if len(axes) == len(layout) else None


def _blocks(
    x: jax.Array, where: jax.Array | None, position: int, bins: Bins
) -> tuple[jax.Array, jax.Array | None, Window]:
    """Input and mask with one axis gathered into blocks, and the windows that tile the blocks."""
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
    """The blocks, and a mask of the elements inside their windows; None if all are inside."""
    member = x.ndim + position + 1  # axis of the elements of a block, after the axis of blocks

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
    """For each element its positions in the blocks, -1 for none."""
    starts = jnp.asarray(_full(bins.starts, position, ndim))
    member = ndim + position + 1
    shape = [1] * ndim
    shape[position] = bins.size
    element = np.arange(bins.size, dtype=np.int32).reshape(shape)
    begun = _member_axis(starts, member) <= np.expand_dims(element, member - 1)
    last = jnp.sum(begun, axis=member - 1, dtype=np.int32) - 1  # last window started
    readers = []
    for back in range(-(-bins.longest // bins.step)):
        window = jnp.maximum(last - back, 0)
        at = element - look_up(starts, window, axis=position)
        length = bins.lengths
        if not isinstance(length, int):
            length = jnp.asarray(_full(length, position, ndim))
            length = look_up(length, window, axis=position)
        reads = (last >= back) & (at < length)
        readers.append(jnp.where(reads, window * bins.longest + at, -1))
    return readers


def _member_axis(array: Any, member: int) -> Any:
    return array.reshape(*array.shape[:member], 1, *array.shape[member:])


def _full(numbers: Any, position: int, ndim: int) -> Any:
    """One number per window, shaped to broadcast to the output."""
    if isinstance(numbers, int):
        return np.full((1,) * ndim, numbers, np.int32)
    if numbers.ndim == ndim:
        return numbers
    shape = [1] * ndim
    shape[position] = -1
    return numbers.reshape(shape)
