"""The two linear maps of windowed reduction, as primitives that are each other's transpose.

    collect(x)[o]    = sum over taps t of x[i(o, t)]     where  winner[o] == t
    distribute(y)[i] = sum over outputs o of y[o]        where  i == i(o, winner[o])

Without a winner every tap counts: then `collect` is the windowed sum. They are primitives, and
not plain functions, for one reason: JAX then keeps the winner, one small integer an output, as
the only residual of a derivative, and both directions lower to code chosen for them. (Transposed
by JAX, the slices of `collect` would become scatters or pads with holes, and their masks, one an
output and tap, would all be kept.)
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxpool.engine import masked, sums
from jaxpool.engine.apart import apart
from jaxpool.window import Window


def collect(x: jax.Array, window: Window, winner: jax.Array | None = None) -> jax.Array:
    """Sum of the (winning) elements of each window; input-shaped to output-shaped."""
    return _collect_p.bind(x, *_present(winner), window=window)


def distribute(y: jax.Array, window: Window, winner: jax.Array | None = None) -> jax.Array:
    """Each input's sum over the windows that read it (and chose it): the adjoint of `collect`."""
    return _distribute_p.bind(y, *_present(winner), window=window)


def _present(winner: jax.Array | None) -> tuple[jax.Array, ...]:
    return () if winner is None else (winner,)


def _collect_impl(x: jax.Array, *winner: jax.Array, window: Window) -> jax.Array:
    if not winner:
        return sums.windowed_sum(x, window)
    return _masked(masked.collect, x, *winner, window=window)


def _distribute_impl(y: jax.Array, *winner: jax.Array, window: Window) -> jax.Array:
    if not winner:
        return sums.spread(y, window)
    return _masked(masked.distribute, y, *winner, window=window)


def _masked(step, x: jax.Array, winner: jax.Array, *, window: Window) -> jax.Array:
    step = functools.partial(step, window=window)
    if window.is_tiling:
        return step(x, winner=winner)
    return apart(lambda x, winner: step(x, winner=winner), x, winner)


def _primitive(name, impl, size_after) -> Primitive:
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(impl, static_argnames="window"))

    def abstract(x, *_, window):
        shape = list(x.shape)
        for position, axis in zip(window.positions, window.axes, strict=True):
            shape[position] = size_after(axis)
        return x.update(shape=tuple(shape), weak_type=False)

    def batch(operands, dims, *, window):
        size = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)
        moved = [
            lax.broadcast(x, (size,)) if d is None else jnp.moveaxis(x, d, 0)
            for x, d in zip(operands, dims, strict=True)
        ]
        return primitive.bind(*moved, window=window), 0

    def jvp(primals, tangents, *, window):
        out = primitive.bind(*primals, window=window)
        tangent, rest = tangents[0], primals[1:]
        if type(tangent) is ad.Zero:
            return out, ad.Zero(jax.typeof(out).to_tangent_aval())
        return out, primitive.bind(tangent, *rest, window=window)

    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batch
    ad.primitive_jvps[primitive] = jvp
    mlir.register_lowering(primitive, mlir.lower_fun(impl, multiple_results=False))
    return primitive


_collect_p = _primitive("jaxpool_collect", _collect_impl, lambda axis: axis.output)
_distribute_p = _primitive("jaxpool_distribute", _distribute_impl, lambda axis: axis.size)


def _transpose(adjoint: Primitive, cotangent, x, *winner, window):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(x.aval), *(None for _ in winner)]
    return [adjoint.bind(cotangent, *winner, window=window), *(None for _ in winner)]


ad.primitive_transposes[_collect_p] = functools.partial(_transpose, _distribute_p)
ad.primitive_transposes[_distribute_p] = functools.partial(_transpose, _collect_p)
