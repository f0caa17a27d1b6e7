"""The results table in the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.records import Baselines
from experiments.report import notes
from experiments.report.columns import Column, columns, estimate_columns, estimated, measured
from experiments.report.conclusion import Conclusion
from experiments.report.rows import SummaryRow

_UNBOUNDED_WIDTH = 150


def show(
    rows: Sequence[SummaryRow],
    conclusion: Conclusion,
    console: Console,
    title: str | None,
    untrained: Baselines | None = None,
    source: str = "",
    chose: Sequence[str] = (),
) -> None:
    """Prints the table and the conclusion.

    Args:
        rows: The rows of the variants.
        conclusion: The conclusion.
        console: The console. If it is too narrow for all columns, the table is divided into
            several. A console that is no terminal shows a star instead of bold text.
        title: A heading, or None.
        untrained: The metrics of methods without training, or None.
        source: The source of the accuracies in the column "published".
        chose: Sentences on the choices before the final runs.
    """
    widen(console)
    mark = not console.is_terminal
    if title is not None:
        console.print(Text(title, style="bold"))
    for part in _parts(measured(rows), conclusion, mark, console.width):
        console.print(_table(measured(rows), conclusion, part, mark))
    if estimates := estimated(rows):
        console.print(_table(estimates, conclusion, estimate_columns(rows), mark))
        console.print(Text(notes.ESTIMATES, style="dim"))
    for sentence in conclusion.sentences:
        console.print(Text(sentence, style="bold"))
    if chose:
        console.print(Text(" ".join(chose)))
    legend = notes.LEGEND.format(Mark="*" if mark else "Bold")
    for note in (legend, *notes.notes(rows, conclusion, untrained, source)):
        console.print(Text(note, style="dim"))


def widen(console: Console) -> None:
    """Makes a console that is no terminal wide enough for a whole table."""
    if not console.is_terminal:
        console.width = max(console.width, _UNBOUNDED_WIDTH)


def _parts(
    rows: Sequence[SummaryRow], conclusion: Conclusion, mark: bool, width: int
) -> list[list[Column]]:
    """Divides the columns into as few tables as fit a width; each begins with the swept keys."""
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
