"""Cache of arrays that take minutes to compute, in the user's cache folder."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def cached(name: str, key: str, compute: Callable[[], Arrays]) -> Arrays:
    """Returns arrays from the user's cache, or computes and stores them.

    Args:
        name: A folder of the cache.
        key: SHA-256 of all inputs of the computation.
        compute: Computes the arrays.

    Returns:
        The arrays by name. If the cache cannot be read or written, they are computed each time.
    """
    import pooch  # imported here because it loads requests

    path = Path(pooch.os_cache("jaxpool")) / name / f"{key}.npz"
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            return {entry: kept[entry] for entry in kept.files}
    except Exception:  # There is no file, or zipfile and NumPy raise one of a dozen kinds.
        arrays = compute()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        Path(temporary).replace(path)
    return arrays
