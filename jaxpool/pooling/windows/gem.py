"""Generalised-mean (GeM) pooling."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxpool import engine
from jaxpool.checks import Ints, Padding
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules.primitives import bind, define, result_type
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.pooling.windows._log_mean_exp import log_mean_exp
from jaxpool.window import Window


@explicit_sharding()
def gem_pool(
    x: ArrayLike,
    window_shape: Ints,
    p: ArrayLike = 3.0,
    eps: float = 1e-6,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The generalised mean of every window: the average at p = 1, the maximum as p -> inf.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        y[o] = (mean_t max(x_t, eps)^p)^(1/p),    x_t = x[o * stride + t * dilation - low]

    where the mean is over the elements of the window. It is computed as the exponential mean of
    log(x), so no power overflows or underflows for any p. Floats narrower than float32 are
    accumulated in float32.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        p: The exponent, a finite number greater than 0, or an array of such numbers that broadcasts
            to the output and has size 1 along the pooled axes, for example `(channels,)` for one p
            per channel. An array may be learned; the entries of a traced array are not checked.
        eps: Lower bound, a finite number greater than 0. Smaller elements are replaced by `eps` and
            have derivative 0.
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
        TypeError: As in `max_pool`; or `x` is not of a floating dtype, `p` is neither a number nor
            an array of numbers, or `eps` is not a number.
        ValueError: As in `max_pool`; or `p` or `eps` is not finite or not greater than 0, or `p`
            varies along a pooled axis or does not broadcast to the output.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import gem_pool
        >>> x = jnp.array([1.0, 7.0]).reshape(1, 2, 1)
        >>> [round(float(gem_pool(x, 2, p)[0, 0, 0]), 3) for p in (1, 2, 3, 100)]
        [4.0, 5.0, 5.561, 6.952]

    When to use:
        Descriptors for image retrieval, with the whole map as the window and p of about 3, or a
        learned p (`nn.LearnedGemPool`). The input should be nonnegative, for example the output of
        a ReLU.

    Source:
        Radenović, Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation",
        2019.
    """
    eps = arguments.number("eps", eps, above=0)
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry, floating=True)
    p = arguments.parameter("p", p, x, window, above=0)
    return _gem(x, p, where, window, eps)


@functools.partial(jax.jit, static_argnames=("window", "eps"), inline=True)
def _gem(
    x: jax.Array, p: jax.Array, where: jax.Array | None, window: Window, eps: float
) -> jax.Array:
    wide = x.astype(arguments.accumulator(x))
    if where is not None:  # otherwise the log's derivative at a masked element could be NaN
        wide = jnp.where(where, wide, 0)
    logs = bind(_log_p, wide, eps=eps)
    mean = jnp.exp(log_mean_exp(logs, p, where, window))
    return jnp.where(engine.occupied(window, x.ndim, where), mean, 0).astype(x.dtype)


def _log_code(x: jax.Array, *, eps: float, target: Target) -> jax.Array:
    """log(max(x, eps))."""
    del target
    return jnp.log(jnp.where(x < eps, eps, x))


def _log_jvp(primals: Any, tangents: Any, *, eps: float) -> tuple[jax.Array, jax.Array]:
    """The derivative at x = eps is 1 / x.

    The rule reads `x` only. The derivative of `where` would read the clamped `x` as well, an array
    that XLA then stores (k2 of 16x56x56x64, gradient: 29 -> 11 ms).
    """
    (x,) = primals
    clamped = x < eps
    slope = jnp.where(clamped, 0, tangents[0]) / jnp.where(clamped, 1, x)
    return bind(_log_p, x, eps=eps), slope


_log_p = define(
    "jaxpool_log_of_clamped",
    _log_code,
    ["eps"],
    jvp=_log_jvp,
    abstract=lambda x, **_: result_type(x, x.shape),
)
