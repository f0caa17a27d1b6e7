"""Where bilinear samples lie in the bins of boxes, and which elements they read."""

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
    """The samples of one axis, numbered through all bins of a box. All are `(boxes, bins)`.

    Attributes:
        origin: Where the sampled stretch begins.
        extent: How long it is.
        total: The number of samples in it, evenly spread.
        counts: The number of samples in each bin.
        first: The number of the first sample that each bin visits.
        left: How many of the bin's samples there are from that one on.
    """

    origin: jax.Array
    extent: jax.Array
    total: jax.Array
    counts: jax.Array
    first: jax.Array
    left: jax.Array


class Limits(NamedTuple):
    """How many samples a bin and axis are visited at most, and whether that many always are."""

    rows: int
    columns: int
    fixed: bool


class Corners(NamedTuple):
    """The two elements between which a sample lies.

    Attributes:
        low: The element before it.
        high: The element after it.
        lift: The weight of the second; that of the first is what is missing to 1.
        inside: Whether the sample counts.
        moves: Whether it lies in the map, so that the weights follow where it goes.
        along: At which part of the sampled stretch it lies.
    """

    low: jax.Array
    high: jax.Array
    lift: jax.Array
    inside: jax.Array
    moves: jax.Array
    along: jax.Array

    @property
    def places(self) -> tuple[jax.Array, jax.Array]:
        """Both elements."""
        return self.low, self.high

    def weights(self, by: str | None = None) -> tuple[jax.Array, jax.Array]:
        """Their weights, or the derivatives of these by `"origin"` or `"extent"`."""
        if by is None:
            pair = 1 - self.lift, self.lift
            return jnp.where(self.inside, pair[0], 0), jnp.where(self.inside, pair[1], 0)
        rate = jnp.where(self.moves, self.along if by == "extent" else 1, 0)
        rate = rate.astype(self.lift.dtype)
        return -rate, rate


def spread(begin: jax.Array, length: jax.Array, bins: int, size: int, ratio: int) -> Samples:
    """Samples over boxes of equal bins: `ratio` in each, or (0) one an element that it has begun.

    Args:
        begin: Where each box begins, `(boxes,)`.
        length: How long it is.
        bins: How many bins it has.
        size: Elements of the map.
        ratio: How many samples a bin has.
    """
    shape = (*begin.shape, bins)
    if ratio:
        counts = jnp.full((*begin.shape, 1), ratio, np.int32)
    else:
        most = 2**30 // bins  # which keeps the numbers of samples within 32 bits
        counts = jnp.clip(jnp.ceil(length / bins), 0, most).astype(np.int32)[:, None]
    start = counts * np.arange(bins, dtype=np.int32)[None, :]
    first = start
    if not ratio:
        # Samples are at most 1 apart, and hardly less where they are many: no more than the limit
        # can lie in the map. If there are others, begin just before those.
        outside = (-1 - begin) / length * (counts[:, 0] * bins).astype(begin.dtype) - 0.5
        inside = jnp.clip(jnp.floor(outside) - 1, 0, 2.0**30).astype(np.int32)[:, None]
        many = counts > most_inside(size)
        first = jnp.where(many, jnp.clip(inside, start, start + counts), start)
    fields = begin[:, None], length[:, None], counts * bins, counts, first, start + counts - first
    return Samples(*(jnp.broadcast_to(field, shape) for field in fields))


def most_inside(size: int) -> int:
    """How many samples of a bin may lie in a map of so many elements, if no ratio is given."""
    return size + 5


def limits(maps: jax.Array, ratio: int) -> Limits:
    """How many samples to visit, if there are `ratio` of them, or (0) if they are adaptive."""
    if ratio:
        return Limits(ratio, ratio, fixed=True)
    return Limits(most_inside(maps.shape[2]), most_inside(maps.shape[3]), fixed=False)


def visited(samples: Samples, limit: int, fixed: bool) -> Any:
    """How many samples to visit for these boxes: an int if it is known."""
    return limit if fixed else jnp.clip(jnp.max(samples.left, initial=0), 0, limit)


def corners(samples: Samples, turn: Any, size: int) -> Corners:
    """The elements that the samples visited in a turn read."""
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
    """What each element of the map weighs in each bin, `(boxes, bins, size)`.

    Args:
        samples: The samples.
        limit: How many of a bin to visit at most.
        fixed: Whether that many always are.
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
    """Positions, exactly on an element where they differ from it by no more than rounding errors.

    What is an ulp beside the last position at which a sample counts would not count, and what is
    one beside an element would read its neighbour, which may be NaN. Round numbers do not come out
    round by themselves: XLA turns divisions into products with a reciprocal.
    """
    still, origin, extent = lax.stop_gradient((position, samples.origin, samples.extent))
    off = jnp.round(still) - still
    slack = 2 * jnp.finfo(still.dtype).eps * (jnp.abs(origin) + jnp.abs(extent))
    return position + jnp.where(jnp.abs(off) <= slack, off, 0)


def part(weight: jax.Array, element: jax.Array) -> jax.Array:
    """`weight * element`; what has no weight is not read, be it infinite or NaN."""
    return jnp.where(weight != 0, weight * element, 0)


def groups(maps: jax.Array, rows: Samples, columns: Samples) -> np.ndarray:
    """Which entry of the maps' second axis each bin reads."""
    bins = rows.origin.shape[1], columns.origin.shape[1]
    return np.arange(bins[0] * bins[1]).reshape(bins) % maps.shape[1]


def box_by_box(function: Callable[..., Any], maps: jax.Array, *per_box: Any, target: Target) -> Any:
    """`function(maps, *per_box)`, in which boxes come along the first axis and are independent.

    All boxes are visited together, and loop as often as the largest of them needs; but on a CPU
    one after the other, each as often as it needs itself, and in the cache.
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

    Batched boxes become additional boxes, and batched maps additional images. If only the boxes are
    batched, all of them read the same maps.

    Args:
        primitive: The primitive, one of a pair that read maps and add up in them.
        operands: Maps, or values of bins; then operands with one entry per box, of which the first
            says which image.
        dims: Their batch axes.
        sites: How many operands have one entry per box.
        shape: The shape of the maps, a parameter of the primitive.
        parameters: Its other parameters.
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
