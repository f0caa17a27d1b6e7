"""The exponential mean of every window: stable for every temperature, 0 included.

    M = (1/T) log(sum_i c_i exp(T x_i) / sum_i c_i),        at T = 0 the average

with weights c. The plain formula overflows for large |T x| and, for small ones, divides a rounding
error by T. Here the window's largest T x is subtracted, exp(u) - 1 and log(1 + z) are taken as
such near 0, and the derivatives have forms that nothing cancels in,

    dM/dx_i = c_i exp(T (x_i - M)) / sum c
    dM/dT   = sum_i c_i (x_i - M)^2 h(T (x_i - M)) / sum c,    h(u) = (exp(u) (u - 1) + 1) / u^2

where h is analytic, 1/2 at 0. They are written in terms of M, so that they can be differentiated
again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxpool import engine
from jaxpool.monoid import MAX, SUM
from jaxpool.window import Window

# Where the power series take over; with this, 9 of their terms give float32, 15 float64.
SERIES = 0.5
# Beside 1, exp is 0 from here on.
LOWEST = -200.0
# log(1 + z) near z = -1 loses as many units in the last place as a window has taps.
MANY = 16


def log_mean_exp(
    x: jax.Array, temperature: jax.Array, where: jax.Array | None, window: Window, method: str
) -> jax.Array:
    """The exponential mean of the elements of every window; 0 where there is none.

    Args:
        x: Array of float32 or wider.
        temperature: Array of the dtype of `x` that broadcasts to the output, of size 1 along the
            pooled axes.
        where: Which elements exist.
        window: The geometry.
        method: As for every operator.
    """
    weights = None
    if where is not None:
        x, weights = jnp.where(where, x, 0), where.astype(x.dtype)
    elif any(min(axis.counts(include_pad=False), default=0) < axis.window for axis in window.axes):
        weights = engine.ones(window, x.ndim, x.dtype)
    temperature = temperature.reshape((1,) * (x.ndim - temperature.ndim) + temperature.shape)
    for part in engine.parts(window, method):
        x = exponential_mean(x, weights, temperature, part)
        weights = None if weights is None else engine.reduce(weights, SUM, part)
    return x


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def exponential_mean(
    x: jax.Array, weights: jax.Array | None, temperature: jax.Array, window: Window
) -> jax.Array:
    """The weighted exponential mean of every window; 0 where no weight is positive.

    Args:
        x: The elements.
        weights: How much each of them counts, at least 0; None for windows of equal weights.
        temperature: Any number, or an array of them as in `log_mean_exp`.
        window: The geometry.
    """
    where = None if weights is None else jnp.broadcast_to(weights > 0, x.shape)
    sign = jnp.where(temperature < 0, -1, 1).astype(x.dtype)
    level = sign * engine.reduce(sign * x, MAX, window, where=where)
    level = jnp.where(jnp.isinf(level), 0, level)
    total, divisor = _total(weights, window)
    cold = temperature == 0
    rate = jnp.where(cold, 1, temperature)

    growth = _weigh(_growth, None, x, weights, level, temperature, window) / divisor
    z = jnp.where(cold, 0, rate * growth)
    log = jnp.log1p(z)
    if window.taps > MANY:
        power = _weigh(_power, None, x, weights, level, temperature, window) / divisor
        log = jnp.where(z < -SERIES, jnp.log(power), log)
    mean = level + jnp.where(jnp.abs(z) < jnp.finfo(z.dtype).eps, growth, log / rate)
    return jnp.where(total > 0, mean, 0)


@functools.partial(exponential_mean.defjvp, symbolic_zeros=True)
def _exponential_mean_jvp(
    window: Window, primals: Any, tangents: Any
) -> tuple[jax.Array, jax.Array]:
    x, weights, temperature = primals
    dx, _, dt = tangents
    mean = exponential_mean(x, weights, temperature, window)
    _, divisor = _total(weights, window)
    tangent = jnp.zeros(mean.shape, mean.dtype)
    if not isinstance(dx, SymbolicZero):
        tangent += _weigh(_share, dx, x, weights, mean, temperature, window) / divisor
    if not isinstance(dt, SymbolicZero):
        tangent += dt * _weigh(_bend, None, x, weights, mean, temperature, window) / divisor
    return mean, tangent


def _total(weights: jax.Array | None, window: Window) -> tuple[jax.Array | int, jax.Array | int]:
    """The weight of every window, and a number to divide by."""
    if weights is None:
        return window.taps, window.taps
    total = engine.reduce(weights, SUM, window)
    return total, jnp.where(total > 0, total, 1)


def _weigh(
    kernel: engine.Kernel,
    v: jax.Array | None,
    x: jax.Array,
    weights: jax.Array | None,
    level: jax.Array,
    temperature: jax.Array,
    window: Window,
) -> jax.Array:
    shape = list(temperature.shape)
    for position, axis in zip(window.positions, window.axes, strict=True):
        shape[position] = axis.output
    ys = (level, jnp.broadcast_to(temperature, shape))
    if weights is None:
        return engine.collect(kernel, v, (x,), ys, window)
    return engine.collect(_weighted(kernel), v, (x, weights), ys, window)


@functools.cache
def _weighted(kernel: engine.Kernel) -> engine.Kernel:
    """The kernel times a weight; what has none is not looked at."""

    def weighted(x: jax.Array, weight: jax.Array, level: jax.Array, temperature: jax.Array):
        counts = weight > 0
        return jnp.where(
            counts, weight * kernel(jnp.where(counts, x, level), level, temperature), 0
        )

    return weighted


def _heated(x: jax.Array, level: jax.Array, temperature: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The distance x - level, and u = T (x - level), 0 for T = 0 even if x is infinite."""
    distance = x - level
    cold = temperature == 0
    return distance, jnp.where(cold, 0, jnp.where(cold, 1, temperature) * distance)


