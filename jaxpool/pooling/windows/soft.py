"""Softmax-weighted and log-sum-exp pooling, smooth poolings between average and maximum."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxpool import engine
from jaxpool.checks import Ints, Padding
from jaxpool.monoid import MAX
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.pooling.windows._log_mean_exp import log_mean_exp, weighted
from jaxpool.window import Window


@explicit_sharding()
def soft_pool(
    x: ArrayLike,
    window_shape: Ints,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The softmax-weighted mean of every window.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = sum_t exp(x_t) x_t / sum_t exp(x_t),    x_t = x[o * stride + t * dilation - low]

    The softmax is over the elements of the window in one channel. Padding has weight 0. Floats
    narrower than float32 are accumulated in float32.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, of the shape that `max_pool` returns. A window without an element
        gives 0.

    Raises:
        TypeError: As in `max_pool`; or `x` is not of a floating dtype.
        ValueError: As in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import soft_pool
        >>> soft_pool(jnp.array([0.0, 0.0, -9.0, 9.0]).reshape(1, 4, 1), 2)[0, :, 0]
        Array([0., 9.], dtype=float32)

    When to use:
        In place of max or average pooling, when strong elements should dominate and every element
        should receive a gradient. The sharpness depends on the scale of `x`; `logsumexp_pool` has a
        temperature instead.

    Source:
        Stergiou, Poppe and Kalliatakis, "Refining activation downsampling with SoftPool", 2021.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry, floating=True)
    return _soft(x, where, window)


@explicit_sharding()
def logsumexp_pool(
    x: ArrayLike,
    window_shape: Ints,
    temperature: ArrayLike = 1.0,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The log-mean-exp of every window, a smooth maximum with a temperature.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = (1 / T) log mean_t exp(T x_t),    x_t = x[o * stride + t * dilation - low]

    where the mean is over the elements of the window. T = 0 gives their average, T -> inf their
    maximum, and T -> -inf their minimum. Values and derivatives are numerically stable for every
    finite T, including 0. Floats narrower than float32 are accumulated in float32.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        temperature: T, a finite number, or an array of finite numbers that broadcasts to the output
            and has size 1 along the pooled axes, for example `(channels,)` for one T per channel.
            An array may be learned; the entries of a traced array are not checked.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, of the shape that `max_pool` returns. A window without an element
        gives 0.

    Raises:
        TypeError: As in `max_pool`; or `x` is not of a floating dtype, or `temperature` is neither
            a number nor an array of numbers.
        ValueError: As in `max_pool`; or `temperature` is not finite, varies along a pooled axis, or
            does not broadcast to the output.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import logsumexp_pool
        >>> x = jnp.array([1.0, 2.0, 3.0, 6.0]).reshape(1, 4, 1)
        >>> [round(float(logsumexp_pool(x, 4, t)[0, 0, 0]), 2) for t in (0, 1, 1000)]
        [3.0, 4.69, 6.0]

    When to use:
        When a maximum is wanted but every element should receive a gradient: weakly supervised
        segmentation and multiple-instance learning, where a few positions make the whole map
        positive. `nn.LearnedLogSumExpPool` learns T.

    Source:
        Pinheiro and Collobert, "From image-level to pixel-level labeling with convolutional
        networks", 2015.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry, floating=True)
    temperature = arguments.parameter("temperature", temperature, x, window)
    return _logsumexp(x, temperature, where, window)


@functools.partial(jax.jit, static_argnames=("window"), inline=True)
def _logsumexp(
    x: jax.Array, temperature: jax.Array, where: jax.Array | None, window: Window
) -> jax.Array:
    wide = x.astype(arguments.accumulator(x))
    return log_mean_exp(wide, temperature, where, window).astype(x.dtype)


@functools.partial(jax.jit, static_argnames=("window"), inline=True)
def _soft(x: jax.Array, where: jax.Array | None, window: Window) -> jax.Array:
    """The ratio of two sums over the elements, of `x exp(x - h)` and of `exp(x - h)`.

    Here h is the largest element of the window, a constant for differentiation. A wide window is
    summed one axis after the other: the sums of the first axis have the h of smaller windows, and
    the next axis multiplies each of them by exp(its h - the h of the larger window). Infinite
    elements are replaced by finite numbers; at the end, the mean of such a window becomes infinite.
    """
    wide = x.astype(arguments.accumulator(x))
    if where is not None:
        wide = jnp.where(where, wide, 0)
    bound = jnp.finfo(wide.dtype).max
    level = jnp.clip(lax.stop_gradient(wide), -bound, bound)
    if where is not None:
        level = jnp.where(where, level, -bound)
    sums: list[jax.Array] = []
    for part in engine.weighted_steps(window):
        highest = jnp.maximum(engine.reduce(level, MAX, part), -bound)  # finite if empty
        if sums:
            sums = [engine.weighted_sum(_rescaled, y, (level,), (highest,), part) for y in sums]
        else:
            kernels, xs = [_weight(window.taps), _weighted_element(window.taps)], [wide]
            if where is not None:
                kernels, xs = (
                    [weighted(kernel, 1) for kernel in kernels],
                    [where.astype(wide.dtype), wide],
                )
            sums = [engine.weighted_sum(k, None, tuple(xs), (highest,), part) for k in kernels]
        level = highest
    weight, total = sums
    empty = weight == 0
    mean = total / jnp.where(empty, 1, weight)
    extreme = jnp.where(level > 0, np.inf, -np.inf).astype(mean.dtype)
    return jnp.where((jnp.abs(level) == bound) & ~empty, extreme, mean).astype(x.dtype)


@functools.cache
def _weight(taps: int) -> engine.Kernel:
    """exp(x - highest) / taps, where infinite x are the largest or the lowest finite number."""

    def weight(x: jax.Array, highest: jax.Array) -> jax.Array:
        bound = jnp.finfo(x.dtype).max
        infinite = jnp.isinf(x)
        finite = jnp.where(infinite, jnp.where(x > 0, bound, -bound), x)
        return jnp.exp(finite - highest) / taps

    return weight


@functools.cache
def _weighted_element(taps: int) -> engine.Kernel:
    """The weight times x; 0 for infinite x."""

    def element(x: jax.Array, highest: jax.Array) -> jax.Array:
        return _weight(taps)(x, highest) * jnp.where(jnp.isinf(x), 0, x)

    return element


def _rescaled(level: jax.Array, highest: jax.Array) -> jax.Array:
    return jnp.exp(level - highest)
