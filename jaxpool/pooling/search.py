"""Which element or sample of a bin is largest: a search that no derivative goes through.

It yields the winner's number, from which the result is then read in one gather. So the derivative
is exactly that of reading the winner, in every mode.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.pooling import sampling
from jaxpool.pooling.sampling import Limits, Samples

NONE = -1

Spans = tuple[jax.Array, jax.Array]  # first element, and how many: both `(boxes, bins)`

Candidates = Callable[[Any, Any], Iterable[tuple[jax.Array, jax.Array, Any]]]


def _first_largest(
    turns_y: Any, turns_x: Any, candidates: Candidates, shape: tuple[Any, ...], dtype: np.dtype
) -> jax.Array:
    """The number of the first NaN among the candidates, else of the first largest, or NONE.

    Args:
        turns_y: How often to call `candidates` along the rows.
        turns_x: Along the columns.
        candidates: From two numbers to the candidates `(value, exists, number)` of that turn.
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


@jax.jit
def largest_element(maps: jax.Array, image: jax.Array, rows: Spans, columns: Spans) -> jax.Array:
    """The largest element of every bin, 0 if there is none.

    Args:
        maps: As `regions.Regions` has them.
        image: The image of each box.
        rows: The rows of each bin.
        columns: The columns of each bin.
    """
    width, channels = maps.shape[3:]

    def function(maps, image, rows, columns):
        (first_y, count_y), (first_x, count_x) = rows, columns
        shape = (*first_y.shape, first_x.shape[1], channels)

        def candidates(i, j):
            y, x = (first_y + i)[:, :, None], (first_x + j)[:, None]
            exists = (i < count_y)[:, :, None] & (j < count_x)[:, None]
            number = y * width + x
            yield maps[image[:, None, None], 0, y, x], exists[..., None], number[..., None]

        turns = jnp.max(count_y, initial=0), jnp.max(count_x, initial=0)
        return _first_largest(*turns, candidates, shape, maps.dtype)

    number = sampling.box_by_box(function, lax.stop_gradient(maps), image, rows, columns)
    at = jnp.maximum(number, 0)
    image, channel = image[:, None, None, None], np.arange(channels)
    found = maps[image, 0, at // width, at % width, channel]
    return jnp.where(number == NONE, jnp.zeros((), maps.dtype), found)


@functools.partial(jax.jit, static_argnames="limits")
def largest_corner(
    maps: jax.Array, image: jax.Array, rows: Samples, columns: Samples, limits: Limits
) -> jax.Array:
    """The largest weighted corner of the samples of every bin, as ONNX has it.

    A sample outside the map counts as 0; so does a bin without samples.
    """
    height, width, channels = maps.shape[2:]

    def function(maps, image, rows, columns):
        def candidates(i, j):
            ys, xs = sampling.corners(rows, i, height), sampling.corners(columns, j, width)
            inside = ys.inside[:, :, None] & xs.inside[:, None]
            within_y, within_x = i < rows.left, j < columns.left
            exists = (within_y[:, :, None] & within_x[:, None])[..., None]
            for a, (y, weight_y) in enumerate(ys.weighted):
                for b, (x, weight_x) in enumerate(xs.weighted):
                    weight = jnp.where(inside, weight_y[:, :, None] * weight_x[:, None], 0)
                    element = maps[image[:, None, None], 0, y[:, :, None], x[:, None]]
                    value = sampling.part(weight.astype(maps.dtype)[..., None], element)
                    yield value, exists, ((i * limits.columns + j) * 2 + a) * 2 + b

        turns_y = sampling.visited(rows, limits.rows, limits.fixed)
        turns_x = sampling.visited(columns, limits.columns, limits.fixed)
        shape = (*rows.origin.shape, columns.origin.shape[1], channels)
        return _first_largest(turns_y, turns_x, candidates, shape, maps.dtype)

    still = lax.stop_gradient((maps, image, rows, columns))
    number = sampling.box_by_box(function, *still)
    code = jnp.maximum(number, 0)
    rows = Samples(*(a[:, :, None, None] for a in rows))
    columns = Samples(*(a[:, None, :, None] for a in columns))
    ys = sampling.corners(rows, code // 4 // limits.columns, height)
    xs = sampling.corners(columns, code // 4 % limits.columns, width)
    y, weight_y = ys.choose(code // 2 % 2 == 1)
    x, weight_x = xs.choose(code % 2 == 1)
    weight = jnp.where(ys.inside & xs.inside & (number != NONE), weight_y * weight_x, 0)
    element = maps[image[:, None, None, None], 0, y, x, np.arange(channels)]
    value = sampling.part(weight.astype(maps.dtype), element)
    # Samples that were not visited lie outside the map: each of them counts as 0.
    unvisited = (rows.counts > limits.rows) | (columns.counts > limits.columns)
    return jnp.where(unvisited & (value < 0), 0, value)
