"""Positions of bilinear samples in the bins of boxes, and the elements that they read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive

from jaxpool.engine.plan.target import CPU, Target
from jaxpool.engine.rules.primitives import bind, integers


class Samples(NamedTuple):
    """The samples along one axis, numbered across all bins of a box. Fields are `(boxes, bins)`.

    Attributes:
        origin: The start of the sampled interval.
        extent: The length of the sampled interval.
        total: The number of evenly spaced samples in the interval.
        counts: The number of samples in each bin.
        first: The index of the first sample to visit in each bin.
        left: The number of samples of the bin from `first` on.
    """

    origin: jax.Array
    extent: jax.Array
    total: jax.Array
    counts: jax.Array
    first: jax.Array
    left: jax.Array


class Limits(NamedTuple):
    """The largest number of samples visited per bin and axis, and whether it is always reached."""

    rows: int
    columns: int
    fixed: bool


class Corners(NamedTuple):
    """The two elements between which each sample is interpolated.

    Attributes:
        low: The index of the element before the sample.
        high: The index of the element after the sample.
        lift: The weight of `high`; the weight of `low` is `1 - lift`.
        inside: Whether the sample counts.
        moves: Whether the sample lies inside the map, so that its weights depend on its position.
        along: The position of the sample as a fraction of the sampled interval.
    """

    low: jax.Array
    high: jax.Array
    lift: jax.Array
    inside: jax.Array
    moves: jax.Array
    along: jax.Array

    @property
    def places(self) -> tuple[jax.Array, jax.Array]:
        """The indices of both elements."""
        return self.low, self.high

    def weights(self, by: str | None = None) -> tuple[jax.Array, jax.Array]:
        """The weights of both elements, or their derivatives by `"origin"` or `"extent"`."""
        if by is None:
            pair = 1 - self.lift, self.lift
            return jnp.where(self.inside, pair[0], 0), jnp.where(self.inside, pair[1], 0)
        rate = jnp.where(self.moves, self.along if by == "extent" else 1, 0)
        rate = rate.astype(self.lift.dtype)
        return -rate, rate


def spread(begin: jax.Array, length: jax.Array, bins: int, size: int, ratio: int) -> Samples:
    """Samples in boxes of equal bins: `ratio` per bin, or (0) `ceil(bin length)` per bin.

    Args:
        begin: The start of each box, `(boxes,)`.
        length: The length of each box.
        bins: The number of bins per box.
        size: Elements of the map.
        ratio: The number of samples per bin, or 0.
    """
    shape = (*begin.shape, bins)
    if ratio:
        counts = jnp.full((*begin.shape, 1), ratio, np.int32)
    else:
        most = 2**30 // bins  # keeps sample indices within 32 bits
        counts = jnp.clip(jnp.ceil(length / bins), 0, most).astype(np.int32)[:, None]
    start = counts * np.arange(bins, dtype=np.int32)[None, :]
    first = start
    if not ratio:
        # Neighbouring samples are at most 1 apart, and nearly 1 apart if there are many, so at most
        # `limit` of them lie inside the map. Otherwise begin just before the first one inside.
        outside = (-1 - begin) / length * (counts[:, 0] * bins).astype(begin.dtype) - 0.5
        inside = jnp.clip(jnp.floor(outside) - 1, 0, 2.0**30).astype(np.int32)[:, None]
        many = counts > most_inside(size)
        first = jnp.where(many, jnp.clip(inside, start, start + counts), start)
    fields = begin[:, None], length[:, None], counts * bins, counts, first, start + counts - first
    return Samples(*(jnp.broadcast_to(field, shape) for field in fields))


def most_inside(size: int) -> int:
    """The largest number of samples per bin inside a map of `size` elements, for ratio 0."""
    return size + 5


def limits(maps: jax.Array, ratio: int) -> Limits:
    """The limits for `ratio` samples per bin, or (0) for a data-dependent number of samples."""
    if ratio:
        return Limits(ratio, ratio, fixed=True)
    return Limits(most_inside(maps.shape[2]), most_inside(maps.shape[3]), fixed=False)


def visited(samples: Samples, limit: int, fixed: bool) -> Any:
    """The number of samples to visit for these boxes: an int if it is static."""
    return limit if fixed else jnp.clip(jnp.max(samples.left, initial=0), 0, limit)


def corners(samples: Samples, turn: Any, size: int) -> Corners:
    """The elements that are read by the samples visited in step `turn`."""
    dtype = samples.origin.dtype
    number = (samples.first + turn).astype(dtype) + 0.5
    total = jnp.maximum(integers(samples.total), 1).astype(dtype)
    position = _on_elements(samples.origin + samples.extent * number / total, samples)
    inside = (turn < samples.left) & (position >= -1) & (position <= size)
    moves = inside & (position >= 0) & (position < size - 1)
    end = jnp.where(inside & (position > 0), size - 1, 0).astype(dtype)
    at = jnp.where(moves, position, end)
    low = integers(at.astype(np.int32))
    high = jnp.minimum(low + 1, size - 1)
    return Corners(low, high, at - low.astype(dtype), inside, moves, number / total)


def dense(samples: Samples, limit: int, fixed: bool, size: int, by: str | None = None) -> jax.Array:
    """The weight of each element of the map in each bin, `(boxes, bins, size)`.

    Args:
        samples: The samples.
        limit: The largest number of samples to visit per bin.
        fixed: Whether `limit` samples are visited in every bin.
        size: Elements of the map.
        by: See `Corners.weights`.
    """
    numbers = np.arange(size, dtype=np.int32)

    def turn(i: Any, total: jax.Array) -> jax.Array:
        found = corners(samples, i, size)
        for place, weight in zip(found.places, found.weights(by), strict=True):
            total += jnp.where(place[..., None] == numbers, weight[..., None], 0)
        return total

    start = jnp.zeros((*samples.origin.shape, size), samples.origin.dtype)
    return lax.fori_loop(0, visited(samples, limit, fixed), turn, start)


def _on_elements(position: jax.Array, samples: Samples) -> jax.Array:
    """Positions, rounded to an element if they differ from it only by rounding errors.

    A sample one ulp beyond the last valid position would not count, and a sample one ulp beside an
    element would read its neighbour, which may be NaN. Integer positions are not computed exactly,
    because XLA turns divisions into products with a reciprocal.
    """
    still, origin, extent = lax.stop_gradient((position, samples.origin, samples.extent))
    off = jnp.round(still) - still
    slack = 2 * jnp.finfo(still.dtype).eps * (jnp.abs(origin) + jnp.abs(extent))
    return position + jnp.where(jnp.abs(off) <= slack, off, 0)


def part(weight: jax.Array, element: jax.Array) -> jax.Array:
    """`weight * element`, but 0 for weight 0, even if the element is infinite or NaN."""
    return jnp.where(weight != 0, weight * element, 0)


def groups(maps: jax.Array, rows: Samples, columns: Samples) -> np.ndarray:
    """The group (second axis of the maps) that each bin reads."""
    bins = rows.origin.shape[1], columns.origin.shape[1]
    return np.arange(bins[0] * bins[1]).reshape(bins) % maps.shape[1]


def box_by_box(function: Callable[..., Any], maps: jax.Array, *per_box: Any, target: Target) -> Any:
    """`function(maps, *per_box)`, for independent boxes along the first axis.

    On GPU and TPU all boxes are computed together, so the largest box determines the number of loop
    steps. On CPU a loop computes one box at a time, which stays in the cache and takes only the
    steps that this box needs.
    """
    if target is not CPU:
        return function(maps, *per_box)

    def one(box):
        result = function(maps, *jax.tree.map(lambda a: a[None], box))
        return jax.tree.map(lambda a: a[0], result)

    return lax.map(one, per_box)


def batched(
    primitive: Primitive, operands: Any, dims: Any, *, sites: int, shape: Any, **parameters: Any
) -> Any:
    """The batching rule of a primitive over boxes.

    Batched boxes become additional boxes, and batched maps become additional images. If only the
    boxes are batched, all of them read the same maps.

    Args:
        primitive: The primitive: it reads from maps, or is the transpose of such a primitive.
        operands: Maps, or values of bins, followed by operands with one entry per box; the first of
            these is the image index.
        dims: The batch axes of the operands.
        sites: The number of operands with one entry per box.
        shape: The shape of the maps, a parameter of the primitive.
        parameters: The other parameters of the primitive.
    """
    size = next(a.shape[d] for a, d in zip(operands, dims, strict=True) if d is not None)

    def lead(operand: jax.Array, dim: int | None) -> jax.Array:
        return lax.broadcast(operand, (size,)) if dim is None else jnp.moveaxis(operand, dim, 0)

    def fold(operand: jax.Array) -> jax.Array:
        return operand.reshape(size * operand.shape[1], *operand.shape[2:])

    first, dims_first = list(operands[:-sites]), dims[:-sites]
    per_box = [lead(*pair) for pair in zip(operands[-sites:], dims[-sites:], strict=True)]
    reads_maps = first[0].ndim - (dims_first[0] is not None) == len(shape)
    if not reads_maps or dims_first != (None,):
        first = [fold(lead(*pair)) for pair in zip(first, dims_first, strict=True)]
        per_box[0] += jnp.arange(size, dtype=np.int32)[:, None] * shape[0]
        shape = (size * shape[0], *shape[1:])
    per_box = [fold(site) for site in per_box]
    results = bind(primitive, *first, *per_box, shape=shape, **parameters)
    several = primitive.multiple_results
    results = [
        y.reshape(size, y.shape[0] // size, *y.shape[1:])
        for y in (results if several else [results])
    ]
    return (results, [0] * len(results)) if several else (results[0], 0)
