"""The exponential mean of every window, numerically stable for every temperature.

    M = (1/T) log(sum_i c_i exp(T x_i) / sum_i c_i);        the average at T = 0

with weights c. The plain formula overflows for large |T x|, and divides a rounding error by T for
small |T x|. So every number is represented by a pair: a level L and an excess Q, where the number
is L + Q. The level is an element of the window and a constant for differentiation; initially it is
the number itself. Differences of nearby levels are exact, exp(u) - 1 and log(1 + z) are computed
without cancellation near 0, and the derivatives are written in forms without cancellation. With
d_i = L_i - L + Q_i - Q,

    dQ/dQ_i = c_i exp(T d_i) / sum c
    dQ/dT   = sum_i c_i d_i^2 h(T d_i) / sum c,        h(u) = (exp(u) (u - 1) + 1) / u^2

where h is analytic and h(0) = 1/2. The derivatives are expressed in Q, so they can be
differentiated again.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxpool import engine
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules.primitives import bind, define, is_zero, zero_tangent
from jaxpool.monoid import MAX, SUM
from jaxpool.window import Window

# |u| below which power series are used. 9 terms are then accurate to float32, 15 to float64.
SERIES = 0.5
# Below this u, exp(u) is negligible relative to 1.
LOWEST = -200.0
# Largest number of taps for log(1 + z) alone: near z = -1 its error is about one ulp per tap.
LOG1P_TAPS = 16


def log_mean_exp(
    x: jax.Array, temperature: jax.Array, where: jax.Array | None, window: Window
) -> jax.Array:
    """The exponential mean of the elements of every window; 0 for an empty window.

    The derivative of an infinite mean is 0.

    Args:
        x: Array of dtype float32 or wider.
        temperature: Array of the dtype of `x` that broadcasts to the output, of size 1 along the
            pooled axes.
        where: Mask; False leaves an element out.
        window: The geometry.
    """
    weights = None
    if where is not None:
        x, weights = jnp.where(where, x, 0), where.astype(x.dtype)
    elif any(min(axis.counts(include_pad=False), default=0) < axis.window for axis in window.axes):
        weights = engine.ones(window, x.ndim, x.dtype)
    temperature = temperature.reshape((1,) * (x.ndim - temperature.ndim) + temperature.shape)
    sign = jnp.where(temperature < 0, -1, 1).astype(x.dtype)
    level, excess = x, None
    for part in engine.weighted_steps(window):
        exists = None if weights is None else jnp.broadcast_to(weights > 0, x.shape)
        above = sign * engine.reduce(sign * lax.stop_gradient(level), MAX, part, where=exists)
        above = jnp.where(jnp.isinf(above), 0, above)
        x = exponential_mean(level, excess, weights, above, temperature, part)
        infinite = jnp.isinf(x)
        level = jnp.where(infinite, lax.stop_gradient(x), above)
        excess = jnp.where(infinite, 0, x)
        weights = None if weights is None else engine.reduce(weights, SUM, part)
    return level if excess is None else level + excess


def exponential_mean(
    level: jax.Array,
    excess: jax.Array | None,
    weights: jax.Array | None,
    above: jax.Array,
    temperature: jax.Array,
    window: Window,
) -> jax.Array:
    """The excess of the weighted exponential mean of every window; 0 if no weight is positive.

    Args:
        level: The level of every element; infinite for an infinite element.
        excess: The difference between every element and its level, finite. None if it is 0
            everywhere; the mean is then differentiated with respect to `level`.
        weights: The weight of every element, at least 0; None if all weights are equal.
        above: The level of the mean: the largest finite level in the window (the smallest one for
            negative temperatures).
        temperature: The temperature, as in `log_mean_exp`.
        window: The geometry.
    """
    operands = level, excess, weights, above, temperature
    have = {"has_excess": excess is not None, "has_weights": weights is not None}
    return bind(_exponential_mean_p, *operands, window=window, **have)


class _Elements(NamedTuple):
    """The operands of the primitive: three arrays of elements, then what windows have in common."""

    level: jax.Array
    excess: jax.Array | None
    weights: jax.Array | None
    above: jax.Array
    temperature: jax.Array

    @classmethod
    def of(cls, operands: Sequence[Any], has_excess: bool, has_weights: bool) -> _Elements:
        level, *between, above, temperature = operands
        excess = between[0] if has_excess else None
        return cls(level, excess, between[-1] if has_weights else None, above, temperature)


def _exponential_mean(
    *operands: jax.Array, window: Window, has_excess: bool, has_weights: bool, target: Target
) -> jax.Array:
    del target
    of = _Elements.of(operands, has_excess, has_weights)
    total, divisor = _total(of.weights, window)
    cold = of.temperature == 0
    rate = jnp.where(cold, 1, of.temperature)
    weigh = functools.partial(_weigh, of=of, outer=(of.above, of.temperature), window=window)
    growth = weigh(_scaled_expm1) / divisor
    z = jnp.where(cold, 0, rate * growth)
    log = jnp.log1p(z)
    if window.taps > LOG1P_TAPS:
        log = jnp.where(z < -SERIES, jnp.log(weigh(_power) / divisor), log)
    mean = jnp.where(jnp.abs(z) < jnp.finfo(z.dtype).eps, growth, log / rate)
    return jnp.where(total > 0, mean, 0)


def _exponential_mean_jvp(
    primals: Any, tangents: Any, *, window: Window, **have: bool
) -> tuple[Any, Any]:
    mean = bind(_exponential_mean_p, *primals, window=window, **have)
    of, moved = (_Elements.of(operands, **have) for operands in (primals, tangents))
    outer = (of.above, mean, of.temperature)
    weigh = functools.partial(_weigh, of=of, outer=outer, window=window)
    _, divisor = _total(of.weights, window)
    shift = moved.level if moved.excess is None else moved.excess
    terms = []
    if not is_zero(shift):
        terms.append(weigh(_exp_weight, shift) / divisor)
    if not is_zero(moved.temperature):
        terms.append(moved.temperature * weigh(_temperature_slope) / divisor)
    if not terms:
        return mean, zero_tangent(mean)
    return mean, functools.reduce(operator.add, terms)


_exponential_mean_p = define(
    "jaxpool_exponential_mean",
    _exponential_mean,
    ["window", "has_excess", "has_weights"],
    jvp=_exponential_mean_jvp,
)


def _total(weights: jax.Array | None, window: Window) -> tuple[jax.Array | int, jax.Array | int]:
    """The total weight of every window, and the same with 0 replaced by 1, as a divisor."""
    if weights is None:
        return window.taps, window.taps
    total = engine.reduce(weights, SUM, window)
    return total, jnp.where(total > 0, total, 1)


def _weigh(
    kernel: engine.Kernel,
    v: jax.Array | None = None,
    *,
    of: _Elements,
    outer: tuple[jax.Array, ...],
    window: Window,
) -> jax.Array:
    *levels, temperature = outer
    shape = list(temperature.shape)
    for position, axis in zip(window.positions, window.axes, strict=True):
        shape[position] = axis.output
    ys = (*levels, jnp.broadcast_to(temperature, shape))
    inner = [of.level]
    if of.excess is None:
        kernel = _without_excess(kernel)
    else:
        inner.insert(0, of.excess)
    if of.weights is not None:
        kernel = weighted(kernel, len(inner))
        inner.insert(0, of.weights)
    return engine.weighted_sum(kernel, v, tuple(inner), ys, window)


@functools.cache
def _without_excess(kernel: engine.Kernel) -> engine.Kernel:
    """The kernel of elements that are their levels."""
    return lambda level, *outer: kernel(jnp.zeros_like(level), level, *outer)


@functools.cache
def weighted(kernel: engine.Kernel, count: int) -> engine.Kernel:
    """A kernel whose first argument is a weight: the weight times the value of `kernel`.

    The next `count` arguments describe the element: its level, preceded by its excess if `count` is
    2. Where the weight is 0 the product is 0, and `kernel` gets the level `above` and the excess 0,
    so that its value and its derivatives are finite.
    """

    def product(weight: jax.Array, *rest: jax.Array) -> jax.Array:
        *excess, level, above = rest[: count + 1]
        counts = weight > 0
        excess = [jnp.where(counts, one, 0) for one in excess]
        value = kernel(*excess, jnp.where(counts, level, above), *rest[count:])
        return jnp.where(counts, weight * value, 0)

    return product


def _scaled_expm1(
    excess: jax.Array, level: jax.Array, above: jax.Array, temperature: jax.Array
) -> jax.Array:
    """(exp(u) - 1) / T. Not to be differentiated."""
    distance, u = _scaled_distance(excess, level, above, temperature)
    near = jnp.abs(u) < SERIES
    series = _series(jnp.where(near, u, 0), lambda k: 1 / math.factorial(k + 1))
    return jnp.where(near, distance * series, (jnp.exp(u) - 1) / jnp.where(near, 1, temperature))


def _power(
    excess: jax.Array, level: jax.Array, above: jax.Array, temperature: jax.Array
) -> jax.Array:
    """exp(u). Not to be differentiated."""
    return jnp.exp(_scaled_distance(excess, level, above, temperature)[1])


def _scaled_distance(
    excess: jax.Array, level: jax.Array, above: jax.Array, temperature: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The distance from `above`, and u = T * distance; u is 0 for T = 0 even at infinity."""
    distance = (level - above) + excess
    cold = temperature == 0
    return distance, jnp.where(cold, 0, jnp.where(cold, 1, temperature) * distance)


