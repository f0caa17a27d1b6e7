"""Elements moved to numbered places, each to a few at most, so that the way back is known, too.

    move(x, sources, targets)[p] = sum over j of x[sources[j][p]], without those that are -1

where `targets` are the same moves seen from the elements: element `e` goes to the places
`targets[j][e]`. So the transpose is `move` with the two exchanged. JAX would transpose the gather
into a scatter, which adds up one element after the other (3 million of them take 25 ms, and 2 so).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from jaxpool.engine import rows
from jaxpool.engine.isolate import isolate
from jaxpool.engine.primitives import batched, bind, implement, result_type
from jaxpool.engine.target import Target


def move(
    x: jax.Array, sources: Sequence[jax.Array], targets: Sequence[jax.Array], axis: int
) -> jax.Array:
    """Move elements along an axis.

    Args:
        x: The elements.
        sources: For each place the numbers of its elements, or -1 where there is none; each with
            every axis of `x`, of size 1 where numbers do not differ.
        targets: For each element the numbers of its places, or -1, likewise.
        axis: Along which axis, counted from the end.

    Returns:
        What stands at the places, of the dtype and shape of `x` but for that axis.
    """
    return bind(_move_p, x, *sources, *targets, count=len(sources), axis=axis)


def _move(x: jax.Array, *numbers: jax.Array, count: int, axis: int, target: Target) -> jax.Array:
    if x.shape[axis] == 0:
        return jnp.zeros(_shape(x, numbers[0], axis), x.dtype)

    def step(x: jax.Array, *sources: jax.Array) -> jax.Array:
        wide, terms = rows.wide(x) if count > 1 else x, []
        for source in sources:
            found = jnp.take_along_axis(wide, jnp.maximum(source, 0), axis, mode="clip")
            terms.append(jnp.where(source >= 0, found, jnp.zeros((), wide.dtype)))
        return functools.reduce(operator.add, terms).astype(x.dtype)

    return isolate(step, x, *numbers[:count], target=target)


def _shape(x: jax.Array, source: jax.Array, axis: int) -> tuple[int, ...]:
    shape = list(x.shape)
    shape[axis] = source.shape[axis]
    return tuple(shape)


_move_p = Primitive("jaxpool_move")
implement(_move_p, _move, ["count", "axis"])
batching.primitive_batchers[_move_p] = functools.partial(batched, _move_p)


@_move_p.def_abstract_eval
def _(x, *numbers, count, axis):
    del count
    return result_type(x, _shape(x, numbers[0], axis))


def _jvp(primals, tangents, **parameters):
    y, tangent = bind(_move_p, *primals, **parameters), tangents[0]
    if type(tangent) is ad.Zero:
        return y, ad.Zero(jax.typeof(y).to_tangent_aval())
    return y, bind(_move_p, tangent, *primals[1:], **parameters)


def _transpose(cotangent, x, *numbers, count, axis):
    none = [None] * len(numbers)
    if type(cotangent) is ad.Zero:
        return [ad.Zero(x.aval), *none]
    return [move(cotangent, numbers[count:], numbers[:count], axis), *none]


ad.primitive_jvps[_move_p] = _jvp
ad.primitive_transposes[_move_p] = _transpose
