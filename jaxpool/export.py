"""Export of platform-independent programs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jaxpool.engine.rules.primitives import is_portable


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """A context in which pooling is lowered to XLA's own operations on every platform.

    Maxima, minima and sums become `reduce_window` (gradients: `select_and_scatter`), filters become
    convolutions, and the remaining operations are elementwise. Converters to TFLite, ONNX or Core
    ML recognise these operations, and `jax.export` for several platforms contains one program
    instead of one per platform. Programs are slower on CPU and GPU, and XLA:CPU's `reduce_window`
    may lose NaN.

    Functions under `jax.jit` are traced again inside the context. Programs that were traced or
    exported inside keep this lowering.

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
