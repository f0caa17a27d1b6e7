"""Rows of summary.csv, computed from records; see `experiments.report.summary_csv` for the file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from experiments import records, statistics
from experiments.folder import StudyFolder, cell_name
from experiments.records import (
    Accuracy,
    Count,
    Measurement,
    NonNegative,
    Positive,
    Record,
    RecordError,
    RunRecord,
    VariantName,
)
from experiments.report import words


def _blank_is_none(cell: Any) -> Any:
    return None if cell == "" else cell


def _pairs(cell: Any) -> Any:
    """Parses ``"0:590 1:588"`` to a dict."""
    if not isinstance(cell, str):
        return cell
    return dict(pair.split(":", 1) for pair in cell.split())


def _settings(cell: Any) -> Any:
    """Parses the JSON of a choice to a dict; an empty cell is None."""
    return None if cell == "" else json.loads(cell) if isinstance(cell, str) else cell


MaybeAccuracy = Annotated[Accuracy | None, BeforeValidator(_blank_is_none)]
MaybeNonNegative = Annotated[NonNegative | None, BeforeValidator(_blank_is_none)]
MaybePositive = Annotated[Positive | None, BeforeValidator(_blank_is_none)]


class SummaryRow(Record):
    """The results of one variant, in one cell of a sweep, on one device.

    The fields are the columns of summary.csv, in order, with these exceptions. Each metric in
    `metrics` has the columns `NAME_mean`, `NAME_std`, `NAME_ci95_low` and `NAME_ci95_high`; each
    swept key in `swept` has a column of its own name. `published_accuracy`, an accuracy published
    by others, has a column only if some row has one. `tuned`, the settings chosen for a variant,
    has a column only in a tuned study, and is empty for a variant that was not tuned.

    Accuracies are shares; times are in the unit of their name. An interval is the 95% interval of
    the mean over seeds (accuracy), of the median over repetitions (throughput) or of the percentile
    (latency). Values that the data do not determine, such as the spread of one seed, are None, and
    empty in the file.
    """

    model_config = ConfigDict(strict=False)

    variant: VariantName
    device: str
    device_source: Literal["measured", "estimated"]
    seeds: Annotated[int, Field(ge=1)]
    test_accuracy_mean: Accuracy
    test_accuracy_std: MaybeNonNegative
    test_accuracy_ci95_low: MaybeAccuracy
    test_accuracy_ci95_high: MaybeAccuracy
    train_examples_per_s: Positive
    infer_examples_per_s: Positive
    latency_ms_p50: Positive
    latency_ms_p95: Positive
    latency_ms_p99: Positive
    parameters: Count
    flops_per_example: NonNegative
    peak_memory_mb: NonNegative
    compile_s: NonNegative
    train_examples_per_s_ci95_low: Positive
    train_examples_per_s_ci95_high: Positive
    infer_examples_per_s_ci95_low: Positive
    infer_examples_per_s_ci95_high: Positive
    latency_ms_p99_ci95_low: MaybePositive = None
    latency_ms_p99_ci95_high: MaybePositive = None
    latency_samples: Annotated[int | None, Field(ge=1), BeforeValidator(_blank_is_none)] = None
    batch_size: Annotated[int, Field(ge=1)]
    train_seconds_mean: NonNegative
    test_size: Annotated[int, Field(ge=1)]
    test_correct_by_seed: Annotated[dict[int, Count], BeforeValidator(_pairs)]
    fingerprint: str
    diverged: Count = 0
    test_loss_mean: Annotated[float | None, BeforeValidator(_blank_is_none)] = None
    published_accuracy: MaybeAccuracy = None
    tuned: Annotated[dict[str, Any] | None, BeforeValidator(_settings)] = None
    metrics: dict[str, statistics.MeanEstimate] = Field(default_factory=dict)
    swept: dict[str, Any] = Field(default_factory=dict)

    @property
    def cell(self) -> str:
        """The name of the row's cell; empty without a sweep."""
        return cell_name(self.swept)

    @property
    def key(self) -> str:
        """The key that identifies the row in its study."""
        key = f"{self.cell}/{self.variant}" if self.swept else self.variant
        return f"{key} on {self.device}" if self.device_source == "estimated" else key

    def at(self, keys: Iterable[str]) -> str:
        """The values of some swept keys, for readers: `dataset.train_limit = 1000`."""
        return ", ".join(f"{key} = {words.plain(self.swept[key])}" for key in keys)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.test_correct_by_seed) != self.seeds:
            raise ValueError(f"{self.seeds} seeds, but {len(self.test_correct_by_seed)} results")
        if max(self.test_correct_by_seed.values()) > self.test_size:
            raise ValueError(f"more correct answers than the {self.test_size} test examples")
        if abs(sum(self.accuracies.values()) / self.seeds - self.test_accuracy_mean) > 1e-5:
            raise ValueError("test_accuracy_mean is not the mean of test_correct_by_seed")
        return self

    @property
    def accuracies(self) -> dict[int, float]:
        """Exact test accuracy, by seed."""
        return {seed: n / self.test_size for seed, n in self.test_correct_by_seed.items()}


