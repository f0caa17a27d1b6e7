"""Between average and maximum: softmax-weighted and log-sum-exp pooling."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpool import engine
from jaxpool.monoid import MAX
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Ints, Padding
from jaxpool.pooling.exponential import log_mean_exp
from jaxpool.window import Window


def soft_pool(
    x: Any,
    window_shape: Ints,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: Any = None,
    method: str = "auto",
) -> jax.Array:
    """The mean of every window, each element weighted by its softmax among the others.

        y[o] = sum_t exp(x_t) x_t / sum_t exp(x_t),    x_t = x[o * stride + t * dilation - low]

    The weights are taken within one channel. Padding has none.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for all that follow.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.
        method: How to compute it; for benchmarks.

    Returns:
        Array of the dtype of `x`. A window without an element gives 0.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has a value that is not allowed.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import soft_pool
        >>> soft_pool(jnp.array([0.0, 0.0, -9.0, 9.0]).reshape(1, 4, 1), 2)[0, :, 0]
        Array([0., 9.], dtype=float32)

    Source:
        Stergiou, Poppe and Kalliatakis, "Refining activation downsampling with SoftPool", 2021.
    """
    x = arguments.floating_array("x", x)
    x, window, where = arguments.windowed(
        x, window_shape, strides, padding, dilation, ceil_mode, axes, where, method
    )
    return _soft(x, where, window, method)


def logsumexp_pool(
    x: Any,
    window_shape: Ints,
    temperature: Any = 1.0,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: Any = None,
    method: str = "auto",
) -> jax.Array:
    """The logarithm of the mean exponential of every window: a maximum of adjustable softness.

        y[o] = (1 / T) log mean_t exp(T x_t),    x_t = x[o * stride + t * dilation - low]

    over the elements that exist. T -> 0 gives their average, T -> inf their maximum, T -> -inf
    their minimum. Value and derivatives are stable for every T, 0 included.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for all that follow.
        temperature: T, a number or an array that broadcasts to the output, with size 1 along the
            pooled axes: so `(channels,)` is one T a channel. It may be traced and learned.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.
        method: How to compute it; for benchmarks.

    Returns:
        Array of the dtype of `x`. A window without an element gives 0.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has a value that is not allowed.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import logsumexp_pool
        >>> x = jnp.array([1.0, 2.0, 3.0, 6.0]).reshape(1, 4, 1)
        >>> [round(float(logsumexp_pool(x, 4, t)[0, 0, 0]), 2) for t in (0, 1, 1000)]
        [3.0, 4.69, 6.0]

    Source:
        Pinheiro and Collobert, "From image-level to pixel-level labeling with convolutional
        networks", 2015.
    """
    x = arguments.floating_array("x", x)
    x, window, where = arguments.windowed(
        x, window_shape, strides, padding, dilation, ceil_mode, axes, where, method
    )
    temperature = arguments.parameter("temperature", temperature, x, window)
    return _logsumexp(x, temperature, where, window, method)


@functools.partial(jax.jit, static_argnames=("window", "method"), inline=True)
def _logsumexp(
    x: jax.Array, temperature: jax.Array, where: jax.Array | None, window: Window, method: str
) -> jax.Array:
    wide = x.astype(arguments.accumulator(x))
    return log_mean_exp(wide, temperature, where, window, method).astype(x.dtype)


@functools.partial(jax.jit, static_argnames=("window", "method"), inline=True)
def _soft(x: jax.Array, where: jax.Array | None, window: Window, method: str) -> jax.Array:
    """Infinite elements stand aside, as the largest or lowest finite logit, and are put back."""
    wide = x.astype(arguments.accumulator(x))
    bound = jnp.finfo(wide.dtype).max
    infinite = jnp.isinf(wide)
    logits = jnp.where(infinite, jnp.where(wide > 0, bound, -bound), wide)
    means = jnp.where(infinite, 0, wide)
    if where is not None:
        logits, means = jnp.where(where, logits, -np.inf), jnp.where(where, means, 0)
    for part in engine.parts(window, method):
        logits, means = _softmax_mean(logits, means, part)
    extreme = jnp.abs(logits) == bound
    return jnp.where(extreme, jnp.where(logits > 0, np.inf, -np.inf), means).astype(x.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _softmax_mean(
    logits: jax.Array, means: jax.Array, window: Window
) -> tuple[jax.Array, jax.Array]:
    """For each window of parts: the logarithm of their total weight, and their weighted mean."""
    level = _finite(engine.reduce(logits, MAX, window))
    total = engine.collect(_share, None, (logits,), (level,), window)
    mean = engine.collect(_share, means, (logits,), (level,), window)
    empty = total == 0
    total = jnp.where(empty, 1, total)
    return jnp.where(empty, -np.inf, level + jnp.log(total)), mean / total


@_softmax_mean.defjvp
def _softmax_mean_jvp(window: Window, primals: Any, tangents: Any) -> Any:
    (logits, means), (dlogits, dmeans) = primals, tangents
    logit, mean = _softmax_mean(logits, means, window)
    average = functools.partial(
        engine.collect, _share, xs=(logits,), ys=(_finite(logit),), window=window
    )
    dlogit = average(dlogits)
    return (logit, mean), (dlogit, average(dmeans + means * dlogits) - mean * dlogit)


def _finite(level: jax.Array) -> jax.Array:
    """The level of a window without an element is anything but -inf, from which -inf is NaN."""
    return jnp.where(level == -np.inf, 0, level)


def _share(logit: jax.Array, level: jax.Array) -> jax.Array:
    return jnp.exp(logit - level)
