"""Compiles windowed reductions to XLA; the entry points are `reduce`, `arg_reduce` and `fold`.

The operators of `jaxpool` check their arguments, resolve them to a `Window`, and call these
functions.

Three packages, each of which imports only from those before it:

    plan    the sequence of windows and the method of each, in plain integers
    lower   the XLA operations that compute one step, for each target
    rules   the primitives that JAX differentiates, batches and lowers
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxpool import checks
from jaxpool.engine.lower.kernel_sums import Kernel
from jaxpool.engine.lower.precision import PLAIN, Accumulation
from jaxpool.engine.plan import planner
from jaxpool.engine.plan.planner import separable, weighted_steps
from jaxpool.engine.rules import linear, winner
from jaxpool.engine.rules.elements import Taps, choose, occupied, ones
from jaxpool.engine.rules.filters import filtered_sum
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
    "filtered_sum",
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
    """Reduce every window of `x`, with a choice of the method.

        y[o] = combine over taps t of x[o * stride + t * dilation - low]

    Args:
        x: Array of a floating, integer or bool dtype (sums: not bool).
        monoid: The reduction: `MAX`, `MIN` or `SUM` of `jaxpool.monoid`.
        window: The geometry, resolved for the shape of `x` by `jaxpool.window.Window.resolve`.
        where: Boolean mask of the shape of `x`; False leaves an element out.
        method: How maxima and minima are computed: `"direct"`, `"separable"`, `"doubling"`, or
            `"auto"` to let the planner choose (see `jaxpool.engine.plan.planner`). Sums take the
            planner's method always.
        accumulation: For sums, the accumulation dtype and the divisors.

    Returns:
        Array of shape `window.output_shape(x.shape)` and the dtype of `x`. A window without an
        element gives the identity of the reduction.

    Raises:
        ValueError: `method` is none of these.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import engine
        >>> from jaxpool.monoid import MAX
        >>> from jaxpool.window import Window
        >>> x = jnp.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1)
        >>> window = Window.resolve(x.shape, 2, strides=1)
        >>> engine.reduce(x, MAX, window, method="direct")[0, :, 0]
        Array([5., 5., 3.], dtype=float32)
    """
    if where is not None:
        x = jnp.where(where, x, monoid.identity(x.dtype))
    if monoid is SUM:
        checks.choice("method", method, planner.METHODS)  # else in `planner.steps`
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
    """`reduce` for maxima and minima, with the index of each winner.

    Args:
        x: Array of a floating, integer or bool dtype.
        monoid: `MAX` or `MIN`.
        window: The geometry, resolved for the shape of `x`.
        where: Boolean mask of the shape of `x`; False leaves an element out.
        method: As in `reduce`.

    Returns:
        The result of `reduce`, and the indices: row-major in the pooled plane, -1 for a window
        without an element; int32, or int64 for planes of more than 2^31 - 1 elements.

    Raises:
        ValueError: `method` is unknown, or the plane is too large for int32 without
            `jax_enable_x64`.
    """
    if where is not None:
        x = jnp.where(where, x, monoid.identity(x.dtype))
    plan = planner.steps(window, method, x.dtype)
    y, winners = winner.with_winners(monoid, window, plan, x, where)
    return y, winner.places(window, plan, winners)
