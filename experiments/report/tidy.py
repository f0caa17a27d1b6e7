"""All numbers of all runs as tidy data, for pandas and similar tools: runs.csv and epochs.csv.

runs.csv has one row per run and metric, with a column per swept key, then `variant`, `seed`,
`metric`, `value`. epochs.csv has one row per run and epoch, with a column per swept key, then
`variant`, `seed` and the fields of `records.EpochMetrics`. A missing value is empty; a loss that is
not finite is `nan`, `inf` or `-inf`.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from experiments import records
from experiments.folder import StudyFolder
from experiments.records import EpochMetrics, RunRecord
from experiments.report.plan import Plan

METRICS = (
    "test_accuracy",
    "test_loss",
    "test_correct",
    "test_size",
    "train_loss",
    "validation_accuracy",
    "train_seconds",
    "epochs",
    "steps",
)
"""The fields of `RunRecord` that are metrics; the task's own metrics follow them."""


def runs_csv(study: StudyFolder, plan: Plan) -> str:
    """The runs of a finished study, one row per run and metric.

    Args:
        study: The study's folder.
        plan: Its plan.

    Returns:
        CSV. `diverged` is 1 for a run whose loss was not finite, otherwise 0.
    """
    return _csv([*plan.sweep, "variant", "seed", "metric", "value"], _run_rows(study, plan))


def epochs_csv(study: StudyFolder, plan: Plan) -> str:
    """The epochs of a finished study, one row per run and epoch.

    Args:
        study: The study's folder.
        plan: Its plan.

    Returns:
        CSV.
    """
    fields = list(EpochMetrics.model_fields)
    return _csv([*plan.sweep, "variant", "seed", *fields], _epoch_rows(study, plan))


def every_run(
    study: StudyFolder, plan: Plan
) -> Iterator[tuple[StudyFolder, dict[str, Any], str, int]]:
    """The cell's folder, the swept values, the variant and the seed of each run."""
    for cell, swept in plan.cells.items():
        for variant in plan.variants:
            for seed in plan.seeds:
                yield study.of_cell(cell), swept, variant, seed


def _run_rows(study: StudyFolder, plan: Plan) -> Iterator[list[Any]]:
    for folder, swept, variant, seed in every_run(study, plan):
        record = records.read(folder.record(variant, seed), RunRecord)
        metrics = {name: getattr(record, name) for name in METRICS}
        metrics |= {"diverged": int(record.diverged), **record.metrics}
        for name, value in metrics.items():
            if value is not None:
                yield [*_swept(swept), variant, seed, name, value]


def _epoch_rows(study: StudyFolder, plan: Plan) -> Iterator[list[Any]]:
    for folder, swept, variant, seed in every_run(study, plan):
        for epoch in records.read_metrics(folder.metrics(variant, seed)):
            yield [*_swept(swept), variant, seed, *epoch.model_dump().values()]


def _swept(swept: dict[str, Any]) -> list[str]:
    """The values of the swept keys as in summary.csv, but strings without quotation marks."""
    return [value if isinstance(value, str) else json.dumps(value) for value in swept.values()]


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return output.getvalue()