def _exp_weight(
    excess: jax.Array, level: jax.Array, above: jax.Array, mean: jax.Array, temperature: jax.Array
) -> jax.Array:
    """exp(u); 0 if the level or the mean is infinite."""
    infinite, distance = _distance(excess, level, above, mean)
    return jnp.where(infinite, 0, jnp.exp(temperature * distance))


def _temperature_slope(
    excess: jax.Array, level: jax.Array, above: jax.Array, mean: jax.Array, temperature: jax.Array
) -> jax.Array:
    """distance^2 h(u); both branches stay finite, so that no derivative is 0 * inf."""
    infinite, distance = _distance(excess, level, above, mean)
    u = temperature * distance
    near = (jnp.abs(u) < SERIES) & ~infinite
    series = _series(jnp.where(near, u, 0), lambda k: (k + 1) / math.factorial(k + 2))
    rate = jnp.where(near | (temperature == 0), 1, temperature)
    large = jnp.maximum(jnp.where(infinite, LOWEST, jnp.where(near, 1, u)), LOWEST)
    far = jnp.where(jnp.isinf(mean), 0, (jnp.exp(large) * (large - 1) + 1) / rate**2)
    return jnp.where(near, distance**2 * series, far)


def _distance(
    excess: jax.Array, level: jax.Array, above: jax.Array, mean: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Whether level or mean is infinite, and the distance from element to mean (0 if so)."""
    infinite = jnp.isinf(level) | jnp.isinf(mean)
    known = jnp.where(infinite, above, level) - above
    return infinite, known + (excess - jnp.where(infinite, excess, mean))


def _series(u: jax.Array, coefficient: Callable[[int], float]) -> jax.Array:
    """Evaluate a power series by Horner's rule."""
    terms = 15 if jnp.finfo(u.dtype).bits > 32 else 9
    result = jnp.full(u.shape, coefficient(terms - 1), u.dtype)
    for k in reversed(range(terms - 1)):
        result = result * u + coefficient(k)
    return result
