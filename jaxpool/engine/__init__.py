"""How one windowed reduction becomes XLA. The doors are `reduce`, `arg_reduce` and `fold`.

reduce -> planner.steps -> winner.extreme (max, min) or linear.collect (sums) -> lax
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxpool.engine import linear, planner, winner
from jaxpool.engine.elements import Taps, choose, occupied, ones
from jaxpool.engine.folds import fold
from jaxpool.engine.kernel_sums import Kernel
from jaxpool.engine.moves import move
from jaxpool.engine.sums import WHOLE, Share
from jaxpool.engine.weighted import collect, parts
from jaxpool.engine.winner import RESIDUAL, place_dtype
from jaxpool.monoid import SUM, Monoid
from jaxpool.window import Window

__all__ = [
    "RESIDUAL",
    "WHOLE",
    "Kernel",
    "Share",
    "Taps",
    "arg_reduce",
    "choose",
    "collect",
    "fold",
    "move",
    "occupied",
    "ones",
    "parts",
    "place_dtype",
    "reduce",
]


@functools.partial(jax.jit, static_argnames=("monoid", "window", "method", "share"), inline=True)
def reduce(
    x: jax.Array,
    monoid: Monoid,
    window: Window,
    *,
    where: jax.Array | None = None,
    method: str = "auto",
    share: Share = WHOLE,
) -> jax.Array:
    """Reduce every window of `x`.

    Args:
        x: The input.
        monoid: What to reduce with.
        window: The geometry, resolved for the shape of `x`.
        where: Boolean mask of the shape of `x`; False elements do not exist.
        method: One of `planner.METHODS`.
        share: For sums, the precision of adding up, and what to divide by.

    Returns:
        The reduced array, of the dtype of `x`.
    """
    if where is not None:
        x = jnp.where(where, x, monoid.identity(x.dtype))
    if monoid is SUM:
        return linear.collect(x, window, share=share)
    return winner.extreme(monoid, window, planner.steps(window, method, x.dtype), x, where)


@functools.partial(jax.jit, static_argnames=("monoid", "window", "method"), inline=True)
def arg_reduce(
    x: jax.Array,
    monoid: Monoid,
    window: Window,
    *,
    where: jax.Array | None = None,
    method: str = "auto",
) -> tuple[jax.Array, jax.Array]:
    """As `reduce`, and where the winner stands: row-major in the pooled plane, -1 for none."""
    if where is not None:
        x = jnp.where(where, x, monoid.identity(x.dtype))
    plan = planner.steps(window, method, x.dtype)
    y, winners = winner.with_winners(monoid, window, plan, x, where)
    return y, winner.places(window, plan, winners)
