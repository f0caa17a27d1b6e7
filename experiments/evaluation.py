"""The chunks of examples in which a split is evaluated."""

import math

import numpy as np

EVALUATION_CHUNK = 500
"""Examples evaluated at a time: enough to fill a device, few enough to bound its memory."""


def evaluation_chunks(count: int, multiple: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Divides examples into chunks of equal size, in their order.

    Args:
        count: The number of examples, at least 1.
        multiple: The size of a chunk is a multiple of this number.

    Returns:
        The indices of the examples of each chunk (chunks, examples), in which the last example is
        repeated to fill the last chunk; and which of them are no repetitions, of the same shape.

    Example:
        >>> order, real = evaluation_chunks(3, multiple=4)
        >>> order.tolist(), real.tolist()
        ([[0, 1, 2, 2]], [[True, True, True, False]])
    """
    size = math.ceil(count / math.ceil(count / EVALUATION_CHUNK) / multiple) * multiple
    chunks = math.ceil(count / size)
    order = np.arange(chunks * size).reshape(chunks, size)
    return np.minimum(order, count - 1), order < count
