"""The two linear maps of windowed reduction, as primitives that are each other's transpose.

    collect(x)[o]    = sum over taps t of x[i(o, t)]     where  winner[o] == t
    distribute(y)[i] = sum over outputs o of y[o]        where  i == i(o, winner[o])

Without a winner every tap counts: then `collect` is the windowed sum, or each output's share of it
(a mean), and `distribute` spreads shares. They are primitives, and
not plain functions, for one reason: JAX then keeps the winner, one small integer an output, as
the only residual of a derivative, and both directions lower to code chosen for them. (Transposed
by JAX, the slices of `collect` would become scatters or pads with holes, and their masks, one an
output and tap, would all be kept.)
"""

from __future__ import annotations

import functools

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from jaxpool.engine import layout, masked, sums
from jaxpool.engine.apart import apart, stored
from jaxpool.engine.primitives import batched, bind, implement, result_type
from jaxpool.engine.sums import WHOLE, Share
from jaxpool.window import Window

# From so many taps on, what tiles give back to their elements is worth storing first.
MANY = 5


def collect(
    x: jax.Array, window: Window, winner: jax.Array | None = None, share: Share = WHOLE
) -> jax.Array:
    """Sum of the (winning) elements of each window; input-shaped to output-shaped."""
    return bind(_collect_p, x, *_present(winner), window=window, share=share)


def distribute(
    y: jax.Array, window: Window, winner: jax.Array | None = None, share: Share = WHOLE
) -> jax.Array:
    """Each input's sum over the windows that read it (and chose it): the adjoint of `collect`."""
    return bind(_distribute_p, y, *_present(winner), window=window, share=share)


def _present(winner: jax.Array | None) -> tuple[jax.Array, ...]:
    return () if winner is None else (winner,)


def _collect(
    x: jax.Array, *winner: jax.Array, window: Window, share: Share, cpu: bool
) -> jax.Array:
    if not winner:
        return sums.windowed_sum(x, window, share, cpu=cpu)
    return _masked(masked.collect, x, *winner, window=window, cpu=cpu)


def _distribute(
    y: jax.Array, *winner: jax.Array, window: Window, share: Share, cpu: bool
) -> jax.Array:
    if not winner:
        return sums.spread(y, window, share, cpu=cpu)
    every = layout.holes(window, y.shape, cpu=cpu)
    if every is not None:
        zero = np.zeros((), y.dtype)
        y = apart(lambda y: layout.with_holes(y, window, zero), y, cpu=cpu)
        none = masked.no_winner(winner[0].dtype)
        winner = (apart(lambda i: layout.with_holes(i, window, none), *winner, cpu=cpu),)
        window = every
    if window.is_tiling and window.taps >= MANY:
        y = stored(y, cpu=cpu)  # which would be made again for each tap
    return _masked(masked.distribute, y, *winner, window=window, cpu=cpu)


def _masked(step, x: jax.Array, winner: jax.Array, *, window: Window, cpu: bool) -> jax.Array:
    if window.is_tiling:
        return step(x, winner=winner, window=window, cpu=cpu)
    by = layout.of(window, x.shape, cpu=cpu)

    def apart_from_others(x: jax.Array, winner: jax.Array) -> jax.Array:
        return step(x, winner=winner, window=by.window, cpu=cpu)

    return by.restore(apart(apart_from_others, by.lay(x), by.lay(winner), cpu=cpu))


def _primitive(name, code, size_after) -> Primitive:
    primitive = Primitive(name)
    implement(primitive, code, ["window", "share"])

    def abstract(x, *_, window, share):
        del share
        shape = list(x.shape)
        for position, axis in zip(window.positions, window.axes, strict=True):
            shape[position] = size_after(axis)
        return result_type(x, shape)

    def jvp(primals, tangents, **parameters):
        out = bind(primitive, *primals, **parameters)
        tangent, rest = tangents[0], primals[1:]
        if type(tangent) is ad.Zero:
            return out, ad.Zero(jax.typeof(out).to_tangent_aval())
        return out, bind(primitive, tangent, *rest, **parameters)

    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = functools.partial(batched, primitive)
    ad.primitive_jvps[primitive] = jvp
    return primitive


_collect_p = _primitive("jaxpool_collect", _collect, lambda axis: axis.output)
_distribute_p = _primitive("jaxpool_distribute", _distribute, lambda axis: axis.size)


def _transpose(adjoint: Primitive, cotangent, x, *winner, **parameters):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(x.aval), *(None for _ in winner)]
    return [bind(adjoint, cotangent, *winner, **parameters), *(None for _ in winner)]


ad.primitive_transposes[_collect_p] = functools.partial(_transpose, _distribute_p)
ad.primitive_transposes[_distribute_p] = functools.partial(_transpose, _collect_p)
