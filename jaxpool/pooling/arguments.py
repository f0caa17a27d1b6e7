"""Checks of the arguments that operators share: arrays, numbers, keys, window geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from jaxpool.checks import Ints, Padding
from jaxpool.window import Window


@dataclass(frozen=True)
class Geometry:
    """The geometry arguments of windowed operators, as given by the user."""

    window_shape: Ints
    strides: Ints | None = None
    padding: Padding = "VALID"
    dilation: Ints = 1
    ceil_mode: bool = False
    axes: Ints | None = None

    def window(self, x: jax.Array) -> Window:
        """The windows over `x`.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument has a value that is not allowed, or does not fit `x`.
        """
        return Window.resolve(x.shape, **vars(self))


def real_array(name: str, value: Any) -> jax.Array:
    """`value` as an array of a floating, integer or bool dtype.

    Raises:
        TypeError: It is something else.
    """
    value = unwrapped(value)
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        raise TypeError(f"{name} must be an array, got {type(value).__name__}")
    dtype = value.dtype
    allowed = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(dtype, kind) for kind in allowed):
        raise TypeError(f"{name} must be of a floating, integer or bool dtype, got {dtype}")
    check_width(name, dtype)
    # No conversion, not even to the same dtype: with `jax_debug_nans` it raises on a masked NaN.
    return value if isinstance(value, jax.Array) else jnp.asarray(value)


def check_width(name: str, dtype: np.dtype) -> None:
    """Refuse dtypes that XLA:CPU cannot compute with (it aborts on int2), or that lack zero.

    Raises:
        TypeError: Integers of less than 4 bits, floats of less than 8, or a floating dtype without
            0 (`float8_e8m0fnu`).
    """
    if jnp.issubdtype(dtype, jnp.integer) and jnp.iinfo(dtype).bits < 4:
        raise TypeError(f"{name} must be of an integer dtype of at least 4 bits, got {dtype}")
    floating = jnp.issubdtype(dtype, jnp.floating)
    if floating and (jnp.finfo(dtype).bits < 8 or not jnp.finfo(dtype).min < 0):
        raise TypeError(f"{name} must be of a signed dtype of at least 8 bits, got {dtype}")


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
    where = unwrapped(where)
    where = where if hasattr(where, "dtype") else np.asarray(where)
    if where.dtype != np.bool_:
        raise TypeError(f"where must be of dtype bool, got {where.dtype}")
    aligned = zip(reversed(where.shape), reversed(x.shape), strict=False)
    if where.ndim > x.ndim or any(m != 1 and m != n for m, n in aligned):
        raise ValueError(f"where of shape {where.shape} does not broadcast to x of shape {x.shape}")
    return jnp.broadcast_to(where, x.shape)


def windowed(
    x: ArrayLike, where: ArrayLike | None, geometry: Geometry, *, floating: bool = False
) -> tuple[jax.Array, Window, jax.Array | None]:
    """Check the arguments of a windowed operator; returns the array, its windows and its mask.

    Args:
        x: The array.
        where: The mask.
        geometry: The geometry arguments.
        floating: Whether the operator takes floating dtypes only.
    """
    x = (floating_array if floating else real_array)("x", x)
    return x, geometry.window(x), mask(where, x)


def number(name: str, value: Any, *, above: float | None = None) -> float:
    """`value` as a finite Python float, greater than `above`.

    Raises:
        TypeError: Not a number.
        ValueError: Not finite, or not greater.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        result = float(value)
    except OverflowError:  # an int larger than any float
        result = math.inf
    if not _is_allowed(result, above):
        raise ValueError(f"{name} must be {_allowed(above)}, got {value!r}")
    return result


def _is_allowed(numbers: Any, above: float | None) -> bool:
    return bool(np.all(np.isfinite(numbers) & (True if above is None else numbers > above)))


def _allowed(above: float | None) -> str:
    return "finite" if above is None else f"finite and greater than {above}"


def parameter(
    name: str,
    value: Any,
    x: jax.Array,
    window: Window,
    *,
    above: float | None = None,
    per_window: bool = False,
) -> jax.Array:
    """A number or an array of numbers (maybe traced), in the accumulation dtype of `x`.

    Args:
        name: The argument's name.
        value: A number, or an array that broadcasts to the output.
        x: The input.
        window: Its geometry.
        above: Lower bound, exclusive; the entries of a traced array are not checked.
        per_window: Whether an array may differ from window to window.

    Raises:
        TypeError: Neither a number nor an array of numbers.
        ValueError: An entry that is not finite (also in the accumulation dtype) or not greater than
            `above`, or a shape that does not broadcast.
    """
    dtype, value = accumulator(x), unwrapped(value)
    if not isinstance(value, jax.Array | np.ndarray):
        single = number(name, value, above=above)
        _check_range(name, single, dtype)
        return jnp.asarray(single, dtype)
    if not any(jnp.issubdtype(value.dtype, kind) for kind in (jnp.floating, jnp.integer)):
        raise TypeError(f"{name} must be a number or an array of numbers, got {value.dtype}")
    entries = known(value)
    if entries is not None:
        if not _is_allowed(entries, above):
            raise ValueError(f"{name} must be {_allowed(above)} everywhere, got {entries!r}")
        _check_range(name, entries, dtype)
    allowed = list(window.output_shape(x.shape))
    if not per_window:
        for position in window.positions:
            allowed[position] = 1
    aligned = zip(reversed(value.shape), reversed(allowed), strict=False)
    if value.ndim > x.ndim or any(given not in (1, size) for given, size in aligned):
        raise ValueError(
            f"{name} must be a number or an array that broadcasts to {tuple(allowed)}, "
            f"got shape {value.shape}"
        )
    return jnp.asarray(value, dtype).reshape((1,) * (x.ndim - value.ndim) + value.shape)


def _check_range(name: str, numbers: Any, dtype: np.dtype) -> None:
    most = float(jnp.finfo(dtype).max)
    if not np.all(np.abs(numbers) <= most):
        raise ValueError(
            f"{name} must lie in [-{most:.3g}, {most:.3g}] for {dtype}, got {numbers!r}"
        )


def random_key(name: str, value: Any) -> jax.Array:
    """One key of `jax.random`, typed or of dtype uint32.

    Raises:
        TypeError: It is something else, for example a seed.
    """
    value = unwrapped(value)
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key) and value.ndim == 0:
            return value
        if value.dtype == np.uint32 and value.ndim == 1:
            return value
    got = f"{value.dtype}{list(value.shape)}" if hasattr(value, "shape") else repr(value)
    raise TypeError(f"{name} must be one key, as jax.random.key(0) is, got {got}")


def accumulator(x: jax.Array) -> np.dtype:
    """The dtype of sums over `x`: float32 for narrower floats, int32 for bool, else its own."""
    if jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits < 32:
        return np.dtype(np.float32)
    return np.dtype(np.int32) if x.dtype == np.bool_ else x.dtype


def known(value: Any) -> np.ndarray | None:
    """The array as a NumPy array, for checks of its values; None if it is traced."""
    value = unwrapped(value)
    return None if isinstance(value, Tracer) else np.asarray(value)


def unwrapped(value: Any) -> Any:
    """The array inside a wrapper such as `nnx.Param`; any other value as it is."""
    return value.__jax_array__() if is_wrapper(value) else value


def is_wrapper(value: Any) -> bool:
    """Whether this object is not an array but converts to one (`__jax_array__`)."""
    return not isinstance(value, jax.Array) and hasattr(value, "__jax_array__")
