"""Lp pooling: the p-norm of every window."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxpool import engine
from jaxpool.checks import Ints, Padding
from jaxpool.engine.plan.target import CPU, Target
from jaxpool.engine.rules.primitives import bind, define
from jaxpool.monoid import MAX, SUM
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.window import Window


@explicit_sharding()
def lp_pool(
    x: ArrayLike,
    window_shape: Ints,
    p: float = 2.0,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The p-norm of every window.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = (sum over taps t of |x[o * stride + t * dilation - low]|^p)^(1/p)

    For p = inf the result is the largest magnitude. Elements are scaled so that no power overflows
    or underflows if the result fits the dtype. Floats narrower than float32 are accumulated in
    float32. The derivative is 0 where the result is 0 or infinite.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        p: The exponent, a number greater than 0; `math.inf` is allowed.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or zeros to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, of the shape that `max_pool` returns. A window without an element
        gives 0.

    Raises:
        TypeError: As in `max_pool`; or `x` is not of a floating dtype, or `p` is not a number.
        ValueError: As in `max_pool`; or `p` is not greater than 0.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import lp_pool
        >>> lp_pool(jnp.array([3.0, -4.0, 5.0, 12.0]).reshape(1, 4, 1), 2)[0, :, 0]
        Array([ 5., 13.], dtype=float32)

    When to use:
        When magnitudes matter and signs do not. p = 2 pools the energy of filter responses; a
        larger p approaches their largest magnitude. For a mean, or a learned p, see `gem_pool`.

    Source:
        ONNX's `LpPool`. (PyTorch's `LPPool2d` keeps signs and can give NaN for odd p.)
    """
    p = exponent(p)
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry, floating=True)
    return norm(x, window, p, where)


def exponent(p: ArrayLike) -> float:
    """Check the argument `p`: a number greater than 0, or infinity."""
    if isinstance(p, float | np.floating) and not math.isfinite(p):
        if p == math.inf:
            return math.inf
        raise ValueError(f"p must be greater than 0 (math.inf is allowed), got {p!r}")
    return arguments.number("p", p, above=0)


def norm(x: jax.Array, window: Window, p: float, where: jax.Array | None) -> jax.Array:
    """The p-norm of every window, computed in `accumulator(x)`."""
    if where is not None:
        x = jnp.where(where, x, 0)  # outside `_norm`: a masked NaN must not enter the derivative
    return _norm(x, window, p)


@functools.partial(jax.jit, static_argnames=("window", "p"), inline=True)
def _norm(x: jax.Array, window: Window, p: float) -> jax.Array:
    wide = x.astype(arguments.accumulator(x))
    if p == math.inf:
        return _largest(jnp.abs(wide), window).astype(x.dtype)
    for part in engine.weighted_steps(window):  # the p-norm of p-norms is a p-norm
        wide = bind(_norm_p, wide, window=part, p=p)
    return wide.astype(x.dtype)


def _largest(magnitudes: jax.Array, window: Window) -> jax.Array:
    """The largest magnitude of every window, 0 for a window without an element."""
    return jnp.maximum(engine.reduce(magnitudes, MAX, window), 0)


def _norm_code(x: jax.Array, *, window: Window, p: float, target: Target) -> jax.Array:
    scaled, plain = (functools.partial(f, window=window, p=p) for f in (_scaled, _plain))
    if target is Target.CPUS and not window.is_global:  # XLA exchanges a halo for every slice
        for part in engine.separable(window):
            x = _scaled(x, window=part, p=p)
        return x
    if target is not CPU or (window.is_tiling and not window.is_global):
        return scaled(x)
    # XLA:CPU is slow at scaling, so only inputs whose powers overflow or underflow are scaled (k3
    # s1 on 32x28x28x256, forward: 24 -> 12 ms; whole maps of 16x56x56x64: 4.2 -> 0.9 ms).
    info, magnitude = jnp.finfo(x.dtype), jnp.abs(x)
    tiny, most = float(info.tiny), float(info.max)
    low = max(tiny, 1.01 * tiny ** (1 / p))
    high = most if p < 1 else 0.99 * (most / window.taps) ** (1 / p)
    ordinary = (magnitude == 0) | ((magnitude > low) & (magnitude < high))
    return lax.cond(jnp.all(ordinary), plain, scaled, x)


