"""Lp pooling: the p-norm of every window."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.pooling import arguments, average
from jaxpool.pooling.arguments import Ints, Padding
from jaxpool.pooling.sharding import explicit_sharding
from jaxpool.window import Window


@explicit_sharding()
def lp_pool(
    x: Any,
    window_shape: Ints,
    p: float = 2.0,
    *,
    strides: Ints | None = None,
    padding: Padding = "VALID",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    axes: Ints | None = None,
    where: Any = None,
    method: str = "auto",
) -> jax.Array:
    """The p-norm of every window.

        y[o] = (sum over taps t of |x[o * stride + t * dilation - low]|^p)^(1/p)

    The derivative is 0 where the sum is 0.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating dtype.
        window_shape: Taps per spatial axis; see `max_pool`, also for all that follow.
        p: The exponent, greater than 0.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add, which are zeros.
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
        >>> from jaxpool import lp_pool
        >>> lp_pool(jnp.array([3.0, -4.0, 5.0, 12.0]).reshape(1, 4, 1), 2)[0, :, 0]
        Array([ 5., 13.], dtype=float32)

    When to use:
        Where magnitude counts and sign does not: p = 2 pools filter responses by their energy, and
        a larger p nears their largest magnitude. For a mean, with a p that is learned, see
        `gem_pool`.

    Source:
        ONNX's `LpPool`. (PyTorch's `LPPool2d` keeps signs, and gives NaN for odd p.)
    """
    x = arguments.floating_array("x", x)
    p = arguments.number("p", p, above=0)
    x, window, where = arguments.windowed(
        x, window_shape, strides, padding, dilation, ceil_mode, axes, where, method
    )
    return norm(x, window, p, where, method)


def norm(
    x: jax.Array, window: Window, p: float, where: jax.Array | None, method: str = "auto"
) -> jax.Array:
    """The p-norm of every window, summed in a wide enough dtype."""
    if where is not None:
        x = jnp.where(where, x, 0)  # here, so that a masked NaN has no part in the derivative
    powers = _power(x.astype(arguments.accumulator(x)), p)
    summed = average.total(powers, window, None, method)
    empty = summed == 0
    root = (
        jnp.where(empty, 1, summed) ** (1 / p) if p != 2 else jnp.sqrt(jnp.where(empty, 1, summed))
    )
    return jnp.where(empty, 0, root).astype(x.dtype)


def _power(x: jax.Array, p: float) -> jax.Array:
    """|x|^p, with the derivative 0 at 0 also where that of the formula is not defined."""
    if float(p).is_integer():
        power = lax.integer_pow(x, int(p))
        return power if p % 2 == 0 else jnp.sign(x) * power
    zero = x == 0
    return jnp.where(zero, 0, jnp.abs(jnp.where(zero, 1, x)) ** np.asarray(p, x.dtype))
