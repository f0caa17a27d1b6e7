"""Sums over boxes as matrix products, which are deterministic on GPU and TPU.

A scatter-add of floats has no fixed order on GPU, so its result differs between runs. Here each box
has one weight matrix per axis, and its contribution to a map is

    x[h, w, c] = sum over bins i, j of  rows[i, h] * y[i, j, c] * columns[j, w]

A loop sums a few boxes per step, so the size of temporaries does not grow with the number of boxes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

# Temporaries per step have at most this many elements, or as many as the maps if that is more.
LEAST = 2**21

Shape = tuple[Any, ...]  # (images, groups, height, width, channels)
Change = Callable[[jax.Array], jax.Array]


def spread(
    y: jax.Array, image: jax.Array, rows: jax.Array, columns: jax.Array, shape: Shape
) -> jax.Array:
    """The sum of the weighted values of all bins, for each element of the maps.

    Args:
        y: The values, `(boxes, bins, bins, channels)`.
        image: The image index of each box.
        rows: The weight of each bin in each row of the map, `(boxes, bins, height)`.
        columns: The weight of each bin in each column of the map, `(boxes, bins, width)`.
        shape: The shape of the maps. If there are several groups, each bin has its own group.
    """
    images, groups, _, width, channels = shape
    bins = y.shape[1:3]

    def product(y, image, rows, columns):
        rows = jnp.where(_one_hot(image, images)[:, None, :, None], rows[:, :, None], 0)
        if groups == 1:
            columns = jnp.broadcast_to(columns[:, None], (*y.shape[:3], width))
            lines = _contract("rijw,rijc->riwc", columns, y)
            return _contract("rinh,riwc->nhwc", rows, lines)
        lines = y[:, :, :, None] * columns[:, None, :, :, None]
        return _contract("rinh,rijwc->ijnhwc", rows, lines)

    def run(choose: Change, weigh: Change) -> jax.Array:
        def part(y, image, rows, columns):
            return product(choose(y), image, weigh(rows), weigh(columns))

        each = bins[0] * (bins[1] if groups > 1 else 1) * width * channels
        return _in_parts(part, (y, image, rows, columns), each, shape)

    total = _ignore_unweighted_nonfinite(run, jnp.isfinite(y).all())
    return jnp.moveaxis(total.reshape(groups, *total.shape[-4:]), 0, 1)


def _one_hot(number: jax.Array, count: Any) -> jax.Array:
    """One-hot encoding of `number` along a new last axis of size `count`, as booleans."""
    return number[..., None] == jnp.arange(count, dtype=number.dtype)


def _contract(subscripts: str, *operands: jax.Array) -> jax.Array:
    return jnp.einsum(subscripts, *operands, precision=lax.Precision.HIGHEST)


def _in_parts(
    product: Callable[..., jax.Array], per_box: Sequence[jax.Array], each: Any, shape: Shape
) -> jax.Array:
    """`product(*per_box)`, a sum over boxes, computed in a loop over groups of boxes.

    Args:
        product: The function, linear in its first operand.
        per_box: Operands of `product`; their first axis is the axis of boxes.
        each: Number of temporary elements per box.
        shape: The shape of the maps.
    """
    boxes = per_box[0].shape[0]
    if not all(isinstance(size, int) for size in (*shape, each, boxes)):
        return product(*per_box)
    turns = -(-boxes * each // max(LEAST, math.prod(shape)))
    if turns <= 1:
        return product(*per_box)
    at_once = -(-boxes // turns)
    result = jax.eval_shape(product, *(lax.slice_in_dim(x, 0, at_once) for x in per_box))

    def turn(number: Any, total: jax.Array) -> jax.Array:
        begin = jnp.minimum(number * at_once, boxes - at_once)  # the last part may overlap
        y, *others = (lax.dynamic_slice_in_dim(x, begin, at_once) for x in per_box)
        new = begin + jnp.arange(at_once) >= number * at_once
        y = jnp.where(jnp.expand_dims(new, range(1, y.ndim)), y, 0)
        return total + product(y, *others)

    return lax.fori_loop(0, -(-boxes // at_once), turn, jnp.zeros(result.shape, result.dtype))


def _ignore_unweighted_nonfinite(
    run: Callable[[Change, Change], jax.Array], finite: jax.Array
) -> jax.Array:
    """`run(values, weights)`, where infinity or NaN times a weight of 0 counts as 0.

    In a matrix product, 0 times infinity is NaN. So the sum is computed with nonfinite values
    replaced by 0. Only if there are nonfinite values, the elements with a nonzero weight of one are
    found. They are infinite if all their nonfinite terms are infinities of one sign, and NaN
    otherwise.

    Args:
        run: Computes the sum over boxes, given functions to apply to the values and to the weights.
        finite: Whether all values are finite.
    """
    total = run(lambda y: jnp.where(jnp.isfinite(y), y, 0), lambda weights: weights)

    def mark(total: jax.Array) -> jax.Array:
        count = run(lambda y: (~jnp.isfinite(y)).astype(y.dtype), lambda w: jnp.abs(jnp.sign(w)))
        signs = run(lambda y: jnp.where(jnp.isinf(y), jnp.sign(y), 0), jnp.sign)
        other = jnp.where(jnp.abs(signs) == count, signs * jnp.inf, jnp.nan)
        return jnp.where(count == 0, total, other)

    return lax.cond(finite, lambda total: total, mark, total)
