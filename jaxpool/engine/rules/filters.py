"""The primitive for windowed sums with one factor per tap, where the factors may be learned.

The form

    F(x, w, g) = sum over outputs o and taps t of g[o] w[t] x[i(o, t)]

is linear in the inputs x, the filter w and the outputs g. Its derivatives with respect to each are

    outputs:   sum over taps t of w[t] x[i(o, t)]              for every output o
    inputs:    sum over outputs o and taps t of g[o] w[t]      for every input i = i(o, t)
    filter:    sum over outputs o of g[o] x[i(o, t)]           for every tap t

The primitive computes one of these, from the two others. Each is linear in each of its operands.
Its transpose with respect to an operand is the derivative of F that has the name of this operand.
So derivatives of any order consist of these three.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.interpreters import ad

from jaxpool.engine.lower import filters
from jaxpool.engine.lower.isolate import isolate
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules.primitives import bind, define, is_zero, leading, result_type
from jaxpool.window import Window

_NAMES = "inputs", "filter", "outputs"


def filtered_sum(x: jax.Array, w: jax.Array, window: Window) -> jax.Array:
    """The sum of the elements of each window, each times its factor; padding counts as 0.

    Args:
        x: The elements.
        w: For each tap, in row-major order, an array that broadcasts to the output and has size 1
            along the pooled axes; its rank is that of `x`.
        window: The geometry.
    """
    return _derivative("outputs", {"inputs": x, "filter": w}, window=window, factors=w.shape)


def _derivative(name: str, others: dict[str, jax.Array], **rest: Any) -> jax.Array:
    """The derivative of F with respect to `name`, from the two others."""
    return bind(_FILTER, *(others[each] for each in _NAMES if each != name), name=name, **rest)


def _code(
    a: jax.Array,
    b: jax.Array,
    *,
    name: str,
    window: Window,
    factors: tuple[int, ...],
    target: Target,
) -> jax.Array:
    if 0 in window.output:
        return jnp.zeros(_shape(a.shape, b.shape, name, window, factors), a.dtype)
    form = {"outputs": filters.outputs, "inputs": filters.inputs, "filter": filters.factors}[name]
    step = functools.partial(form, shape=factors, window=window, target=target)
    fusible = name == "outputs" or window.is_tiling
    return isolate(step, a, b, target=target, fusible=fusible)


def _jvp(primals: Any, tangents: Any, **rest: Any) -> tuple[jax.Array, jax.Array]:
    a, b = primals
    changed = (tangents[0], b), (a, tangents[1])
    terms = [
        bind(_FILTER, *operands, **rest)
        for operands, tangent in zip(changed, tangents, strict=True)
        if not is_zero(tangent)
    ]
    return bind(_FILTER, a, b, **rest), functools.reduce(operator.add, terms)


def _transpose(cotangent: Any, *operands: Any, name: str, **rest: Any) -> list[Any]:
    """The derivative with respect to the unknown operand, from the other one and `name`'s."""
    names = [each for each in _NAMES if each != name]
    unknown = next(i for i, operand in enumerate(operands) if ad.is_undefined_primal(operand))
    result: list[Any] = [None, None]
    if is_zero(cotangent):
        result[unknown] = ad.Zero(operands[unknown].aval)
    else:
        others = {name: cotangent, names[1 - unknown]: operands[1 - unknown]}
        result[unknown] = _derivative(names[unknown], others, **rest)
    return result


def _type(a: Any, b: Any, *, name: str, window: Window, factors: tuple[int, ...]) -> ShapedArray:
    like = b if name == "inputs" else a
    return result_type(like, _shape(a.shape, b.shape, name, window, factors))


def _shape(
    a: Sequence[Any], b: Sequence[Any], name: str, window: Window, factors: tuple[int, ...]
) -> tuple[Any, ...]:
    if name == "filter":
        return factors
    elements, full = (a, window.output_shape) if name == "outputs" else (b, window.input_shape)
    return lax.broadcast_shapes(full(elements), full(factors[1:]))


def _batch(operands: Any, dims: Any, *, name: str, factors: tuple[int, ...], **rest: Any) -> Any:
    """Adds a leading axis to inputs and outputs; in the filter it comes after the taps."""
    size = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)
    names = [each for each in _NAMES if each != name]
    moved = []
    for each, x, d in zip(names, leading(operands, dims), dims, strict=True):
        x = lax.broadcast(x, (size if each != "filter" else 1,)) if d is None else x
        moved.append(jnp.moveaxis(x, 0, 1) if each == "filter" else x)
    shape = factors[0], size, *factors[1:]
    if name != "filter":
        shape = moved[names.index("filter")].shape
    return bind(_FILTER, *moved, name=name, factors=shape, **rest), int(name == "filter")


_FILTER = define(
    "jaxpool_filtered_sum",
    _code,
    ["name", "window", "factors"],
    jvp=_jvp,
    abstract=_type,
    batch=_batch,
    transpose=_transpose,
)
