"""The results as tables: markdown for the repository, rich for the terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.report import words
from experiments.report.conclusion import Conclusion
from experiments.report.rows import SummaryRow

_UNBOUNDED_WIDTH = 120


@dataclass(frozen=True)
class Column:
    """One column: its heading and unit, its text for a row, and who stands out in it."""

    heading: str
    unit: str
    cell: Callable[[SummaryRow], str]
    best: Callable[[Conclusion], frozenset[str]] = lambda _: frozenset()


COLUMNS = (
    Column(
        "test accuracy",
        "%, 95% CI",
        lambda r: words.accuracy(
            r.test_accuracy_mean, r.test_accuracy_ci95_low, r.test_accuracy_ci95_high, r.seeds
        ),
        lambda conclusion: conclusion.most_accurate,
    ),
    Column(
        "train",
        "examples/s",
        lambda r: _rate(
            r.train_examples_per_s,
            r.train_examples_per_s_ci95_low,
            r.train_examples_per_s_ci95_high,
        ),
    ),
    Column(
        "inference",
        "examples/s",
        lambda r: _rate(
            r.infer_examples_per_s,
            r.infer_examples_per_s_ci95_low,
            r.infer_examples_per_s_ci95_high,
        ),
        lambda conclusion: conclusion.fastest,
    ),
    Column(
        "latency of one",
        "ms, p50 / p95 / p99",
        lambda r: " / ".join(
            f"{ms:.3g}" for ms in (r.latency_ms_p50, r.latency_ms_p95, r.latency_ms_p99)
        ),
    ),
    Column("parameters", "", lambda r: f"{r.parameters:,}"),
    Column("FLOPs", "/example", lambda r: words.si(r.flops_per_example)),
    Column("memory", "MB peak", lambda r: f"{r.peak_memory_mb:.3g}"),
    Column("compile", "s", lambda r: f"{r.compile_s:.2g}"),
)
LEGEND = (
    "Bold: the best, and all that the data cannot tell apart from it. Latency is of a batch of "
    "one; memory is what the compiled training step needs."
)


def to_markdown(title: str, rows: Sequence[SummaryRow], conclusion: Conclusion) -> str:
    """The page summary.md.

    Args:
        title: What was studied.
        rows: The variants.
        conclusion: What they allow to be said.

    Returns:
        Markdown, every piece of text in it escaped.
    """
    head = ["variant", *(f"{c.heading} {f'({c.unit})' if c.unit else ''}".strip() for c in COLUMNS)]
    lines = [
        f"# {words.markdown(title)}",
        "",
        words.markdown(" ".join(conclusion.sentences)),
        "",
        f"| {' | '.join(words.markdown(cell) for cell in head)} |",
        f"|:--{'|--:' * len(COLUMNS)}|",
    ]
    for row in rows:
        cells = [words.name(row.variant)]
        for column in COLUMNS:
            text = words.markdown(column.cell(row))
            cells.append(f"**{text}**" if row.variant in column.best(conclusion) else text)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", words.markdown(LEGEND), ""]
    lines += [f"- {words.markdown(note)}" for note in (*where_and_how(rows), *conclusion.notes)]
    return "\n".join(lines) + "\n"


def show(
    rows: Sequence[SummaryRow], conclusion: Conclusion, console: Console, title: str | None
) -> None:
    """Prints the table and the conclusion.

    Args:
        rows: The variants.
        conclusion: What they allow to be said.
        console: Where to print. Too narrow for all columns, it gets two tables.
        title: A heading, or None.
    """
    widen(console)
    halves = (
        [COLUMNS]
        if _width(rows, conclusion, COLUMNS) <= console.width
        else [COLUMNS[:4], COLUMNS[4:]]
    )
    if title is not None:
        console.print(Text(title, style="bold"))
    for columns in halves:
        console.print(_table(rows, conclusion, columns))
    for sentence in conclusion.sentences:
        console.print(Text(sentence, style="bold"))
    for note in (LEGEND, *where_and_how(rows), *conclusion.notes):
        console.print(Text(note, style="dim"))


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


def _rate(median: float, low: float, high: float) -> str:
    half = 100 * max(high - median, median - low) / median
    return f"{words.si(median)} ±{half:.0f}%" if half >= 0.5 else f"{words.si(median)} ±<1%"


def _table(rows: Sequence[SummaryRow], conclusion: Conclusion, columns: Sequence[Column]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
    table.add_column("variant", no_wrap=True)
    for column in columns:
        table.add_column(Text(f"{column.heading}\n{column.unit}"), justify="right", no_wrap=True)
    for row in rows:
        cells = [Text(row.variant)]
        for column in columns:
            best = row.variant in column.best(conclusion)
            cells.append(Text(column.cell(row), style="bold green" if best else ""))
        table.add_row(*cells)
    return table


def _width(rows: Sequence[SummaryRow], conclusion: Conclusion, columns: Sequence[Column]) -> int:
    wide = Console(width=1000)
    return wide.measure(_table(rows, conclusion, columns)).maximum
