"""Flax's pooling functions, with Flax's signatures and default stride of 1.

Replace `from flax import nnx` / `nnx.max_pool(...)` (or `flax.linen`) by

    from jaxpool.compat import flax as pooling
    pooling.max_pool(...)

Values agree with Flax, with three exceptions: Flax may lose a NaN, accumulates the mean of half
precision in half precision, and converts bfloat16 to float32. Importing this module does not import
Flax.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxpool import pooling
from jaxpool.window import Window

_Pairs = str | Sequence[tuple[int, int]]


def max_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: _Pairs = "VALID",
) -> jax.Array:
    """`jaxpool.max_pool` with the signature of `flax.nnx.max_pool`.

        y[o] = max over taps t of inputs[o * stride + t - low]

    Args:
        inputs: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Taps per spatial axis, a sequence of ints.
        strides: Steps between windows, a sequence of ints; None means 1.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or a pair `(low, high)` per spatial axis;
            negative padding crops.

    Returns:
        The pooled array, of the dtype of `inputs`. A window without an element gives the identity
        of max, as in `jaxpool.max_pool`.

    Raises:
        TypeError: `inputs` is not an array of real numbers, `window_shape` or `strides` is not a
            sequence of ints, or `padding` is neither a string nor pairs of ints.
        ValueError: `inputs` has fewer axes than `window_shape` has entries, plus one; a window or a
            stride is less than 1; or `strides` or `padding` does not have one entry per spatial
            axis, or `padding` has another name.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool.compat import flax
        >>> flax.max_pool(jnp.arange(4.0).reshape(1, 4, 1), (2,))[0, :, 0]
        Array([1., 2., 3.], dtype=float32)
    """
    inputs, given = _cropped(inputs, _arguments(inputs, window_shape, strides, padding))
    return pooling.max_pool(inputs, **given)


def min_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: _Pairs = "VALID",
) -> jax.Array:
    """`jaxpool.min_pool` with the signature of `flax.nnx.min_pool`.

        y[o] = min over taps t of inputs[o * stride + t - low]

    Arguments and errors are those of `max_pool` in this module. A window without an element gives
    the identity of min, as in `jaxpool.min_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool.compat import flax
        >>> flax.min_pool(jnp.arange(4.0).reshape(1, 4, 1), (2,))[0, :, 0]
        Array([0., 1., 2.], dtype=float32)
    """
    inputs, given = _cropped(inputs, _arguments(inputs, window_shape, strides, padding))
    return pooling.min_pool(inputs, **given)


def avg_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: _Pairs = "VALID",
    count_include_pad: bool = True,
) -> jax.Array:
    """`jaxpool.avg_pool` with the signature of `flax.nnx.avg_pool`.

        y[o] = sum over taps t of inputs[o * stride + t - low] / divisor[o]

    As in Flax, `inputs` may be complex, and a window that lies entirely in padding gives NaN with
    `count_include_pad=False` (`jaxpool.avg_pool` gives 0).

    Args:
        inputs: Array `(*batch, *spatial, channels)` of a floating, complex, integer or bool dtype.
        window_shape: Taps per spatial axis; see `max_pool` in this module, also for the arguments
            below.
        strides: Steps between windows; None means 1.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or pairs; negative padding crops.
        count_include_pad: True divides by the number of taps; False divides by the number of taps
            inside the input.

    Returns:
        The pooled array, of the dtype of `inputs` if it is floating or complex, else of float32.

    Raises:
        TypeError: As in `max_pool`; or `count_include_pad` is not a bool.
        ValueError: As in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool.compat import flax
        >>> flax.avg_pool(jnp.arange(4.0).reshape(1, 4, 1), (2,))[0, :, 0]
        Array([0.5, 1.5, 2.5], dtype=float32)
    """
    if jnp.iscomplexobj(inputs):
        parts = (
            avg_pool(part, window_shape, strides, padding, count_include_pad)
            for part in (jnp.real(inputs), jnp.imag(inputs))
        )
        return jax.lax.complex(*parts)
    inputs, given = _cropped(inputs, _arguments(inputs, window_shape, strides, padding))
    y = pooling.avg_pool(inputs, **given, count_include_pad=count_include_pad)
    if count_include_pad:
        return y
    window = Window.resolve(jnp.shape(inputs), **given)
    for position, axis in zip(window.positions, window.axes, strict=True):
        empty = np.array(axis.counts(include_pad=False)) == 0
        if empty.any():
            y = jnp.where(np.expand_dims(empty, tuple(range(1, -position))), np.nan, y)
    return y


def pool(
    inputs: ArrayLike,
    init: ArrayLike,
    reduce_fn: Callable[[jax.Array, jax.Array], ArrayLike],
    window_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: _Pairs,
) -> jax.Array:
    """Pooling with any associative function, with the signature of `flax.nnx.pool`.

        y[o] = f(init, f(first element of window o, f(second element, ...)))

    It calls `jaxpool.reduce_window`, so every function is differentiable.

    Args:
        inputs: Array `(*batch, *spatial, channels)`.
        init: Initial value of the reduction, a scalar that JAX promotes to the dtype of `inputs`.
        reduce_fn: Associative function of two scalars.
        window_shape: Taps per spatial axis, a sequence of ints.
        strides: Steps between windows, a sequence of ints; None means 1.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or a pair `(low, high)` per spatial axis;
            negative padding crops.

    Returns:
        The pooled array, of the dtype of `inputs`. A window without an element gives `init`.

    Raises:
        TypeError: As in `max_pool`; or `init` or the result of `reduce_fn` has another dtype, or
            `reduce_fn` is not a function.
        ValueError: As in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jax import lax
        >>> from jaxpool.compat import flax
        >>> x = jnp.arange(1.0, 5.0).reshape(1, 4, 1)
        >>> flax.pool(x, 1.0, lax.mul, (2,), None, "VALID")[0, :, 0]
        Array([ 2.,  6., 12.], dtype=float32)
    """
    given = _arguments(inputs, window_shape, strides, padding)
    batch = jnp.ndim(inputs) - len(given["window_shape"]) - 1
    if not isinstance(padding, str):
        padding = [(0, 0)] * batch + list(padding) + [(0, 0)]
    return pooling.reduce_window(
        jnp.asarray(inputs),
        init,
        reduce_fn,
        (1,) * batch + given["window_shape"] + (1,),
        (1,) * batch + given["strides"] + (1,),
        padding,
    )


def _cropped(inputs: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The inputs, cropped by negative padding, and the arguments with padding of at least 0."""
    if isinstance(given["padding"], str):
        return inputs, given
    pairs = [tuple(pair) for pair in given["padding"]]
    if not all(len(pair) == 2 for pair in pairs) or min((0, *sum(pairs, ()))) == 0:
        return inputs, given
    for position, (low, high) in zip(range(-len(pairs) - 1, -1), pairs, strict=True):
        axis = inputs.ndim + position
        end = inputs.shape[axis] - max(0, -high)
        begin = min(max(0, -low), end)
        inputs = jax.lax.slice_in_dim(inputs, begin, max(begin, end), axis=axis)
    return inputs, given | {"padding": [(max(low, 0), max(high, 0)) for low, high in pairs]}


def _arguments(inputs: Any, window_shape: Any, strides: Any, padding: Any) -> dict[str, Any]:
    if isinstance(window_shape, int) or isinstance(strides, int):
        raise TypeError(
            "window_shape and strides must be sequences of ints, as in Flax, "
            f"got {window_shape!r} and {strides!r}"
        )
    window_shape = tuple(window_shape)
    if jnp.ndim(inputs) < len(window_shape) + 1:
        raise ValueError(
            f"inputs must have at least {len(window_shape) + 1} axes for window_shape="
            f"{window_shape}, got {jnp.ndim(inputs)}"
        )
    pairs = padding if isinstance(padding, Sequence) else (padding,)
    if not isinstance(padding, str) and any(not isinstance(pair, Sequence) for pair in pairs):
        raise TypeError(f"padding must be a string or pairs (low, high), got {padding!r}")
    return {
        "window_shape": window_shape,
        "strides": (1,) * len(window_shape) if strides is None else tuple(strides),
        "padding": padding,
    }