def _plain(x: jax.Array, window: Window, p: float) -> jax.Array:
    """The plain formula: accurate if no power overflows or underflows.

    Integer powers are computed in the sum, not stored (p = 2, k3 s2 on 16x56x56x64: 2.0 -> 0.7 ms).
    Others are expensive, and are computed once per element.
    """
    if p.is_integer():
        return _root(engine.weighted_sum(_power(p), None, (x,), (), window), p)
    return _root(engine.reduce(_power(p)(x), SUM, window), p)


def _scaled(x: jax.Array, window: Window, p: float) -> jax.Array:
    """M (sum (|x| / M)^p)^(1/p), where M is a power of two up to the largest magnitude."""
    largest = _largest(jnp.abs(x), window)
    scale = power_of_two(largest)
    total = engine.weighted_sum(_power(p), None, (x,), (1 / scale,), window)
    return jnp.where(jnp.isinf(largest), largest, scale * _root(total, p))


def _root(total: jax.Array, p: float) -> jax.Array:
    return jnp.sqrt(total) if p == 2 else total ** (1 / p)


def power_of_two(x: jax.Array) -> jax.Array:
    """The largest power of two up to x whose inverse is not subnormal; 1 for x = 0.

    Multiplication by this power of two or by its inverse does not round. After multiplication by
    the inverse, the largest magnitude of a window lies between 1 and 4, so its powers stay in
    range.
    """
    info = jnp.finfo(x.dtype)
    bits = np.dtype(f"int{info.bits}")
    exponent = lax.bitcast_convert_type(x, bits) & np.array(np.inf, x.dtype).view(bits)
    power = lax.bitcast_convert_type(exponent, x.dtype)
    return jnp.where(power == 0, 1, jnp.minimum(power, 2.0 ** (int(info.maxexp) - 2)))


def _norm_jvp(primals: Any, tangents: Any, *, window: Window, p: float) -> Any:
    """The tangent: the sum of sign(x) (|x| / y)^(p - 1) dx; 0 where y is 0 or infinite."""
    (x,) = primals
    y = bind(_norm_p, x, window=window, p=p)
    usual = (y != 0) & ~jnp.isinf(y)
    inverse = 1 / power_of_two(jnp.where(usual, lax.stop_gradient(y), 1))
    ys = inverse, jnp.where(usual, 1 / jnp.where(usual, y * inverse, 1), 0)
    return y, engine.weighted_sum(_derivative_weight(p), tangents[0], (x,), ys, window)


_norm_p = define("jaxpool_norm", _norm_code, ["window", "p"], jvp=_norm_jvp)


@functools.cache
def _power(p: float) -> engine.Kernel:
    """(|x| / scale)^p, from x and the inverse of the scale."""

    def power(x: jax.Array, *inverse: jax.Array) -> jax.Array:
        ratio = jnp.abs(math.prod(inverse, start=x))
        return lax.integer_pow(ratio, int(p)) if p.is_integer() else ratio**p

    return power


@functools.cache
def _derivative_weight(p: float) -> engine.Kernel:
    """sign(x) (|x| / y)^(p - 1); 0 at x = 0, also for p <= 1.

    1 / y is given as two factors: `inverse`, a power of two near 1 / y, and `rest`.
    """

    def share(x: jax.Array, inverse: jax.Array, rest: jax.Array) -> jax.Array:
        ratio = jnp.where(rest == 0, 0, x) * inverse * rest
        if not p.is_integer():
            none = ratio == 0
            return jnp.where(none, 0, jnp.sign(x) * jnp.abs(jnp.where(none, 1, ratio)) ** (p - 1))
        power = lax.integer_pow(ratio, int(p) - 1)
        return power if p % 2 == 0 else jnp.sign(x) * power

    return share
