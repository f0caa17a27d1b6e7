"""Atomic file writes, which survive a killed process or a full disk, and one-line write errors."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RecordError(Exception):
    """A results folder or one of its files cannot be used; the message names it and the reason."""


_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`)",
    errno.EROFS: "make it writable, or give --out another folder,",
    errno.EACCES: "make it writable, or give --out another folder,",
    errno.EPERM: "make it writable, or give --out another folder,",
    errno.EEXIST: "move the file that is in the way, or give --out another folder,",
    errno.ENOTDIR: "move the file that is in the way, or give --out another folder,",
    errno.EISDIR: "move the folder that is in the way",
}
"""A remedy for each error of the operating system that a user can fix."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an error of the operating system into a one-line message with a remedy.

    Args:
        path: The file or folder that the `with` block writes.

    Raises:
        RecordError: The path cannot be written.
    """
    try:
        yield
    except OSError as error:
        advice = _REMEDIES.get(error.errno or 0, "remove the cause")
        raise RecordError(
            f"{path}: cannot be written: {error.strerror}; {advice} and run the same command again"
        ) from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces a file in one step, creating its folder if need be.

    Args:
        path: The file to write.
        content: Its whole content; text is written as UTF-8.

    Raises:
        RecordError: The file cannot be written; its previous content is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_torn(folder: Path) -> None:
    """Removes the temporary files of processes that were killed during a write."""
    with writing(folder):
        for path in folder.rglob(".*.tmp"):
            path.unlink(missing_ok=True)
