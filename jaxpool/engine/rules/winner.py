"""Maxima and minima with their winners, which determine the derivatives.

A maximum is piecewise linear: near any point it copies the winning element. So a step returns its
value and, if a derivative is computed, the number of the winning tap. The tangent is the tangent of
the winner (`linear.windowed_sum`), and the cotangent goes to the winner (its transpose), so every
mode and order of differentiation has the same Jacobian.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from jaxpool.engine.lower import masked, native
from jaxpool.engine.lower.extreme import Plan, extreme_with_winners, steps, value
from jaxpool.engine.lower.extreme import extreme as extreme_code
from jaxpool.engine.lower.row_gather import along
from jaxpool.engine.plan import dispatch
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules import linear
from jaxpool.engine.rules.primitives import (
    bind,
    define,
    is_zero,
    linear_map,
    result_type,
    zero_tangent,
)
from jaxpool.monoid import Monoid
from jaxpool.window import Window

RESIDUAL = "jaxpool_winner"

_PARAMETERS = ["monoid", "window", "plan"]

# Most elements that int32 can index, counted from 1.
MOST_PLACES = 2**31 - 1


def with_winners(
    monoid: Monoid, window: Window, plan: Plan, x: jax.Array, where: jax.Array | None
) -> tuple[jax.Array, list[jax.Array]]:
    """The extreme of every window, and the winning taps of each step of the plan."""
    y, *winners = bind(_WINNERS, x, where, monoid=monoid, window=window, plan=plan)
    return y, [checkpoint_name(index, RESIDUAL) for index in winners]


def follow(x: jax.Array, plan: Plan, winners: Sequence[jax.Array]) -> jax.Array:
    """Gather input-shaped numbers at the winners of each output; 0 for empty windows."""
    for window, index in zip(plan, winners, strict=True):
        x = linear.windowed_sum(x, window, index)
    return x


def _follow_code(
    x: jax.Array,
    source: jax.Array,
    *winners: jax.Array,
    monoid: Monoid,
    window: Window,
    plan: Plan,
    transposed: bool,
    target: Target,
) -> jax.Array:
    """The linear map `follow`, transposed by the winners or, on TPU, by `select_and_scatter`.

    A program computes `source` or `winners` only if its target reads them.
    """
    if (own := steps(plan, window, target)) != plan:
        plan = own
        found = extreme_with_winners(source, monoid=monoid, window=window, plan=plan, target=target)
        winners = tuple(found[1:])
    if not transposed:
        return follow(x, plan, winners)
    if dispatch.scatters_natively(target, window):
        extremes = functools.partial(value, monoid=monoid, target=target)
        return native.scatter(x, source, monoid, window, extremes, divided=target.is_divided)
    for step, index in reversed(list(zip(plan, winners, strict=True))):
        x = linear.windowed_sum(x, step, index, transposed=True)
    return x


_FOLLOW = linear_map("jaxpool_follow_winner", _follow_code, _PARAMETERS)


def place_dtype(elements: int, array: str = "x") -> np.dtype:
    """The integer dtype of flat indices into a plane of `elements` elements of argument `array`.

    Raises:
        ValueError: int32 does not hold them, and int64 is not enabled.
    """
    if elements <= MOST_PLACES:
        return np.dtype(np.int32)
    if not jax.config.read("jax_enable_x64"):
        raise ValueError(
            f"{array} must have at most {MOST_PLACES} elements in a plane for indices of int32, "
            f"got {elements}; jax.config.update('jax_enable_x64', True) allows int64"
        )
    return np.dtype(np.int64)


def places(window: Window, plan: Plan, winners: list[jax.Array]) -> jax.Array:
    """The indices of the winners of a whole pooling: row-major in the pooled plane, -1 for none.

    The tap numbers of the first step determine the indices. Later steps propagate them like a
    tangent, counted from 1, so that a window without an element has 0.
    """
    (step, *later), (index, *rest) = plan, winners
    dtype = place_dtype(math.prod(axis.size for axis in window.axes))
    tap, place, row = index.astype(dtype), np.array(1, dtype), 1
    stepped = dict(zip(step.positions, step.axes, strict=True))
    for position, axis in reversed(list(zip(window.positions, window.axes, strict=True))):
        at = np.arange(axis.size)
        if part := stepped.get(position):
            at = part.inputs(0)
            place += tap % part.window * np.array(part.dilation * row, dtype)
            tap = tap // part.window
        place += jnp.asarray(along((at * row).astype(dtype), position, index.ndim))
        row *= axis.size
    place = jnp.where(index == masked.no_winner(index.dtype), 0, place)
    return follow(place, tuple(later), rest) - 1


def _tangent(primals, tangents, y, winners, **parameters):
    """The tangent of the value: the tangent at the winners."""
    if is_zero(tangents[0]):
        return zero_tangent(y)
    x, *masks = primals
    if masks:  # `select_and_scatter` cannot distinguish masked elements
        return follow(tangents[0], parameters["plan"], winners)
    return bind(_FOLLOW, tangents[0], x, *winners, transposed=False, **parameters)


def _with_tangent(primals, tangents, **parameters):
    (x, where) = primals if len(primals) > 1 else (*primals, None)
    y, winners = with_winners(x=x, where=where, **parameters)
    return y, winners, _tangent(primals, tangents, y, winners, **parameters)


def _extreme_jvp(primals, tangents, **parameters):
    y, _, tangent = _with_tangent(primals, tangents, **parameters)
    return y, tangent


def _winners_jvp(primals, tangents, **parameters):
    """The winners have no tangents."""
    y, winners, tangent = _with_tangent(primals, tangents, **parameters)
    return [y, *winners], [tangent, *map(zero_tangent, winners)]


def _winners_type(x, *masks, monoid, window, plan):
    del masks, monoid, window
    winners, shape = [], x.shape
    for step in plan:
        shape = step.output_shape(shape)
        winners.append(result_type(x, shape, masked.index_dtype(step)))
    return [result_type(x, shape), *winners]


EXTREME = define("jaxpool_extreme", extreme_code, _PARAMETERS, jvp=_extreme_jvp)
_WINNERS = define(
    "jaxpool_winners",
    extreme_with_winners,
    _PARAMETERS,
    jvp=_winners_jvp,
    abstract=_winners_type,
    multiple_results=True,
)
