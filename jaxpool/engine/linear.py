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

import jax
import numpy as np

from jaxpool.engine import layout, masked, sums
from jaxpool.engine.isolate import isolate, materialize
from jaxpool.engine.primitives import adjoint_pair, bind
from jaxpool.engine.sums import WHOLE, Share
from jaxpool.engine.target import Target
from jaxpool.window import Window

# From so many taps on, what tiles give back to their elements is worth storing first.
MANY = 5


def collect(
    x: jax.Array, window: Window, winner: jax.Array | None = None, share: Share = WHOLE
) -> jax.Array:
    """Sum of the (winning) elements of each window; input-shaped to output-shaped."""
    return bind(_COLLECT, x, *_present(winner), window=window, share=share)


def distribute(
    y: jax.Array, window: Window, winner: jax.Array | None = None, share: Share = WHOLE
) -> jax.Array:
    """Each input's sum over the windows that read it (and chose it): the adjoint of `collect`."""
    return bind(_DISTRIBUTE, y, *_present(winner), window=window, share=share)


def _present(winner: jax.Array | None) -> tuple[jax.Array, ...]:
    return () if winner is None else (winner,)


def collect_code(
    x: jax.Array, *winner: jax.Array, window: Window, share: Share = WHOLE, target: Target
) -> jax.Array:
    """What `collect` computes."""
    if not winner:
        return sums.windowed_sum(x, window, share, target=target)
    return _masked(masked.collect, x, *winner, window=window, target=target)


def distribute_code(
    y: jax.Array, *winner: jax.Array, window: Window, share: Share = WHOLE, target: Target
) -> jax.Array:
    """What `distribute` computes."""
    if not winner:
        return sums.spread(y, window, share, target=target)
    every = layout.holes(window, y.shape, target=target)
    if every is not None:
        zero = np.zeros((), y.dtype)
        y = isolate(lambda y: layout.with_holes(y, window, zero), y, target=target)
        none = masked.no_winner(winner[0].dtype)
        winner = (isolate(lambda i: layout.with_holes(i, window, none), *winner, target=target),)
        window = every
    if window.is_tiling and window.taps >= MANY:
        y = materialize(y, target=target)  # which would be made again for each tap
    return _masked(masked.distribute, y, *winner, window=window, target=target)


def _masked(step, x: jax.Array, winner: jax.Array, *, window: Window, target: Target) -> jax.Array:
    if window.is_tiling:
        return step(x, winner=winner, window=window, target=target)
    by = layout.of(window, x.shape, target=target)

    def alone(x: jax.Array, winner: jax.Array) -> jax.Array:
        return step(x, winner=winner, window=by.window, target=target)

    return by.restore(isolate(alone, by.lay(x), by.lay(winner), target=target))


_COLLECT, _DISTRIBUTE = adjoint_pair("jaxpool", collect_code, distribute_code, ["window", "share"])
