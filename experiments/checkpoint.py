"""Checkpoints of a replicated state: one `.npz` file of plain arrays, replaced atomically.

Writing one small file takes a millisecond per epoch; a checkpointing framework would take longer
than an epoch of a small study. Reading the file runs no code (no pickle).
A sharded state has another format, `experiments.sharded_checkpoint`.
"""

import io
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from experiments import sharded_checkpoint
from experiments.records import RecordError, write_atomically

_EPOCH, _FINGERPRINT = "epoch", "fingerprint"
T = TypeVar("T")


def save(path: Path, state: object, *, epoch: int, fingerprint: str) -> None:
    """Writes a state.

    Args:
        path: The file.
        state: A pytree of arrays.
        epoch: How many epochs it has seen.
        fingerprint: Of the config that made it.
    """
    content: dict[str, Any] = {_EPOCH: np.int64(epoch), _FINGERPRINT: np.str_(fingerprint)}
    content |= {f"state{name}": np.asarray(leaf) for name, leaf in _named(state)}
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    write_atomically(path, buffer.getvalue())


def restore(path: Path, like: T, *, fingerprint: str) -> tuple[T, int] | None:
    """Reads a state back.

    Args:
        path: The file.
        like: A pytree of the same structure, shapes and dtypes.
        fingerprint: Of the config that must have made it.

    Returns:
        The state and how many epochs it has seen; None if there is no file.

    Raises:
        RecordError: The file is damaged, or was made by another config.
    """
    if not path.exists():
        return None
    stored = _read(path)
    if str(stored.pop(_FINGERPRINT)) != fingerprint:
        raise RecordError(f"{path}: was made by another config; remove it to train this again")
    epoch = int(stored.pop(_EPOCH))
    expected = {f"state{name}": leaf for name, leaf in _named(like)}
    described, wanted = ({n: (a.shape, a.dtype) for n, a in d.items()} for d in (stored, expected))
    if described != wanted:
        raise RecordError(
            f"{path}: does not hold this network's state; remove it to train this again"
        )
    return jax.tree.unflatten(jax.tree.structure(like), [stored[n] for n in expected]), epoch


def fingerprint(path: Path) -> str:
    """The fingerprint of the config that made a checkpoint.

    Args:
        path: The file; of a sharded state its checkpoint.json.

    Raises:
        RecordError: The file is damaged.
    """
    if path.suffix == ".json":
        return sharded_checkpoint.fingerprint(path)
    return str(_read(path)[_FINGERPRINT])


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            stored = dict(file)
        missing = {_EPOCH, _FINGERPRINT} - set(stored)
    except Exception as error:  # zipfile and NumPy raise a dozen kinds, MemoryError among them
        raise RecordError(f"{path}: damaged ({error}); remove it to train this again") from error
    if missing:
        raise RecordError(
            f"{path}: no checkpoint, for it lacks {', '.join(sorted(missing))}; remove it to train "
            "this again"
        )
    return stored


def _named(tree: object) -> list[tuple[str, jax.Array]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]
