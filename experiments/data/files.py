"""What datasets made of a user's own files share: checksums, and reading each file only once."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from experiments.data.dataset import DataError

T = TypeVar("T")

_remembered: dict[tuple[str, Any], tuple[Any, Any]] = {}


def sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Args:
        path: The file.

    Returns:
        It in hexadecimal.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def remembered(path: Path, read: Callable[[Path], T]) -> T:
    """What a function makes of a file, kept until the file changes.

    A config is checked once per cell of a sweep; only the first check reads the file.

    Args:
        path: The file.
        read: Reads it.

    Returns:
        What `read` returned, now or when the file was as it is now.

    Raises:
        DataError: As `read` does.
    """
    try:
        status = path.stat()
    except OSError:
        return read(path)
    state = (status.st_ino, status.st_mtime_ns, status.st_size)
    key = (str(path.absolute()), read)
    if key not in _remembered or _remembered[key][0] != state:
        _remembered[key] = (state, read(path))
    return _remembered[key][1]
