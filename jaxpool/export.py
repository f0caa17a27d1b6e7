"""One program for all platforms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jaxpool.engine.rules.primitives import is_portable


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Within this context, pooling is made of XLA's own operations on every platform.

    Maxima, minima and sums become `reduce_window` (gradients: `select_and_scatter`), filters
    become convolutions, and what else an operator does is elementwise. Converters to TFLite, ONNX
    or Core ML recognise these, and `jax.export` for several platforms holds one program instead of
    one for each. It is slower on CPU and GPU, and XLA:CPU's `reduce_window` may lose NaN.

    Functions under `jax.jit` are traced anew inside; what is traced or exported inside stays so.

    Yields:
        Nothing.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxpool
        >>> pool = jax.jit(lambda x: jaxpool.max_pool(x, 2))
        >>> x = jnp.zeros((1, 4, 4, 1))
        >>> "reduce_window" in pool.lower(x).as_text()
        False
        >>> with jaxpool.portable():
        ...     "reduce_window" in pool.lower(x).as_text()
        True
    """
    with is_portable(True):
        yield