def summary_row(
    runs: Sequence[RunRecord], measurement: Measurement, swept: Mapping[str, Any] | None = None
) -> SummaryRow:
    """Summarises one variant's finished runs and its measurement in a row.

    Args:
        runs: At least one run, all of one variant, config and test set.
        measurement: The variant's measurement.
        swept: The values of the swept keys in this cell.

    Returns:
        The row.

    Raises:
        RecordError: The runs are not of one variant, config and test set.
    """
    first = runs[0]
    for other in runs[1:]:
        for field in ("variant", "fingerprint", "test_size"):
            if getattr(other, field) != getattr(first, field):
                raise RecordError(
                    f"variant {first.variant}: seeds {first.seed} and {other.seed} differ in "
                    f"{field}, so they cannot be averaged; delete the outdated run and run again"
                )
    correct = {run.seed: run.test_correct for run in sorted(runs, key=lambda run: run.seed)}
    accuracy = statistics.estimate([n / first.test_size for n in correct.values()], bounds=(0, 1))
    train, infer = measurement.train_examples_per_s, measurement.infer_examples_per_s
    return SummaryRow(
        variant=first.variant,
        device=measurement.device,
        device_source=measurement.device_source,
        seeds=len(correct),
        test_accuracy_mean=accuracy.mean,
        test_accuracy_std=accuracy.std,
        test_accuracy_ci95_low=accuracy.low,
        test_accuracy_ci95_high=accuracy.high,
        train_examples_per_s=train.median,
        infer_examples_per_s=infer.median,
        latency_ms_p50=measurement.latency_ms.p50,
        latency_ms_p95=measurement.latency_ms.p95,
        latency_ms_p99=measurement.latency_ms.p99,
        parameters=measurement.parameters,
        flops_per_example=measurement.flops_per_example,
        peak_memory_mb=measurement.peak_memory_mb,
        compile_s=measurement.compile_s,
        train_examples_per_s_ci95_low=train.low,
        train_examples_per_s_ci95_high=train.high,
        infer_examples_per_s_ci95_low=infer.low,
        infer_examples_per_s_ci95_high=infer.high,
        latency_ms_p99_ci95_low=measurement.latency_ms.p99_low,
        latency_ms_p99_ci95_high=measurement.latency_ms.p99_high,
        latency_samples=measurement.latency_ms.samples,
        batch_size=measurement.batch_size,
        train_seconds_mean=sum(run.train_seconds for run in runs) / len(runs),
        test_size=first.test_size,
        test_correct_by_seed=correct,
        fingerprint=first.fingerprint,
        diverged=sum(run.diverged for run in runs),
        test_loss_mean=sum(run.test_loss for run in runs) / len(runs),
        metrics={
            name: statistics.estimate([run.metrics[name] for run in runs]) for name in first.metrics
        },
        swept=dict(swept or {}),
    )


def gather(
    folder: StudyFolder,
    variants: Sequence[str],
    seeds: Sequence[int],
    swept: Mapping[str, Any] | None = None,
    targets: Sequence[str] = (),
) -> list[SummaryRow]:
    """Reads the records of a finished study; ignores runs that the study does not ask for.

    Args:
        folder: The study's folder, with a cell selected if there is a sweep.
        variants: The variants to read, in the order of the result.
        seeds: The seeds to read for each variant.
        swept: The values of the swept keys in this cell.
        targets: Absent devices for which the costs are estimated.

    Returns:
        One row per variant and device.

    Raises:
        RecordError: A run or a measurement is missing, or a record is not valid.
    """
    rows = []
    for variant in variants:
        missing = [str(seed) for seed in seeds if seed not in folder.seeds(variant)]
        lacking = f"no finished run for seed {', '.join(missing)}" if missing else ""
        if not lacking and not folder.measurement(variant).is_file():
            lacking = "no measurement"
        if lacking:
            raise RecordError(
                f"{folder.path}: variant {variant} has {lacking} yet; finish the study with "
                "`python -m experiments run` and its config"
            )
        runs = [records.read(folder.record(variant, seed), RunRecord) for seed in seeds]
        measurement = records.read(folder.measurement(variant), Measurement)
        rows.append(summary_row(runs, measurement, swept))
        rows += [
            summary_row(runs, records.read(folder.measurement(variant, target), Measurement), swept)
            for target in targets
        ]
    return rows
