"""`jax.lax` with a `reduce_window` that is differentiable for any associative function.

Replace `from jax import lax` by

    from jaxpool.compat import lax
    lax.reduce_window(...)

Every other name is that of `jax.lax`. See `jaxpool.reduce_window` for the definition.
`jax.lax.reduce_window` on CPU may lose a NaN and ignore `base_dilation` on large arrays, and
combines an `init_value` that is not an identity several times in wide windows. On every device it
lacks the derivatives of a dilated max, of functions other than max, min and add, and with respect
to `init_value`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax

from jaxpool import pooling

Tree = TypeVar("Tree")  # a JAX array, or a pytree of them


def reduce_window(
    operand: Tree,
    init_value: object,
    computation: Callable[[Tree, Tree], object],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: str | Sequence[Sequence[int]] = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Tree:
    """`jaxpool.reduce_window`, with the error classes of `jax.lax`.

        y[o] = f(init, f(x[first element], f(x[second], ...)))

    Arguments and result are those of `jaxpool.reduce_window`. If a pooled axis has a symbolic size
    (`jax.export`), it calls `jax.lax.reduce_window`, which lacks some derivatives.

    Raises:
        Exception: For arguments that `jaxpool.reduce_window` refuses, an error of the class that
            `jax.lax.reduce_window` raises for them, usually TypeError or ValueError.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool.compat import lax
        >>> lax.reduce_window(jnp.arange(4.0), 1.0, lax.mul, (2,))
        Array([0., 2., 6.], dtype=float32)
    """
    arguments: Any = (
        *(operand, init_value, computation, window_dimensions),
        *(window_strides, padding, base_dilation, window_dilation),
    )
    if _pools_a_symbolic_axis(operand, window_dimensions, window_strides, padding):
        return jax.lax.reduce_window(*arguments)
    try:
        return pooling.reduce_window(*arguments)
    except (TypeError, ValueError) as error:
        raise _error_of_lax(error, arguments) from error


def _pools_a_symbolic_axis(operand: Any, window: Any, strides: Any, padding: Any) -> bool:
    shape = next((leaf.shape for leaf in jax.tree.leaves(operand) if hasattr(leaf, "shape")), ())
    if all(isinstance(size, int) for size in shape):
        return False
    pads = padding if isinstance(padding, list | tuple) else [(0, 0)] * len(shape)
    axes = zip(shape, window, strides or [1] * len(shape), pads, strict=False)
    plain = (1, 1, (0, 0))
    return any(
        not isinstance(size, int) and (width, step, tuple(pad)) != plain
        for size, width, step, pad in axes
    )


def _error_of_lax(error: Exception, arguments: tuple[Any, ...]) -> Exception:
    """The error, converted to the class that `jax.lax` raises for the same call, if it raises."""
    try:
        jax.eval_shape(lambda: jax.lax.reduce_window(*arguments))
    except Exception as theirs:  # any class: the class is the result
        return type(theirs)(str(error))
    return error


def __getattr__(name: str) -> Any:
    """Any other name of `jax.lax`."""
    return getattr(jax.lax, name)


def __dir__() -> list[str]:
    return sorted({*dir(jax.lax), "reduce_window"})
