"""Gather one element of a map per bin and channel, and the transpose, as a linear primitive.

    pick(x)[r, i, j, c] = x[image[r], row[r, i, j, c], column[r, i, j, c], c]

JAX would transpose the gather into a scatter-add, which adds floats in no fixed order on GPU, so
results would differ between runs. On GPU the transpose adds integers instead, whose sum does not
depend on the order. Each value is written as a few integer digits of many bits, relative to the
largest value that is added to the same element.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine.lower.take_along import compares, take_along
from jaxpool.engine.plan.target import GPU, GPUS, TPU, Target
from jaxpool.engine.rules.primitives import bind, linear_map, result_type
from jaxpool.pooling import arguments
from jaxpool.pooling.boxes import _sampling

# Exponents that stand for values below 2**-100, and for nonfinite values.
LOWEST, BEYOND = -100, 2**12

# Upper bound of the number of terms, if it is not static.
MOST = 2**22


def pick(maps: jax.Array, image: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """The elements at the given positions, `(boxes, bins, bins, channels)`.

    Args:
        maps: The maps of `_regions.Regions`, with one group.
        image: The image index of each box.
        row: The row index of each element, of the shape of the result.
        column: The column index of each element.
    """
    return bind(_PICK, maps, image, row, column, shape=maps.shape, transposed=False)


def _code(
    x: jax.Array,
    image: jax.Array,
    row: jax.Array,
    column: jax.Array,
    *,
    shape: Any,
    transposed: bool,
    target: Target,
) -> jax.Array:
    at = _at(image, row, column, shape)
    if not transposed:
        compared = target is TPU and compares(shape[2] * shape[3], target)
        return _by_comparison(x, image, row, column) if compared else x[at]
    wide = x.astype(arguments.accumulator(x))
    if target in (GPU, GPUS):
        return add_up(wide, at, shape).astype(x.dtype)
    return jnp.zeros(shape, wide.dtype).at[at].add(wide).astype(x.dtype)


def _by_comparison(x: jax.Array, image: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """`pick`, one box after the other; each position is compared with every index of the map."""
    width, channels = x.shape[3:]

    def one(box: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        image, row, column = box
        elements = lax.dynamic_index_in_dim(x, image, keepdims=False).reshape(-1, channels)
        numbers = (row * width + column).reshape(-1, channels)
        return take_along(elements, numbers, -2, TPU).reshape(row.shape)

    return lax.map(one, (image, row, column))


def add_up(y: jax.Array, at: tuple[Any, ...], shape: Any) -> jax.Array:
    """`jnp.zeros(shape).at[at].add(y)`, independent of the order of the additions.

    The error of a sum, per term, is at most 2**-30 (float64: 2**-59) times its largest term.

    Args:
        y: The terms, of dtype float32 or float64, with the axes of the result of `pick`.
        at: The index arrays of the terms.
        shape: The shape of the maps.
    """
    info = jnp.finfo(y.dtype)
    integer = np.dtype(np.int64 if info.bits == 64 else np.int32)
    digit, digits = _digits(y.shape[:-1], info.bits, info.nmant)
    finite = jnp.isfinite(y)
    exponent = jnp.frexp(jnp.where(finite, y, 0))[1].astype(np.int32)
    exponent = jnp.where(finite, jnp.where(y == 0, LOWEST, exponent), BEYOND)
    exponents = jnp.full(shape, LOWEST, np.int32).at[at].max(exponent)
    largest = exponents[at]
    rest = jnp.ldexp(jnp.where(finite, y, 0), jnp.where(largest < BEYOND, digit - largest, 0))
    totals = []
    for number in range(digits):
        part = jnp.round(rest)
        rest = (rest - part) * 2.0**digit
        if number < 2:  # nonfinite terms: the sum of their signs, their number
            sign = jnp.where(jnp.isinf(y), jnp.sign(y), 0) if number == 0 else 1
            part = jnp.where(largest < BEYOND, part, jnp.where(finite, 0, sign))
        totals.append(jnp.zeros(shape, integer).at[at].add(part.astype(integer)))
    signs, count = totals[:2]
    special = jnp.where(jnp.abs(signs) == count, jnp.sign(signs) * jnp.inf, jnp.nan)
    total = jnp.zeros(shape, y.dtype)
    for part in reversed(totals):
        total = total * 2.0**-digit + part.astype(y.dtype)
    total = jnp.ldexp(total, jnp.where(exponents < BEYOND, exponents - digit, 0))
    return jnp.where(exponents < BEYOND, total, special.astype(y.dtype))


def _digits(terms: Any, bits: int, mantissa: int) -> tuple[int, int]:
    """Bits per digit, such that `terms` digits sum without overflow, and the number of digits."""
    most = math.prod(terms) if all(isinstance(n, int) for n in terms) else MOST
    digit = bits - 2 - max(most - 1, 1).bit_length()
    return digit, max(-(-(mantissa + 7) // digit), 2)


def _at(image: jax.Array, row: jax.Array, column: jax.Array, shape: Any) -> tuple[Any, ...]:
    return image[:, None, None, None], 0, row, column, np.arange(shape[-1])


def _type(x: Any, image: Any, row: Any, column: Any, *, shape: Any, transposed: bool) -> Any:
    del image, column
    return result_type(x, shape if transposed else row.shape)


def _batch(operands: Any, dims: Any, **parameters: Any) -> Any:
    return _sampling.batched(_PICK, operands, dims, sites=3, **parameters)


_PICK = linear_map("jaxpool_pick", _code, ["shape"], abstract=_type, batch=_batch)
