"""Export of platform-independent programs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jaxpool.engine.plan.target import is_portable


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """A context manager inside which pooling is lowered to XLA's own operations on every platform.

    Maxima, minima and sums become `reduce_window`, the gradients of maxima and minima without
    dilation `select_and_scatter`, and filters convolutions. Converters to TFLite, ONNX or Core ML
    recognise these operations. Operators that search or sample (medians, the k largest elements,
    indices, random windows, boxes) also contain slices, gathers, scatters or loops. `jax.export`
    for several platforms contains one program instead of one per platform. Programs are slower on
    CPU and GPU, and XLA:CPU's `reduce_window` may lose NaN.

    Functions under `jax.jit` are traced again inside the context. Programs that were traced or
    exported inside keep this lowering.

    Yields:
        None: use `with portable():`.

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
