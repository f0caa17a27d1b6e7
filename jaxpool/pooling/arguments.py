"""Checks of array arguments that every operator shares; `Window` checks the geometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpool.engine import planner
from jaxpool.window import Window

Ints = int | Sequence[int]
Padding = str | int | Sequence[int | Sequence[int]]


def real_array(name: str, value: Any) -> jax.Array:
    """`value` as an array of real numbers, integers or booleans.

    Raises:
        TypeError: It is something else.
    """
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        raise TypeError(f"{name} must be an array, got {type(value).__name__}")
    dtype = value.dtype
    allowed = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(dtype, kind) for kind in allowed):
        raise TypeError(f"{name} must be of a floating, integer or bool dtype, got {dtype}")
    return jnp.asarray(value)


def floating_array(name: str, value: Any) -> jax.Array:
    """`value` as an array of a floating dtype.

    Raises:
        TypeError: It is something else.
    """
    x = real_array(name, value)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{name} must be of a floating dtype, got {x.dtype}")
    return x


def mask(where: Any, x: jax.Array) -> jax.Array | None:
    """`where` broadcast to the shape of `x`, or None.

    Raises:
        TypeError: The mask is not boolean.
        ValueError: Its shape does not broadcast to that of `x`.
    """
    if where is None:
        return None
    where = jnp.asarray(where)
    if where.dtype != np.bool_:
        raise TypeError(f"where must be of dtype bool, got {where.dtype}")
    aligned = zip(reversed(where.shape), reversed(x.shape), strict=False)
    if where.ndim > x.ndim or any(m != 1 and m != n for m, n in aligned):
        raise ValueError(f"where of shape {where.shape} does not broadcast to x of shape {x.shape}")
    return jnp.broadcast_to(where, x.shape)


def windowed(
    x: Any,
    window_shape: Ints,
    strides: Ints | None,
    padding: Padding,
    dilation: Ints,
    ceil_mode: bool,
    axes: Ints | None,
    where: Any,
    method: str,
) -> tuple[jax.Array, Window, jax.Array | None]:
    """The arguments of every windowed operator, checked: the array, its window, its mask."""
    x = real_array("x", x)
    window = Window.resolve(
        x.shape,
        window_shape,
        strides=strides,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        axes=axes,
    )
    if method not in planner.METHODS:
        raise ValueError(f"method must be one of {planner.METHODS}, got {method!r}")
    return x, window, mask(where, x)


def number(name: str, value: Any, *, above: float | None = None) -> float:
    """A finite number of Python or NumPy, greater than `above`.

    Raises:
        TypeError: Not a number.
        ValueError: Not finite, or not greater.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not np.isfinite(value) or (above is not None and not value > above):
        bound = "finite" if above is None else f"finite and greater than {above}"
        raise ValueError(f"{name} must be {bound}, got {value!r}")
    return value if isinstance(value, int) else float(value)


def accumulator(x: jax.Array) -> np.dtype:
    """The dtype in which sums over `x` are taken: float32 for narrower floats, else its own."""
    if jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits < 32:
        return np.dtype(np.float32)
    return np.dtype(np.int32) if x.dtype == np.bool_ else x.dtype
