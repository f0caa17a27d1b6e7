"""What takes minutes to compute, kept in the user's cache by the hash of what it is made of."""

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def cached(name: str, key: str, compute: Callable[[], Arrays]) -> Arrays:
    """Arrays from the user's cache, or computed and put there.

    Args:
        name: What they are, a folder of the cache.
        key: SHA-256 of all that decides what they are.
        compute: Computes them.

    Returns:
        The arrays by name. A cache that cannot be read or written changes nothing but the time.
    """
    import pooch  # pulls in requests, so only on use

    path = Path(pooch.os_cache("jaxpool")) / name / f"{key}.npz"
    try:
        with np.load(path, allow_pickle=False) as kept:
            return {entry: kept[entry] for entry in kept.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        arrays = compute()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        Path(temporary).replace(path)
    return arrays
