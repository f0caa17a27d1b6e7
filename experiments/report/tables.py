"""The results as tables: markdown for the repository, rich for the terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.records import Baselines
from experiments.report import words
from experiments.report.conclusion import Conclusion
from experiments.report.rows import SummaryRow
from experiments.tasks import METRICS, Metric

_UNBOUNDED_WIDTH = 150


@dataclass(frozen=True)
class Column:
    """One column: its heading and unit, its text for a row, and who stands out in it."""

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


def _measured(rows: Sequence[SummaryRow]) -> list[SummaryRow]:
    return [row for row in rows if row.device_source == "measured"]


def _estimated(rows: Sequence[SummaryRow]) -> list[SummaryRow]:
    return [row for row in rows if row.device_source == "estimated"]


def _estimate_columns(rows: Sequence[SummaryRow]) -> list[Column]:
    return [
        Column("device", "estimated", lambda r: r.device),
        *(_swept(key) for key in rows[0].swept),
        Column("train", "examples/s", lambda r: words.si(r.train_examples_per_s)),
        Column("inference", "examples/s", lambda r: words.si(r.infer_examples_per_s)),
        Column("latency of one", "ms", lambda r: f"{r.latency_ms_p50:.3g}"),
        Column("memory", "MB peak", lambda r: f"{r.peak_memory_mb:.3g}"),
        Column("compile", "s", lambda r: f"{r.compile_s:.2g}"),
    ]


def columns(rows: Sequence[SummaryRow]) -> list[Column]:
    """The columns that these rows have something in."""
    swept = dict.fromkeys(key for row in rows for key in row.swept)
    metrics = dict.fromkeys(name for row in rows for name in row.metrics)
    tuned = dict.fromkeys(_short(key, row) for row in rows for key in row.tuned or ())
    return [
        *(_swept(key) for key in swept),
        *(_tuned(name) for name in tuned),
        ACCURACY,
        *([PUBLISHED] if any(row.published_accuracy is not None for row in rows) else []),
        *([LOSS] if any(row.test_loss_mean is not None for row in rows) else []),
        *(_metric(name) for name in metrics),
        *COSTS,
    ]


def _swept(key: str) -> Column:
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


def _metric(name: str) -> Column:
    metric = METRICS.get(name, Metric(name.replace("_", " ")))

    def cell(row: SummaryRow) -> str:
        found = row.metrics.get(name)
        if found is None:
            return ""
        shown = f"{found.mean * metric.scale:.4g}"
        if found.low is not None and found.high is not None:
            shown += f" ± {(found.high - found.low) / 2 * metric.scale:.2g}"
        return shown

    return Column(metric.heading, metric.unit, cell)


def to_markdown(
    title: str,
    rows: Sequence[SummaryRow],
    conclusion: Conclusion,
    beside: Baselines | None = None,
    source: str = "",
    chose: Sequence[str] = (),
) -> str:
    """The page summary.md.

    Args:
        title: What was studied.
        rows: The variants.
        conclusion: What they allow to be said.
        beside: The metrics of methods without training, if there are any.
        source: Where the accuracies in the column "published" come from.
        chose: What was chosen before the final runs, in sentences.

    Returns:
        Markdown, every piece of text in it escaped.
    """
    shown = columns(rows)
    head = ["variant", *(column.title for column in shown)]
    said = [words.markdown(sentence) for sentence in conclusion.sentences]
    lines = [
        f"# {words.markdown(title)}",
        "",
        *(["\n".join(f"- {one}" for one in said)] if rows[0].swept else [" ".join(said)]),
        *(["", " ".join(words.markdown(sentence) for sentence in chose)] if chose else []),
        "",
        f"| {' | '.join(words.markdown(cell) for cell in head)} |",
        f"|:--{'|--:' * len(shown)}|",
    ]
    for row in _measured(rows):
        cells = [words.name(row.variant)]
        for column in shown:
            text = words.markdown(column.cell(row))
            cells.append(f"**{text}**" if row.key in column.best(conclusion) else text)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", words.markdown(LEGEND.format(Mark="Bold")), ""]
    if estimated := _estimated(rows):
        shown = _estimate_columns(rows)
        titles = " | ".join(words.markdown(column.title) for column in shown)
        lines += [f"| variant | {titles} |", f"|:--{'|--:' * len(shown)}|"]
        for row in estimated:
            cells = " | ".join(words.markdown(column.cell(row)) for column in shown)
            lines.append(f"| {words.name(row.variant)} | {cells} |")
        lines += ["", words.markdown(ESTIMATES), ""]
    notes = (
        *where_and_how(rows),
        *conclusion.notes,
        *beside_lines(beside),
        *published_lines(source),
    )
    lines += [f"- {words.markdown(note)}" for note in notes]
    return "\n".join(lines) + "\n"


def show(
    rows: Sequence[SummaryRow],
    conclusion: Conclusion,
    console: Console,
    title: str | None,
    beside: Baselines | None = None,
    source: str = "",
    chose: Sequence[str] = (),
) -> None:
    """Prints the table and the conclusion.

    Args:
        rows: The variants.
        conclusion: What they allow to be said.
        console: Where to print. Too narrow for all columns, it gets several tables. One that is
            no terminal gets a star where a terminal shows bold.
        title: A heading, or None.
        beside: The metrics of methods without training, if there are any.
        source: Where the accuracies in the column "published" come from.
        chose: What was chosen before the final runs, in sentences.
    """
    widen(console)
    mark = not console.is_terminal
    if title is not None:
        console.print(Text(title, style="bold"))
    for part in _parts(_measured(rows), conclusion, mark, console.width):
        console.print(_table(_measured(rows), conclusion, part, mark))
    if estimated := _estimated(rows):
        console.print(_table(estimated, conclusion, _estimate_columns(rows), mark))
        console.print(Text(ESTIMATES, style="dim"))
    for sentence in conclusion.sentences:
        console.print(Text(sentence, style="bold"))
    if chose:
        console.print(Text(" ".join(chose)))
    legend = LEGEND.format(Mark="*" if mark else "Bold")
    notes = (
        *where_and_how(rows),
        *conclusion.notes,
        *beside_lines(beside),
        *published_lines(source),
    )
    for note in (legend, *notes):
        console.print(Text(note, style="dim"))


def _parts(
    rows: Sequence[SummaryRow], conclusion: Conclusion, mark: bool, width: int
) -> list[list[Column]]:
    """The columns in as few tables as fit a width; each begins with the swept keys."""
    every = columns(rows)
    swept, rest = every[: len(rows[0].swept)], every[len(rows[0].swept) :]
    parts = [[*swept]]
    for column in rest:
        longer = [*parts[-1], column]
        if len(parts[-1]) > len(swept) and _width(rows, conclusion, longer, mark) > width:
            parts.append([*swept, column])
        else:
            parts[-1] = longer
    return parts


def beside_lines(beside: Baselines | None) -> list[str]:
    """One line per method without training."""
    if beside is None:
        return []
    lines = {}
    first, *others = beside.cells.values()
    differ = any(other != first for other in others)  # cells may share their test set
    for cell, methods in beside.cells.items():
        where = f"At {words.cell(cell)}: " if differ else ""
        for method, metrics in methods.items():
            said = ", ".join(_said(name, value) for name, value in metrics.items())
            lines[f"{where}Without training, {method}: {said}."] = None
    return list(lines)


def published_lines(source: str) -> list[str]:
    """Where published accuracies come from, if there are any."""
    return [f"Published: {source}."] if source else []


def _said(name: str, value: float) -> str:
    if name == "accuracy":
        return f"accuracy {words.percent(value)} %"
    metric = METRICS.get(name, Metric(name.replace("_", " ")))
    return f"{metric.heading} {value * metric.scale:.4g}{' ' if metric.unit else ''}{metric.unit}"


def widen(console: Console) -> None:
    """Gives a console that is no terminal, whose width is a guess, room for a whole table."""
    if not console.is_terminal:
        console.width = max(console.width, _UNBOUNDED_WIDTH)


def where_and_how(rows: Sequence[SummaryRow]) -> list[str]:
    """One line on the device and the batch behind the speeds."""
    measured = {(row.device_source.capitalize(), row.device, row.batch_size): None for row in rows}
    return [
        f"{source} on {device}; throughput in batches of {batch}."
        for source, device, batch in measured
    ]


def rate(median: float, low: float, high: float) -> str:
    """A median rate and the wider half of its interval in percent: 71.3k ±2%."""
    half = 100 * max(high - median, median - low) / median
    return f"{words.si(median)} ±{half:.0f}%" if half >= 0.5 else f"{words.si(median)} ±<1%"


def _latency(row: SummaryRow) -> str:
    return f"{row.latency_ms_p50:.3g} / {row.latency_ms_p95:.3g} / {p99(row) or '-'}"


def p99(row: SummaryRow) -> str:
    """The 99th percentile of the latency with its interval; nothing if it has none."""
    low, high = row.latency_ms_p99_ci95_low, row.latency_ms_p99_ci95_high
    if low is None or high is None:
        return ""
    return f"{row.latency_ms_p99:.3g} ({low:.3g} to {high:.3g})"


def _table(
    rows: Sequence[SummaryRow], conclusion: Conclusion, columns: Sequence[Column], mark: bool
) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
    table.add_column("variant", no_wrap=True)
    for column in columns:
        table.add_column(Text(f"{column.heading}\n{column.unit}"), justify="right", no_wrap=True)
    for row in rows:
        cells = [Text(row.variant)]
        for column in columns:
            best = row.key in column.best(conclusion)
            text = f"{column.cell(row)} *" if best and mark else column.cell(row)
            cells.append(Text(text, style="bold green" if best else ""))
        table.add_row(*cells)
    return table


def _width(
    rows: Sequence[SummaryRow], conclusion: Conclusion, columns: Sequence[Column], mark: bool
) -> int:
    wide = Console(width=1000)
    return wide.measure(_table(rows, conclusion, columns, mark)).maximum
