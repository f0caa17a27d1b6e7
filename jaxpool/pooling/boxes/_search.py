"""Search for the largest element or sample of each bin, without a derivative.

The search returns the index of the winner, and the result is then read by one gather. So the
derivative in every mode is that of reading the winner.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine.lower.take_along import compares
from jaxpool.engine.plan.target import TPU, Target
from jaxpool.engine.rules import primitives
from jaxpool.monoid import MAX
from jaxpool.pooling.boxes import _picks, _sampling
from jaxpool.pooling.boxes._sampling import Corners, Limits, Samples

NONE = -1
LAST = np.int32(2**31 - 1)  # above every number

Spans = tuple[jax.Array, jax.Array]  # first element and number of elements, each `(boxes, bins)`

Candidates = Callable[[Any, Any], Iterable[tuple[jax.Array, jax.Array, Any]]]


def _first_largest(
    turns_y: Any, turns_x: Any, candidates: Candidates, shape: tuple[Any, ...], dtype: np.dtype
) -> jax.Array:
    """The number of the first NaN candidate, else of the first largest one; NONE without any.

    Args:
        turns_y: Number of loop steps along the rows.
        turns_x: Number of loop steps along the columns.
        candidates: Maps the two step numbers to the candidates `(value, exists, number)`.
        shape: The shape of the result.
        dtype: The dtype of the values.
    """

    def column(i, j, best):
        value, number = best
        for candidate, exists, its_number in candidates(i, j):
            wins = (number == NONE) | (candidate > value)
            wins |= (candidate != candidate) & (value == value)
            wins &= exists
            value = jnp.where(wins, candidate, value)
            number = jnp.where(wins, its_number, number)
        return value, number

    def row(i, best):
        return lax.fori_loop(0, turns_x, functools.partial(column, i), best)

    start = jnp.zeros(shape, dtype), jnp.full(shape, NONE, np.int32)
    return lax.fori_loop(0, turns_y, row, start)[1]


def largest_element(maps: jax.Array, image: jax.Array, rows: Spans, columns: Spans) -> jax.Array:
    """The largest element of every bin; 0 for an empty bin.

    Args:
        maps: The maps of `_regions.Regions`.
        image: The image index of each box.
        rows: The rows of each bin.
        columns: The columns of each bin.
    """
    width = maps.shape[3]
    number = _largest_element(maps, image, *rows, *columns)
    at = jnp.maximum(number, 0)
    found = _picks.pick(maps, image, at // width, at % width)
    return jnp.where(number == NONE, jnp.zeros((), maps.dtype), found)


def _largest_element_code(
    maps: jax.Array, image: jax.Array, *spans: jax.Array, target: Target
) -> jax.Array:
    height, width, channels = maps.shape[2:]
    if target is TPU and compares(height, target) and compares(width, target):
        return lax.map(lambda box: _by_axis(maps, *box), (image, *spans))

    def function(maps, image, first_y, count_y, first_x, count_x):
        shape = (*first_y.shape, first_x.shape[1], channels)

        def candidates(i, j):
            y, x = (first_y + i)[:, :, None], (first_x + j)[:, None]
            exists = (i < count_y)[:, :, None] & (j < count_x)[:, None]
            number = y * width + x
            at = jnp.minimum(y, height - 1), jnp.minimum(x, width - 1)
            yield maps[image[:, None, None], 0, *at], exists[..., None], number[..., None]

        turns = jnp.max(count_y, initial=0), jnp.max(count_x, initial=0)
        return _first_largest(*turns, candidates, shape, maps.dtype)

    return _sampling.box_by_box(function, maps, image, *spans, target=target)


def _by_axis(
    maps: jax.Array,
    image: jax.Array,
    first_y: jax.Array,
    count_y: jax.Array,
    first_x: jax.Array,
    count_x: jax.Array,
) -> jax.Array:
    """`largest_element` of one box, over rows first; it reads all elements instead of gathering."""
    value = lax.dynamic_index_in_dim(maps, image, keepdims=False)[0]
    height, width, _ = value.shape
    number = np.arange(height * width, dtype=np.int32).reshape(height, width, 1)
    inside = _are_inside(first_y, count_y, height)[:, :, None, None]
    value, number = _first_largest_along(value, number, inside)
    inside = _are_inside(first_x, count_x, width)[:, :, None] & (number != LAST)[:, None]
    _, number = _first_largest_along(value[:, None], number[:, None], inside, axis=2)
    return jnp.where(number == LAST, NONE, number)


def _are_inside(first: jax.Array, count: jax.Array, size: int) -> jax.Array:
    """Whether each bin, one per entry of `first`, contains each element of an axis."""
    at = jnp.arange(size, dtype=np.int32)
    return (at >= first[:, None]) & (at < (first + count)[:, None])


def _first_largest_along(
    value: jax.Array, number: Any, inside: jax.Array, axis: int = 1
) -> tuple[jax.Array, jax.Array]:
    """Value and number of the first NaN along an axis, else of the first largest one; or LAST."""
    nan = inside & (value != value)
    any_nan = jnp.any(nan, axis, keepdims=True)
    largest = jnp.where(inside & ~nan, value, MAX.identity(value.dtype)).max(axis, keepdims=True)
    wins = jnp.where(any_nan, nan, inside & (value == largest))
    if jnp.issubdtype(value.dtype, jnp.floating):
        largest = jnp.where(any_nan, jnp.asarray(jnp.nan, value.dtype), largest)
    return largest.squeeze(axis), jnp.where(wins, number, LAST).min(axis)


_largest_element = primitives.search("jaxpool_largest_element", _largest_element_code, [])


def largest_corner(
    maps: jax.Array, image: jax.Array, rows: Samples, columns: Samples, limits: Limits
) -> jax.Array:
    """The largest weighted corner of the samples of every bin, as defined by ONNX.

    A sample outside the map counts as 0, and a bin without samples gives 0.

    The number of a corner encodes the parity of its element index, not whether it is the first or
    the second corner. So the number refers to the same element if the position of the sample is
    computed again with a different rounding error and lies on the other side of an element.
    """
    height, width = maps.shape[2:4]
    number = _largest_corner(maps, image, *rows, *columns, limits=limits)
    code = jnp.maximum(number, 0)
    rows = Samples(*(a[:, :, None, None] for a in rows))
    columns = Samples(*(a[:, None, :, None] for a in columns))
    ys = _sampling.corners(rows, code // 4 // limits.columns, height)
    xs = _sampling.corners(columns, code // 4 % limits.columns, width)
    y, weight_y = _chosen(ys, code // 2 % 2)
    x, weight_x = _chosen(xs, code % 2)
    weight = jnp.where(number == NONE, 0, weight_y * weight_x)
    element = _picks.pick(maps, image, y, x)
    value = _sampling.part(weight.astype(maps.dtype), element)
    # Samples that are not visited lie outside the map, so each counts as 0.
    unvisited = (rows.counts > limits.rows) | (columns.counts > limits.columns)
    return jnp.where(unvisited & (value < 0), 0, value)


def _largest_corner_code(
    maps: jax.Array, image: jax.Array, *samples: jax.Array, limits: Limits, target: Target
) -> jax.Array:
    height, width, channels = maps.shape[2:]
    middle = len(samples) // 2

    def function(maps, image, rows, columns):
        def candidates(i, j):
            ys, xs = _sampling.corners(rows, i, height), _sampling.corners(columns, j, width)
            exists = (i < rows.left)[:, :, None] & (j < columns.left)[:, None]
            for a, b in itertools.product(range(2), range(2)):
                y, x = ys.places[a][:, :, None], xs.places[b][:, None]
                weight = ys.weights()[a][:, :, None] * xs.weights()[b][:, None]
                element = maps[image[:, None, None], 0, y, x]
                value = _sampling.part(weight.astype(maps.dtype)[..., None], element)
                odd = (ys.low + a)[:, :, None] % 2 * 2 + (xs.low + b)[:, None] % 2
                number = (i * limits.columns + j) * 4 + odd
                yield value, exists[..., None], number[..., None]

        turns_y = _sampling.visited(rows, limits.rows, limits.fixed)
        turns_x = _sampling.visited(columns, limits.columns, limits.fixed)
        shape = (*rows.origin.shape, columns.origin.shape[1], channels)
        return _first_largest(turns_y, turns_x, candidates, shape, maps.dtype)

    rows, columns = Samples(*samples[:middle]), Samples(*samples[middle:])
    return _sampling.box_by_box(function, maps, image, rows, columns, target=target)


_largest_corner = primitives.search("jaxpool_largest_corner", _largest_corner_code, ["limits"])


def _chosen(corners: Corners, odd: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The element of a sample with an odd (1) or even (0) index, and its weight."""
    second = odd != corners.low % 2
    (low, high), (weight, other) = corners.places, corners.weights()
    return jnp.where(second, high, low), jnp.where(second, other, weight)
