"""One element of a map for each bin and channel, and its adjoint, as two linear primitives.

    pick(x)[r, i, j, c] = x[image[r], row[r, i, j, c], column[r, i, j, c], c]

JAX would transpose the gather into a scatter with addition. On GPU that adds up floats in no fixed
order, and so differs from run to run. There, integers are added up, whose sum is the same in every
order: each value is written as a few digits of many bits, relative to the largest value that the
same element receives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad

from jaxpool.engine.plan.target import GPU, GPUS, Target
from jaxpool.engine.rules.primitives import bind, define, is_zero, result_type, zero_tangent
from jaxpool.pooling import arguments, sampling

# Exponents: of what is smaller than 2**-100, and of what is not finite.
LOWEST, BEYOND = -100, 2**12

# How many terms an unknown number of them may have.
MOST = 2**22


def pick(maps: jax.Array, image: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """The elements at these places, `(boxes, bins, bins, channels)`.

    Args:
        maps: As `regions.Regions` has them, of one group.
        image: The image of each box.
        row: The row of each element, shaped as the result.
        column: Its column.
    """
    return bind(_pick_p, maps, image, row, column, shape=maps.shape)


def _pick(maps: jax.Array, *sites: jax.Array, shape: Any, target: Target) -> jax.Array:
    del target
    image, row, column = sites
    return maps[_at(image, row, column, shape)]


def _place(
    y: jax.Array, image: jax.Array, row: jax.Array, column: jax.Array, *, shape: Any, target: Target
) -> jax.Array:
    at, wide = _at(image, row, column, shape), y.astype(arguments.accumulator(y))
    if target in (GPU, GPUS):
        return add_up(wide, at, shape).astype(y.dtype)
    return jnp.zeros(shape, wide.dtype).at[at].add(wide).astype(y.dtype)


def add_up(y: jax.Array, at: tuple[Any, ...], shape: Any) -> jax.Array:
    """`jnp.zeros(shape).at[at].add(y)`, the same in every order of the additions.

    The error of a sum is at most 2**-30 (float64: 2**-59) of its largest term for each term.

    Args:
        y: The terms, in float32 or float64, their axes as in `pick`.
        at: Where to add each of them.
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
        if number < 2:  # where a term is not finite: the sum of the signs, and how many are not
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
    """The bits of a digit, of which so many may be added up, and how many digits there are."""
    most = math.prod(terms) if all(isinstance(n, int) for n in terms) else MOST
    digit = bits - 2 - max(most - 1, 1).bit_length()
    return digit, max(-(-(mantissa + 7) // digit), 2)


def _at(image: jax.Array, row: jax.Array, column: jax.Array, shape: Any) -> tuple[Any, ...]:
    return image[:, None, None, None], 0, row, column, np.arange(shape[-1])


def _pick_type(maps: Any, image: Any, row: Any, column: Any, *, shape: Any) -> Any:
    del image, column, shape
    return result_type(maps, row.shape)


def _place_type(y: Any, *sites: Any, shape: Any) -> Any:
    del sites
    return result_type(y, shape)


def _primitive(
    name: str, code: Callable[..., Any], abstract: Callable[..., Any], adjoint: Callable[[], Any]
) -> Primitive:
    """A primitive that is linear in its first operand; `adjoint()` is its transpose."""

    def jvp(primals: Any, tangents: Any, *, shape: Any) -> Any:
        out, tangent = bind(primitive, *primals, shape=shape), tangents[0]
        if is_zero(tangent):
            return out, zero_tangent(out)
        return out, bind(primitive, tangent, *primals[1:], shape=shape)

    def transpose(cotangent: Any, x: Any, *sites: Any, shape: Any) -> Any:
        nothing = [None] * len(sites)
        if is_zero(cotangent):
            return [ad.Zero(x.aval), *nothing]
        return [bind(adjoint(), cotangent, *sites, shape=shape), *nothing]

    def batch(operands: Any, dims: Any, **parameters: Any) -> Any:
        return sampling.batched(primitive, operands, dims, sites=3, **parameters)

    primitive = define(
        name, code, ["shape"], jvp=jvp, abstract=abstract, batch=batch, transpose=transpose
    )
    return primitive


_pick_p = _primitive("jaxpool_pick", _pick, _pick_type, lambda: _place_p)
_place_p = _primitive("jaxpool_place", _place, _place_type, lambda: _pick_p)
