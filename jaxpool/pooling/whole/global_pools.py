"""Global pooling: one window that covers the whole map."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxpool import checks, engine
from jaxpool.checks import Ints
from jaxpool.monoid import MAX, MIN
from jaxpool.pooling import arguments
from jaxpool.pooling.sharding import explicit_sharding, without_pooled_axes
from jaxpool.pooling.windows import average, lp
from jaxpool.window import Window


@explicit_sharding(without_pooled_axes)
def global_max_pool(
    x: ArrayLike,
    *,
    axes: Ints | None = None,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The largest element of every map.

    A 3-D `x` is read as (batch, length, channels); for one image, give `axes=(0, 1)`.

        y = max over spatial positions i of x[i]

    NaN, ties and derivatives are handled as in `max_pool`.

    Args:
        x: Array `(batch, *spatial, channels)` of a floating, integer or bool dtype.
        axes: Indices of the pooled axes; None means all axes except the first and the last.
        keepdims: Keep the pooled axes, with size 1.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, without the pooled axes. A map without an element (all masked)
        gives the identity of max, as in `max_pool`.

    Raises:
        TypeError: `x` is not an array of real numbers, `where` or `keepdims` is not boolean, or
            `axes` are not ints.
        ValueError: `x` has fewer than 3 axes and `axes` is None, `axes` has an index out of range
            or a duplicate, `where` does not broadcast to `x`, or the map is empty or has a symbolic
            size.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import global_max_pool
        >>> global_max_pool(jnp.arange(12.0).reshape(1, 3, 2, 2))
        Array([[10., 11.]], dtype=float32)

    When to use:
        When one strong response at any position decides, for example whether an object is present.

    Source:
        ONNX's `GlobalMaxPool`, Keras's `GlobalMaxPooling2D`.
    """
    x, window, where = _checked(x, axes, keepdims, where)
    return _squeeze(engine.reduce(x, MAX, window, where=where), window, keepdims)


@explicit_sharding(without_pooled_axes)
def global_min_pool(
    x: ArrayLike,
    *,
    axes: Ints | None = None,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The smallest element of every map.

    A 3-D `x` is read as (batch, length, channels); for one image, give `axes=(0, 1)`.

        y = min over spatial positions i of x[i]

    NaN, ties and derivatives are handled as in `max_pool`.

    Args:
        x: Array `(batch, *spatial, channels)` of a floating, integer or bool dtype.
        axes: Indices of the pooled axes; None means all axes except the first and the last.
        keepdims: Keep the pooled axes, with size 1.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, without the pooled axes. A map without an element gives the
        identity of min, as in `min_pool`.

    Raises:
        TypeError: As in `global_max_pool`.
        ValueError: As in `global_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import global_min_pool
        >>> global_min_pool(jnp.arange(12.0).reshape(1, 3, 2, 2))
        Array([[0., 1.]], dtype=float32)

    When to use:
        When the weakest response of a map decides, for example the smallest margin.

    Source:
        `global_max_pool` of -x, negated.
    """
    x, window, where = _checked(x, axes, keepdims, where)
    return _squeeze(engine.reduce(x, MIN, window, where=where), window, keepdims)


@explicit_sharding(without_pooled_axes)
def global_sum_pool(
    x: ArrayLike,
    *,
    axes: Ints | None = None,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The sum of every map.

    A 3-D `x` is read as (batch, length, channels); for one image, give `axes=(0, 1)`.

        y = sum over spatial positions i of x[i]

    Floats narrower than float32 are accumulated in float32. Integers wrap around on overflow.

    Args:
        x: Array `(batch, *spatial, channels)` of a floating, integer or bool dtype.
        axes: Indices of the pooled axes; None means all axes except the first and the last.
        keepdims: Keep the pooled axes, with size 1.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x` (int32 for bool), without the pooled axes. A map without an
        element gives 0.

    Raises:
        TypeError: As in `global_max_pool`.
        ValueError: As in `global_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import global_sum_pool
        >>> global_sum_pool(jnp.arange(12.0).reshape(1, 3, 2, 2))
        Array([[30., 36.]], dtype=float32)

    When to use:
        When the number of elements matters: maps, sets and graphs of different sizes, with `where`.

    Source:
        The sum read-out of timm and of Deep Sets.
    """
    x, window, where = _checked(x, axes, keepdims, where)
    return _squeeze(average.total(x, window, where), window, keepdims)


@explicit_sharding(without_pooled_axes)
def global_avg_pool(
    x: ArrayLike,
    *,
    axes: Ints | None = None,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The mean of every map.

    A 3-D `x` is read as (batch, length, channels); for one image, give `axes=(0, 1)`.

        y = (sum over spatial positions i of x[i]) / number of positions

    Masked positions do not count. Floats narrower than float32 are accumulated in float32.

    Args:
        x: Array `(batch, *spatial, channels)` of a floating, integer or bool dtype.
        axes: Indices of the pooled axes; None means all axes except the first and the last.
        keepdims: Keep the pooled axes, with size 1.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x` if it is floating, else of float32, without the pooled axes. A map
        without an element gives 0.

    Raises:
        TypeError: As in `global_max_pool`.
        ValueError: As in `global_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import global_avg_pool
        >>> global_avg_pool(jnp.arange(12.0).reshape(1, 3, 2, 2))
        Array([[5., 6.]], dtype=float32)

    When to use:
        The last pooling layer of a classifier: one number per channel, from maps of any size.

    Source:
        Lin, Chen and Yan, "Network in Network", 2014.
    """
    x, window, where = _checked(x, axes, keepdims, where)
    return _squeeze(average.mean(x, window, where), window, keepdims)


@explicit_sharding(without_pooled_axes)
def global_lp_pool(
    x: ArrayLike,
    p: float = 2.0,
    *,
    axes: Ints | None = None,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The p-norm of every map.

    A 3-D `x` is read as (batch, length, channels); for one image, give `axes=(0, 1)`.

        y = (sum over spatial positions i of |x[i]|^p)^(1/p)

    Infinite p, numerical range and derivatives are handled as in `lp_pool`.

    Args:
        x: Array `(batch, *spatial, channels)` of a floating dtype.
        p: The exponent, a number greater than 0; `math.inf` is allowed.
        axes: Indices of the pooled axes; None means all axes except the first and the last.
        keepdims: Keep the pooled axes, with size 1.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, without the pooled axes. A map without an element gives 0.

    Raises:
        TypeError: As in `global_max_pool`; or `x` is not of a floating dtype, or `p` is not a
            number.
        ValueError: As in `global_max_pool`; or `p` is not greater than 0.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import global_lp_pool
        >>> global_lp_pool(jnp.array([3.0, -4.0]).reshape(1, 2, 1))
        Array([[5.]], dtype=float32)

    When to use:
        The energy of a channel (p = 2), or a norm between the sum of its magnitudes (p = 1) and the
        largest magnitude (p = inf).

    Source:
        ONNX's `GlobalLpPool`.
    """
    p = lp.exponent(p)
    x, window, where = _checked(arguments.floating_array("x", x), axes, keepdims, where)
    return _squeeze(lp.norm(x, window, p, where), window, keepdims)


def _checked(
    x: Any, axes: Ints | None, keepdims: bool, where: Any
) -> tuple[jax.Array, Window, jax.Array | None]:
    x = arguments.real_array("x", x)
    checks.flag("keepdims", keepdims)
    return x, Window.over(x.shape, axes), arguments.mask(where, x)


def _squeeze(y: jax.Array, window: Window, keepdims: bool) -> jax.Array:
    return y if keepdims else jnp.squeeze(y, window.positions)