def _power(x: jax.Array, level: jax.Array, temperature: jax.Array) -> jax.Array:
    """exp(u)."""
    return jnp.exp(_heated(x, level, temperature)[1])


def _growth(x: jax.Array, level: jax.Array, temperature: jax.Array) -> jax.Array:
    """(exp(u) - 1) / T."""
    distance, u = _heated(x, level, temperature)
    near = jnp.abs(u) < SERIES
    series = _series(jnp.where(near, u, 0), lambda k: 1 / math.factorial(k + 1))
    return jnp.where(near, distance * series, (jnp.exp(u) - 1) / jnp.where(near, 1, temperature))


def _share(x: jax.Array, mean: jax.Array, temperature: jax.Array) -> jax.Array:
    """exp(u); if the mean is infinite, an equal share for every element that is."""
    infinite = jnp.isinf(x) | jnp.isinf(mean)
    distance = jnp.where(infinite, 0, x) - jnp.where(infinite, 0, mean)
    alike = jnp.where(x == mean, 1.0, 0.0).astype(x.dtype)
    return jnp.where(infinite, alike, jnp.exp(temperature * distance))


def _bend(x: jax.Array, mean: jax.Array, temperature: jax.Array) -> jax.Array:
    """(x - mean)^2 h(u); no branch makes an infinity that the derivative of another meets."""
    infinite = jnp.isinf(x) | jnp.isinf(mean)
    distance = jnp.where(infinite, 0, x) - jnp.where(infinite, 0, mean)
    u = temperature * distance
    near = (jnp.abs(u) < SERIES) & ~infinite
    series = _series(jnp.where(near, u, 0), lambda k: (k + 1) / math.factorial(k + 2))
    rate = jnp.where(near | (temperature == 0), 1, temperature)
    large = jnp.maximum(jnp.where(infinite, LOWEST, jnp.where(near, 1, u)), LOWEST)
    far = jnp.where(infinite & (x == mean), 0, (jnp.exp(large) * (large - 1) + 1) / rate**2)
    return jnp.where(near, distance**2 * series, far)


def _series(u: jax.Array, coefficient: Callable[[int], float]) -> jax.Array:
    """A power series by Horner's rule."""
    terms = 15 if jnp.finfo(u.dtype).bits > 32 else 9
    result = jnp.full(u.shape, coefficient(terms - 1), u.dtype)
    for k in reversed(range(terms - 1)):
        result = result * u + coefficient(k)
    return result
