"""Notes under a results table: the meaning of its columns and the method of measurement."""

from collections.abc import Sequence

from experiments.records import Baselines
from experiments.report import words
from experiments.report.conclusion import Conclusion
from experiments.report.rows import SummaryRow
from experiments.tasks import METRICS, Metric

LEGEND = (
    "{Mark}: the best, and all that the data cannot tell apart from it. Latency is of a batch of "
    "one: of small networks, most of it is the time to start a program, not to compute; in "
    "parentheses, the 95% CI of p99, which is left out where too few samples give none. Memory is "
    "what the compiled training step needs."
)

ESTIMATES = (
    "Estimated by the compilers of devices that are not here: time of the compiled program, one "
    "example or one batch at a time. Such numbers are never ranked with measured ones."
)


def notes(
    rows: Sequence[SummaryRow], conclusion: Conclusion, untrained: Baselines | None, source: str
) -> list[str]:
    """All notes under a table, without its legend.

    Args:
        rows: The rows of the variants.
        conclusion: The conclusion.
        untrained: The metrics of methods without training, or None.
        source: The source of the accuracies in the column "published"; empty if there are none.
    """
    return [
        *where_and_how(rows),
        *conclusion.notes,
        *baseline_lines(untrained),
        *published_lines(source),
    ]


def baseline_lines(untrained: Baselines | None) -> list[str]:
    """One line per method without training."""
    if untrained is None:
        return []
    lines = {}
    first, *others = untrained.cells.values()
    differ = any(other != first for other in others)  # cells may share their test set
    for cell, methods in untrained.cells.items():
        where = f"At {words.cell(cell)}: " if differ else ""
        for method, metrics in methods.items():
            said = ", ".join(_said(name, value) for name, value in metrics.items())
            lines[f"{where}Without training, {method}: {said}."] = None
    return list(lines)


def published_lines(source: str) -> list[str]:
    """A line with the source of published accuracies, if there are any."""
    return [f"Published: {source}."] if source else []


def _said(name: str, value: float) -> str:
    if name == "accuracy":
        return f"accuracy {words.percent(value)} %"
    metric = METRICS.get(name, Metric(name.replace("_", " ")))
    return f"{metric.heading} {value * metric.scale:.4g}{' ' if metric.unit else ''}{metric.unit}"


def where_and_how(rows: Sequence[SummaryRow]) -> list[str]:
    """Lines with the device and the batch size of the speeds."""
    measured = {(row.device_source.capitalize(), row.device, row.batch_size): None for row in rows}
    return [
        f"{source} on {device}; throughput in batches of {batch}."
        for source, device, batch in measured
    ]
