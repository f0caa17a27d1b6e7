"""Stochastic pooling."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxpool import engine
from jaxpool.checks import Ints, Padding
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules import primitives
from jaxpool.monoid import MAX
from jaxpool.pooling import arguments
from jaxpool.pooling.arguments import Geometry
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.pooling.windows import average
from jaxpool.pooling.windows.lp import power_of_two
from jaxpool.window import Window


@explicit_sharding()
def stochastic_pool(
    x: ArrayLike,
    window_shape: Ints,
    *,
    key: jax.Array | None = None,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """A random element of every window in training, and its expected value in inference.

    An int `window_shape` reads a 3-D `x` as (batch, length, channels); `(2, 2)` pools one image.

        with a key:  y[o] = x_t with probability p_t,    x_t = x[o * stride + t * dilation - low]
        without:     y[o] = sum_t p_t x_t,               p_t = max(x_t, 0) / sum_s max(x_s, 0)

    If a window has no positive element, all its elements are equally probable. Windows are sampled
    independently, even if they overlap. With a key, the derivative goes to the sampled element;
    without one, it is that of the formula. If a window contains NaN, its result is NaN.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for the arguments below.
        key: One key of `jax.random` for training; None for inference.
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
        TypeError: As in `max_pool`; or `x` is not of a floating dtype, or `key` is not one key.
        ValueError: As in `max_pool`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxpool import stochastic_pool
        >>> x = jnp.array([2.0, 6.0, 0.0, 5.0]).reshape(1, 4, 1)
        >>> stochastic_pool(x, 2)[0, :, 0].round(4)
        Array([5., 5.], dtype=float32)
        >>> stochastic_pool(x, 2, key=jax.random.key(0))[0, 1, 0]
        Array(5., dtype=float32)

    When to use:
        Regularization of networks whose maps are nonnegative, for example after a ReLU. Pass a key
        in training and none in inference.

    Source:
        Zeiler and Fergus, "Stochastic pooling for regularization of deep convolutional neural
        networks", 2013.
    """
    geometry = Geometry(window_shape, strides, padding, dilation, ceil_mode, axes)
    x, window, where = arguments.windowed(x, where, geometry, floating=True)
    if key is None:
        return _mean(x, where, window)
    shape = window.output_shape(x.shape)
    level = jax.random.uniform(arguments.random_key("key", key), shape, arguments.accumulator(x))
    return _draw(x, level, where, window)


@functools.partial(jax.jit, static_argnames="window", inline=True)
def _draw(x: jax.Array, level: jax.Array, where: jax.Array | None, window: Window) -> jax.Array:
    masks = () if where is None else (where,)
    return engine.choose(x, window, _drawn_tap(x, level, *masks, window=window))


def _drawn_tap_code(
    x: jax.Array, level: jax.Array, *masks: jax.Array, window: Window, target: Target
) -> jax.Array:
    """The index of the first tap at which the cumulative probability exceeds `level`."""
    del target
    exists = engine.ones(window, x.ndim, np.dtype(bool)) if not masks else masks[0]
    wide = x.astype(level.dtype)
    chance = jnp.where(exists & ~(wide <= 0), wide, 0)
    largest = jnp.maximum(engine.reduce(chance, MAX, window), 0)
    spoilt, infinite = jnp.isnan(largest), jnp.isinf(largest)

    def share(chance: jax.Array, exists: jax.Array) -> jax.Array:
        """One term of the sum, scaled so that the sum does not overflow."""
        share = jnp.where(largest > 0, chance / window.taps, 1)
        share = jnp.where(infinite, jnp.where(jnp.isinf(chance), 1, 0), share)
        return jnp.where(exists, share, 0)

    def add(total: jax.Array, _: Any, *element: jax.Array) -> jax.Array:
        return total + share(*element)

    def first(carry: Any, number: Any, chance: jax.Array, exists: jax.Array) -> Any:
        total, found = carry
        total = total + share(chance, exists)
        hit = jnp.where(spoilt, jnp.isnan(chance), total > drawn)
        return total, jnp.where((found == none) & hit, number, found)

    taps, none = engine.Taps(window, (chance, 0), (exists, False)), np.int32(window.taps)
    nothing = jnp.zeros(level.shape, level.dtype)
    drawn = level * taps.fold(add, nothing)
    return taps.fold(first, (nothing, jnp.full(level.shape, none)))[1]


_drawn_tap = primitives.search("jaxpool_drawn_tap", _drawn_tap_code, ["window"])


@functools.partial(jax.jit, static_argnames="window", inline=True)
def _mean(x: jax.Array, where: jax.Array | None, window: Window) -> jax.Array:
    wide = x.astype(arguments.accumulator(x))
    if where is not None:
        wide = jnp.where(where, wide, 0)
    positive = lax.stop_gradient(jnp.where(wide <= 0, 0, wide))
    largest = engine.reduce(positive, MAX, window)
    none, infinite = largest <= 0, jnp.isinf(largest)
    inverse = 1 / power_of_two(jnp.where(none | infinite, 1, largest))
    total, weighted = (
        engine.weighted_sum(kernel(window.taps), None, (wide,), (inverse,), window)
        for kernel in (_weight, _weighted_element)
    )
    mean = jnp.where(infinite, np.inf, weighted / jnp.where(none | infinite, 1, total))
    uniform = average.mean(wide, window, where, include_pad=False)
    return jnp.where(none, uniform, mean).astype(x.dtype)


@functools.cache
def _weight(taps: int) -> engine.Kernel:
    """The weight of an element, 0 unless it is positive and finite.

    In a window, weights sum to at most 1, and that of the largest element is at least 1 / (4 taps).
    """

    def weight(x: jax.Array, inverse: jax.Array) -> jax.Array:
        return _counted(x) * inverse * (1 / (4 * taps))

    return weight


@functools.cache
def _weighted_element(taps: int) -> engine.Kernel:
    """The weight times the element."""
    return lambda x, inverse: _weight(taps)(x, inverse) * _counted(x)


def _counted(x: jax.Array) -> jax.Array:
    """The element if it is positive and finite, else 0; NaN stays NaN."""
    return jnp.where((x <= 0) | jnp.isinf(x), 0, x)
