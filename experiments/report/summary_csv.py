"""The file summary.csv: writing and reading of its rows.

It contains all data that comparisons need, including the score of each seed, so a published study
can be compared without its runs.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments import records, statistics
from experiments.records import RecordError
from experiments.report.rows import SummaryRow
from experiments.tasks import METRICS

_ENDS = ("mean", "std", "ci95_low", "ci95_high")


def to_csv(rows: Sequence[SummaryRow]) -> str:
    """The rows as CSV: measured numbers with six significant digits, scores exactly."""
    tables = [_columns(row) for row in rows]
    output = io.StringIO()
    writer = csv.DictWriter(
        output, list(dict.fromkeys(name for table in tables for name in table)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(tables)
    return output.getvalue()


def read_csv(path: Path) -> list[SummaryRow]:
    """Reads a summary.csv; ignores unknown columns.

    Args:
        path: The file.

    Returns:
        Its rows.

    Raises:
        RecordError: The file is missing, empty or not valid; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    rows = []
    for line, cells in enumerate(table, start=2):
        known: dict[str, Any] = {
            name: cells[name] for name in SummaryRow.model_fields if cells.get(name) is not None
        }
        try:
            known |= {"metrics": _metrics(cells), "swept": _swept(cells)}
            rows.append(SummaryRow.model_validate(known))
        except ValidationError as error:
            raise RecordError(f"{path}, line {line}: {records.complaint(error)}") from error
    if not rows:
        raise RecordError(f"{path}: has no rows")
    return rows


def _columns(row: SummaryRow) -> dict[str, str]:
    """The text of each column of a row."""
    columns = {
        name: _cell(value) for name, value in row if name not in ("metrics", "swept", "tuned")
    }
    if row.published_accuracy is None:
        del columns["published_accuracy"]
    if row.tuned is not None:
        columns["tuned"] = json.dumps(row.tuned)
    for name, estimate in row.metrics.items():
        values = (estimate.mean, estimate.std, estimate.low, estimate.high)
        columns |= {f"{name}_{end}": _cell(value) for end, value in zip(_ENDS, values, strict=True)}
    return columns | {key: json.dumps(value) for key, value in row.swept.items()}


def _metrics(cells: Mapping[str, Any]) -> dict[str, statistics.MeanEstimate]:
    """Parses the metrics of a line of the file."""
    found = {}
    for name in METRICS:
        if cells.get(f"{name}_mean"):
            mean, *others = (cells[f"{name}_{end}"] for end in _ENDS)
            std, low, high = (float(other) if other else None for other in others)
            found[name] = statistics.MeanEstimate(int(cells["seeds"]), float(mean), std, low, high)
    return found


def _swept(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Parses the swept keys of a line of the file: the columns with a dot in their name."""
    return {key: json.loads(cells[key]) for key in cells if key and "." in key and cells[key]}


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.6g}" if abs(value) < 1e5 else f"{value:.0f}"
        case dict():
            return " ".join(f"{key}:{item}" for key, item in value.items())
        case _:
            return str(value)
