"""The columns of a results table: heading, unit, and the text of a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experiments.report import words
from experiments.report.conclusion import Conclusion
from experiments.report.rows import SummaryRow
from experiments.tasks import METRICS, Metric


@dataclass(frozen=True)
class Column:
    """One column: heading, unit, the text of a row, and the rows to highlight."""

    heading: str
    unit: str
    cell: Callable[[SummaryRow], str]
    best: Callable[[Conclusion], frozenset[str]] = lambda _: frozenset()

    @property
    def title(self) -> str:
        """Heading and unit on one line."""
        if self.heading.endswith("."):
            return f"{self.heading}{self.unit}"
        return f"{self.heading} ({self.unit})" if self.unit else self.heading


ACCURACY = Column(
    "test accuracy",
    "%, 95% CI",
    lambda r: (
        words.accuracy(
            r.test_accuracy_mean, r.test_accuracy_ci95_low, r.test_accuracy_ci95_high, r.seeds
        )
        + (f", {r.diverged} of {r.seeds} diverged" if r.diverged else "")
    ),
    lambda conclusion: conclusion.most_accurate,
)
PUBLISHED = Column(
    "published",
    "%",
    lambda r: "" if r.published_accuracy is None else f"{100 * r.published_accuracy:.4g}",
)
LOSS = Column(
    "test loss", "", lambda r: "" if r.test_loss_mean is None else f"{r.test_loss_mean:.3g}"
)
COSTS = (
    Column(
        "train",
        "examples/s",
        lambda r: rate(
            r.train_examples_per_s,
            r.train_examples_per_s_ci95_low,
            r.train_examples_per_s_ci95_high,
        ),
    ),
    Column(
        "inference",
        "examples/s",
        lambda r: rate(
            r.infer_examples_per_s,
            r.infer_examples_per_s_ci95_low,
            r.infer_examples_per_s_ci95_high,
        ),
        lambda conclusion: conclusion.fastest,
    ),
    Column(
        "latency of one",
        "ms, p50 / p95 / p99",
        lambda row: _latency(row),
    ),
    Column("parameters", "", lambda r: f"{r.parameters:,}"),
    Column("FLOPs", "/example", lambda r: words.si(r.flops_per_example)),
    Column("memory", "MB peak", lambda r: f"{r.peak_memory_mb:.3g}"),
    Column("compile", "s", lambda r: f"{r.compile_s:.2g}"),
)


BRIEF = (ACCURACY, *COSTS[:2], Column("latency", "ms, p50", lambda r: f"{r.latency_ms_p50:.3g}"))
"""The columns of a table that is as wide as a page of text."""


def measured(rows: Sequence[SummaryRow]) -> list[SummaryRow]:
    """The rows with measured speeds."""
    return [row for row in rows if row.device_source == "measured"]


def estimated(rows: Sequence[SummaryRow]) -> list[SummaryRow]:
    """The rows with speeds estimated by a compiler."""
    return [row for row in rows if row.device_source == "estimated"]


def estimate_columns(rows: Sequence[SummaryRow]) -> list[Column]:
    """The columns for rows with estimated speeds."""
    return [
        Column("device", "estimated", lambda r: r.device),
        *(swept(key) for key in rows[0].swept),
        Column("train", "examples/s", lambda r: words.si(r.train_examples_per_s)),
        Column("inference", "examples/s", lambda r: words.si(r.infer_examples_per_s)),
        Column("latency of one", "ms", lambda r: f"{r.latency_ms_p50:.3g}"),
        Column("memory", "MB peak", lambda r: f"{r.peak_memory_mb:.3g}"),
        Column("compile", "s", lambda r: f"{r.compile_s:.2g}"),
    ]


def columns(rows: Sequence[SummaryRow]) -> list[Column]:
    """The columns that are not empty for these rows."""
    keys = dict.fromkeys(key for row in rows for key in row.swept)
    metrics = dict.fromkeys(name for row in rows for name in row.metrics)
    tuned = dict.fromkeys(_short(key, row) for row in rows for key in row.tuned or ())
    return [
        *(swept(key) for key in keys),
        *(_tuned(name) for name in tuned),
        ACCURACY,
        *([PUBLISHED] if any(row.published_accuracy is not None for row in rows) else []),
        *([LOSS] if any(row.test_loss_mean is not None for row in rows) else []),
        *(metric(name) for name in metrics),
        *COSTS,
    ]


def swept(key: str) -> Column:
    """The column of a swept key."""
    table, _, name = key.rpartition(".")
    return Column(f"{table}.", name, lambda r: str(r.swept.get(key, "")))


def _short(key: str, row: SummaryRow) -> str:
    """A tuned key without its table: `learning_rate`, `arguments.p`."""
    return key.removeprefix("training.").removeprefix(f"variants.{row.variant}.")


def _tuned(name: str) -> Column:
    def cell(row: SummaryRow) -> str:
        if row.tuned == {}:
            return "untuned"
        own = {_short(key, row): value for key, value in (row.tuned or {}).items()}
        return words.setting(own[name]) if name in own else ""

    return Column("tuned", name, cell)


def metric(name: str) -> Column:
    """The column of a metric beyond accuracy and loss, with half of its interval."""
    known = METRICS.get(name, Metric(name.replace("_", " ")))

    def cell(row: SummaryRow) -> str:
        found = row.metrics.get(name)
        if found is None:
            return ""
        shown = f"{found.mean * known.scale:.4g}"
        if found.low is not None and found.high is not None:
            shown += f" ± {(found.high - found.low) / 2 * known.scale:.2g}"
        return shown

    return Column(known.heading, known.unit, cell)


def rate(median: float, low: float, high: float) -> str:
    """A median rate and the larger half-width of its interval in percent: 71.3k ±2%."""
    half = 100 * max(high - median, median - low) / median
    return f"{words.si(median)} ±{half:.0f}%" if half >= 0.5 else f"{words.si(median)} ±<1%"


def _latency(row: SummaryRow) -> str:
    return f"{row.latency_ms_p50:.3g} / {row.latency_ms_p95:.3g} / {p99(row) or '-'}"


def p99(row: SummaryRow) -> str:
    """The 99th percentile of the latency with its interval; empty without an interval."""
    low, high = row.latency_ms_p99_ci95_low, row.latency_ms_p99_ci95_high
    if low is None or high is None:
        return ""
    return f"{row.latency_ms_p99:.3g} ({low:.3g} to {high:.3g})"
