"""Checkpoints of a sharded state: orbax writes the arrays, a JSON file names the valid ones.

The folder of a checkpoint::

    checkpoint.json    the fingerprint, the epoch, the shapes, and a checksum per file of the arrays
    epoch-K/           the arrays after epoch K, written by orbax, all processes together

Process 0 replaces checkpoint.json atomically once the arrays are complete, and then removes the
arrays of the previous epoch. A process killed at any moment leaves the last complete checkpoint.
Orbax stores numbers (Zarr in OCDBT) and JSON; reading them runs no code (no pickle).
"""

import logging
import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import jax
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from experiments.records import RecordError, write_atomically, writing

T = TypeVar("T")
_BLOCK = 1 << 20
_AGAIN = "remove it to train this again"


class CollectiveError(RecordError):
    """A process failed in an operation of all processes: the others may be waiting inside it."""


class _Index(BaseModel):
    """The content of checkpoint.json; `arrays` has the name, shape and dtype of each array."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: Annotated[int, Field(ge=1)]
    fingerprint: str
    arrays: tuple[tuple[str, tuple[int, ...], str], ...]
    files: dict[str, int]


def arrays_folder(index: Path, epoch: int) -> Path:
    """The folder of the arrays of an epoch.

    Args:
        index: The checkpoint.json.
        epoch: How many epochs the state has seen.
    """
    return index.parent.absolute() / f"epoch-{epoch}"


def write(folder: Path, state: object) -> None:
    """Writes the arrays of a state; every process calls this, and all wait until it is done.

    Args:
        folder: Of `arrays_folder`; all processes see it. Replaced if it exists.
        state: A pytree of arrays, each of which may be divided among the devices of all processes.

    Raises:
        CollectiveError: The folder cannot be written, or this process does not see the one in which
            process 0 has it.
    """
    import orbax.checkpoint as ocp

    if jax.process_index() == 0:
        with writing(folder.parent):
            folder.parent.mkdir(parents=True, exist_ok=True)
    _meet(f"checkpoint {folder}")
    if not folder.parent.is_dir():
        raise CollectiveError(
            f"{folder.parent}: process {jax.process_index()} does not see this folder of process "
            "0; training.shard_state needs a results folder that all processes share (--out)"
        )
    try:
        with _quiet(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            checkpointer.save(folder, ocp.args.PyTreeSave(_numbered(state)), force=True)
    except jax.errors.JaxRuntimeError:
        raise  # perhaps since another process is lost
    except Exception as error:  # TensorStore's errors of the file system are of several types
        raise CollectiveError(
            f"{folder}: cannot be written ({_first_line(error)}); remove the cause and run the "
            "same command again"
        ) from error


def commit(index: Path, state: object, *, epoch: int, fingerprint: str) -> None:
    """Makes arrays that `write` has written the checkpoint, and removes earlier ones.

    Args:
        index: The checkpoint.json.
        state: The state.
        epoch: How many epochs it has seen.
        fingerprint: Of the config that made it.

    Raises:
        RecordError: The index cannot be written.
    """
    folder = arrays_folder(index, epoch)
    with writing(folder):
        files = _checksums(folder, sync=True)
    content = _Index(epoch=epoch, fingerprint=fingerprint, arrays=_described(state), files=files)
    write_atomically(index, content.model_dump_json())
    with writing(index.parent):
        for path in set(index.parent.iterdir()) - {index, index.parent / folder.name}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def find(index: Path, like: object, *, fingerprint: str) -> tuple[Path, int] | None:
    """Checks all files of a checkpoint before the processes read it together.

    Args:
        index: The checkpoint.json.
        like: A pytree of the same structure, shapes and dtypes.
        fingerprint: Of the config that must have made it.

    Returns:
        The folder of its arrays and how many epochs they have seen; None if there is none.

    Raises:
        RecordError: It is damaged, or was made by another config.
    """
    if not index.exists():
        return None
    content = _read_index(index)
    if content.fingerprint != fingerprint:
        raise RecordError(f"{index}: was made by another config; {_AGAIN}")
    if content.arrays != _described(like):
        raise RecordError(f"{index}: does not hold this network's state; {_AGAIN}")
    folder = arrays_folder(index, content.epoch)
    try:
        files = _checksums(folder)
    except OSError as error:
        raise RecordError(_damaged(folder, error.strerror or str(error))) from error
    for name in sorted(files.keys() | content.files.keys()):
        if name not in files:
            raise RecordError(_damaged(folder, f"it lacks {name}"))
        if files[name] != content.files.get(name):
            raise RecordError(_damaged(folder, f"{name} has changed"))
    return folder, content.epoch


def read(folder: Path, like: T, shardings: T) -> T:
    """Reads a state; every process calls this, and reads the parts that its devices hold.

    Args:
        folder: Of `find`.
        like: A pytree of the same structure, shapes and dtypes.
        shardings: The sharding of each array.

    Raises:
        CollectiveError: The arrays are damaged.
    """
    import orbax.checkpoint as ocp

    leaves = jax.tree.map(
        lambda leaf, one: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=one),
        like,
        shardings,
    )
    wanted = _numbered(leaves)
    restore = ocp.checkpoint_utils.construct_restore_args(wanted)
    try:
        with _quiet(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            stored = checkpointer.restore(folder, ocp.args.PyTreeRestore(wanted, restore))
    except jax.errors.JaxRuntimeError:
        raise  # perhaps since another process is lost
    except Exception as error:  # TensorStore and orbax raise a dozen kinds
        raise CollectiveError(_damaged(folder, _first_line(error))) from error
    return jax.tree.unflatten(jax.tree.structure(like), [stored[name] for name in wanted])


def fingerprint(index: Path) -> str:
    """The fingerprint of the config that made a checkpoint.

    Raises:
        RecordError: The index is damaged.
    """
    return _read_index(index).fingerprint


def _read_index(index: Path) -> _Index:
    try:
        return _Index.model_validate_json(index.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = f"{place}: {first['msg']}" if place else first["msg"]
        raise RecordError(f"{index}: damaged ({message}); {_AGAIN}") from error
    except OSError as error:
        raise RecordError(f"{index}: damaged ({error.strerror}); {_AGAIN}") from error


def _damaged(folder: Path, found: str) -> str:
    """The message for damaged arrays; their index must be removed too, since it names them."""
    return f"{folder}: damaged ({found}); remove {folder.parent} to train this again"


@contextmanager
def _quiet() -> Iterator[None]:
    """A context in which orbax logs nothing; its exceptions name the failure.

    If one of TensorStore's operations fails, orbax closes the event loop, and Python would print a
    traceback for each other operation that ends later. Therefore the hook stays after a failure.
    """
    logger, hook = logging.getLogger("absl"), sys.unraisablehook
    level = logger.level

    def unraisable(late: Any) -> None:
        if str(late.exc_value) != "Event loop is closed":
            hook(late)

    logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        logger.setLevel(level)
    sys.unraisablehook = hook


def _meet(name: str) -> None:
    """Waits until all processes have called this."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def _numbered(tree: object) -> dict[str, Any]:
    """The arrays of a tree by number, because the keys of the tree may have any character."""
    return {str(number): leaf for number, leaf in enumerate(jax.tree.leaves(tree))}


def _described(tree: object) -> tuple[tuple[str, tuple[int, ...], str], ...]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return tuple(
        (jax.tree_util.keystr(path), tuple(leaf.shape), str(leaf.dtype)) for path, leaf in leaves
    )


def _checksums(folder: Path, *, sync: bool = False) -> dict[str, int]:
    """The CRC-32 of every file in a folder by its relative path; `sync` waits for the disk."""
    if not folder.is_dir():
        raise FileNotFoundError(2, os.strerror(2), str(folder))
    sums = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        value = 0
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                value = zlib.crc32(block, value)
            if sync:
                os.fsync(file.fileno())
        sums[path.relative_to(folder).as_posix()] = value
    return sums


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
