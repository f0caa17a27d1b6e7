"""The quantities that a budget can limit: their values and intervals in a row of summary.csv."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from experiments import quantiles
from experiments.report.rows import SummaryRow

Interval = tuple[float, float]


@dataclass(frozen=True)
class Quantity:
    """A quantity that can be limited.

    Attributes:
        heading: Its name in a table.
        unit: The unit of its values.
        at_least: Whether the limit is a minimum; otherwise it is a maximum.
        value: Returns the value of a row.
        interval: Returns the 95% interval of a row's value; None if the quantity is not sampled.
        lacking: Returns why a sampled quantity has no interval in a row; empty if it has one.
        sample: Returns the source of the interval in words, such as "500 samples".
    """

    heading: str
    unit: str
    at_least: bool
    value: Callable[[SummaryRow], float]
    interval: Callable[[SummaryRow], Interval | None] = lambda _: None
    lacking: Callable[[SummaryRow], str] = lambda _: ""
    sample: Callable[[SummaryRow], str] = lambda _: ""


def _interval(low: float | None, high: float | None) -> Interval | None:
    return None if low is None or high is None else (low, high)


def _why_no_p99_interval(row: SummaryRow) -> str:
    if row.device_source == "estimated" or row.latency_ms_p99_ci95_low is not None:
        return ""
    needed = f"a 95% interval of p99 needs {quantiles.fewest_for_quantile(0.99)} samples"
    if row.latency_samples is None:
        return f"this summary.csv is of an older version without it, so measure again; {needed}"
    return needed


def _samples(row: SummaryRow) -> str:
    return "these results" if row.latency_samples is None else f"{row.latency_samples} samples"


QUANTITIES: Mapping[str, Quantity] = {
    "latency_p50_ms": Quantity("p50 latency", "ms", False, lambda r: r.latency_ms_p50),
    "latency_p99_ms": Quantity(
        "p99 latency",
        "ms",
        False,
        lambda r: r.latency_ms_p99,
        lambda r: _interval(r.latency_ms_p99_ci95_low, r.latency_ms_p99_ci95_high),
        _why_no_p99_interval,
        _samples,
    ),
    "memory_mb": Quantity("memory", "MB", False, lambda r: r.peak_memory_mb),
    "max_parameters": Quantity("parameters", "", False, lambda r: r.parameters),
    "min_accuracy": Quantity(
        "accuracy",
        "",
        True,
        lambda r: r.test_accuracy_mean,
        lambda r: _interval(r.test_accuracy_ci95_low, r.test_accuracy_ci95_high),
        lambda r: "an interval of the accuracy needs 2 seeds" if r.seeds < 2 else "",
        lambda r: f"{r.seeds} {'seed' if r.seeds == 1 else 'seeds'}",
    ),
    "min_infer_per_s": Quantity(
        "inference",
        "examples/s",
        True,
        lambda r: r.infer_examples_per_s,
        lambda r: (r.infer_examples_per_s_ci95_low, r.infer_examples_per_s_ci95_high),
        sample=lambda _: "the samples taken",
    ),
    "min_train_per_s": Quantity(
        "training",
        "examples/s",
        True,
        lambda r: r.train_examples_per_s,
        lambda r: (r.train_examples_per_s_ci95_low, r.train_examples_per_s_ci95_high),
        sample=lambda _: "the samples taken",
    ),
}
"""The quantities that can be limited, by the name of their command-line option."""
