"""Files of records: JSON files of one record, which are replaced, and JSON lines, which grow.

Every whole file is replaced atomically, so a process killed at any moment leaves either the old
file or the new one. A file of JSON lines grows, so its last line may be incomplete after a kill;
readers ignore an incomplete line and the next append removes it.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from experiments.records.record import Record
from experiments.records.runs import EpochMetrics
from experiments.writing import RecordError, write_atomically, writing

R = TypeVar("R", bound=Record)


def write(path: Path, record: Record) -> None:
    """Writes one record as indented JSON, atomically."""
    write_atomically(path, record.model_dump_json(indent=2) + "\n")


def read(path: Path, kind: type[R]) -> R:
    """Reads one JSON record.

    Args:
        path: The file.
        kind: The record type it must hold.

    Returns:
        The record.

    Raises:
        RecordError: The file is missing, unreadable, or not a record of this type.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise RecordError(
            f"{path}: not a valid {kind.__name__}: {complaint(error)}; remove the "
            "file and run the command that wrote it again"
        ) from error


def append_lines(path: Path, records: Iterable[Record]) -> None:
    """Appends one JSON line per record, after removing an incomplete last line.

    Raises:
        RecordError: The file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, records)


def _append(path: Path, records: Iterable[Record]) -> None:
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(b"".join(record.model_dump_json().encode() + b"\n" for record in records))
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path, kind: type[R]) -> list[R]:
    """Reads a file of JSON lines. A missing file is empty; an incomplete last line is ignored.

    Args:
        path: The file.
        kind: The record type that every line must hold.

    Returns:
        The records in the file's order.

    Raises:
        RecordError: The file is unreadable, or a complete line is not valid.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise RecordError(
                f"{path}, line {number}: {complaint(error)}; remove the folder {path.parent} "
                "and run the same command again"
            ) from error
    return records


def append_metrics(path: Path, metrics: EpochMetrics) -> None:
    """Adds one epoch to a metrics.jsonl."""
    append_lines(path, [metrics])


def write_metrics(path: Path, metrics: list[EpochMetrics]) -> None:
    """Replaces a metrics.jsonl, for a run that resumes from an earlier checkpoint."""
    write_atomically(path, "".join(m.model_dump_json() + "\n" for m in metrics))


def read_metrics(path: Path) -> list[EpochMetrics]:
    """Reads a metrics.jsonl, as `read_lines` does."""
    return read_lines(path, EpochMetrics)


def complaint(error: ValidationError) -> str:
    """The first error of a ValidationError, on one line: location, reason, value."""
    detail = error.errors(include_url=False, include_input=True)[0]
    place = ".".join(str(part) for part in detail["loc"])
    given = (
        "" if detail["type"] in ("missing", "json_invalid") else f", got {detail['input']!r:.80}"
    )
    return f"{place + ': ' if place else ''}{detail['msg']}{given}"
