"""Compiles windowed reductions to XLA; the entry points are `reduce`, `arg_reduce` and `fold`.

Three packages, each of which imports only from those before it:

    plan    the sequence of windows and the method of each, in plain integers
    lower   the XLA operations that compute one step, for each target
    rules   the primitives that JAX differentiates, batches and lowers
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxpool.engine.lower.kernel_sums import Kernel
from jaxpool.engine.lower.precision import PLAIN, Accumulation
from jaxpool.engine.plan import planner
from jaxpool.engine.plan.planner import separable, weighted_steps
from jaxpool.engine.rules import linear, winner
from jaxpool.engine.rules.elements import Taps, choose, occupied, ones
from jaxpool.engine.rules.folds import fold
from jaxpool.engine.rules.invertible_gather import invertible_gather
from jaxpool.engine.rules.primitives import bind
from jaxpool.engine.rules.weighted import weighted_sum
from jaxpool.engine.rules.winner import RESIDUAL, place_dtype
from jaxpool.monoid import SUM, Monoid
from jaxpool.window import Window

__all__ = [
    "PLAIN",
    "RESIDUAL",
    "Accumulation",
    "Kernel",
    "Taps",
    "arg_reduce",
    "choose",
    "fold",
    "invertible_gather",
    "occupied",
    "ones",
    "place_dtype",
    "reduce",
    "separable",
    "weighted_steps",
    "weighted_sum",
]


@functools.partial(
    jax.jit, static_argnames=("monoid", "window", "method", "accumulation"), inline=True
)
def reduce(
    x: jax.Array,
    monoid: Monoid,
    window: Window,
    *,
    where: jax.Array | None = None,
    method: str = "auto",
    accumulation: Accumulation = PLAIN,
) -> jax.Array:
    """Reduce every window of `x`.

    Args:
        x: The input.
        monoid: The reduction.
        window: The geometry, resolved for the shape of `x`.
        where: Boolean mask of the shape of `x`; False leaves an element out.
        method: One of `planner.METHODS`.
        accumulation: For sums, the accumulation dtype and the divisors.

    Returns:
        The reduced array, of the dtype of `x`.
    """
    if where is not None:
        x = jnp.where(where, x, monoid.identity(x.dtype))
    if monoid is SUM:
        return linear.windowed_sum(x, window, accumulation=accumulation)
    plan = planner.steps(window, method, x.dtype)
    return bind(winner.EXTREME, x, where, monoid=monoid, window=window, plan=plan)


@functools.partial(jax.jit, static_argnames=("monoid", "window", "method"), inline=True)
def arg_reduce(
    x: jax.Array,
    monoid: Monoid,
    window: Window,
    *,
    where: jax.Array | None = None,
    method: str = "auto",
) -> tuple[jax.Array, jax.Array]:
    """`reduce` with the index of each winner: row-major in the pooled plane, -1 for none."""
    if where is not None:
        x = jnp.where(where, x, monoid.identity(x.dtype))
    plan = planner.steps(window, method, x.dtype)
    y, winners = winner.with_winners(monoid, window, plan, x, where)
    return y, winner.places(window, plan, winners)
