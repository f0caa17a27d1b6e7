"""Tables of summary.csv's rows that a reader can sort and filter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.report import columns, notes, words
from experiments.report.conclusion import Conclusion
from experiments.report.rows import SummaryRow

Value = float | int | str | None


@dataclass(frozen=True)
class Heading:
    """The heading of a column.

    Attributes:
        title: The text of the heading.
        unit: The unit of its numbers.
        look: The CSS class of its cells: `left` for words, `text` for prose.
    """

    title: str
    unit: str = ""
    look: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: The cell's text.
        order: The sort key, if it is not the text.
        look: The cell's CSS class.
        link: Relative path of a page to link to.
        note: Text below the cell's text.
    """

    text: str
    order: Value = None
    look: str = ""
    link: str = ""
    note: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row, and the variant whose checkbox hides it."""

    variant: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        id: The table's id in the page.
        title: A heading, if the page has several tables.
        heads: The columns.
        rows: The rows.
        filters: The values to filter by, by column number.
        caption: Text below the table.
    """

    id: str
    title: str
    heads: Sequence[Heading]
    rows: Sequence[TableRow]
    filters: Mapping[int, Sequence[str]] = field(default_factory=dict)
    caption: str = ""


@dataclass(frozen=True)
class _Column:
    head: Heading
    text: Callable[[SummaryRow], str]
    order: Callable[[SummaryRow], Value]
    best: frozenset[str] = frozenset()

    def cell(self, row: SummaryRow) -> Cell:
        """The column's cell of a row. DataTables needs sort keys in all cells or in none."""
        order = self.order(row)
        look = "best" if row.key in self.best else ""
        return Cell(self.text(row), "" if order is None else order, look)


def of_rows(place: str, title: str, rows: Sequence[SummaryRow], conclusion: Conclusion) -> Table:
    """The table of the rows of one device.

    Args:
        place: The table's id in the page.
        title: A heading, if the page has several tables.
        rows: The rows, all measured or all estimated for one device.
        conclusion: The conclusion, which determines the highlighted cells; estimates have none.
    """
    shown = _columns(rows, conclusion)
    swept = list(rows[0].swept)
    values = [list(dict.fromkeys(columns.swept(key).cell(row) for row in rows)) for key in swept]
    return Table(
        id=place,
        title=title,
        heads=[Heading("variant"), *(column.head for column in shown)],
        rows=[
            TableRow(
                row.variant,
                [Cell(row.variant), *(column.cell(row) for column in shown)],
            )
            for row in rows
        ],
        filters={i: found for i, found in enumerate(values, start=1) if len(found) > 1},
        caption=_caption(rows),
    )


def _columns(rows: Sequence[SummaryRow], conclusion: Conclusion) -> list[_Column]:
    """The columns that are not empty for these rows."""
    estimated = rows[0].device_source == "estimated"
    metrics = dict.fromkeys(name for row in rows for name in row.metrics)
    found = [_sweep_column(key) for key in rows[0].swept]
    found += [
        _Column(
            Heading("test accuracy", "%, 95% CI"),
            columns.ACCURACY.cell,
            lambda r: r.test_accuracy_mean,
            conclusion.most_accurate,
        ),
        _Column(Heading("published", "%"), columns.PUBLISHED.cell, lambda r: r.published_accuracy),
        _Column(Heading("test loss"), columns.LOSS.cell, lambda r: r.test_loss_mean),
        *(_metric(name) for name in metrics),
    ]
    for what, field_ in (("training", "train"), ("inference", "infer")):
        found.append(_rate(what, field_, estimated, conclusion))
    if estimated:
        found.append(_latency("p50", "ms"))
    else:
        found += [_latency(each, f"ms, {each}") for each in ("p50", "p95")]
        if any(row.latency_ms_p99_ci95_low is not None for row in rows):
            head = Heading("latency of one", "ms, p99, 95% CI")
            found.append(_Column(head, columns.p99, lambda r: r.latency_ms_p99))
    found += [
        _Column(Heading("parameters"), lambda r: f"{r.parameters:,}", lambda r: r.parameters),
        _Column(
            Heading("FLOPs", "per example"),
            lambda r: words.si(r.flops_per_example),
            lambda r: r.flops_per_example,
        ),
        _Column(
            Heading("memory", "MB peak"),
            lambda r: f"{r.peak_memory_mb:.3g}",
            lambda r: r.peak_memory_mb,
        ),
        _Column(Heading("compile", "s"), lambda r: f"{r.compile_s:.2g}", lambda r: r.compile_s),
        _Column(Heading("seeds"), lambda r: str(r.seeds), lambda r: r.seeds),
        _Column(Heading("diverged"), lambda r: str(r.diverged or ""), lambda r: r.diverged),
    ]
    return [column for column in found if any(column.text(row) for row in rows)]


def _sweep_column(key: str) -> _Column:
    def order(row: SummaryRow) -> Value:
        value = row.swept.get(key)
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return value if plain else str(value)

    return _Column(Heading(key), columns.swept(key).cell, order)


def _metric(name: str) -> _Column:
    column = columns.metric(name)

    def order(row: SummaryRow) -> Value:
        return row.metrics[name].mean if name in row.metrics else None

    return _Column(Heading(column.heading, column.unit), column.cell, order)


def _rate(what: str, field_: str, estimated: bool, conclusion: Conclusion) -> _Column:
    name = f"{field_}_examples_per_s"

    def text(row: SummaryRow) -> str:
        median = getattr(row, name)
        ends = getattr(row, f"{name}_ci95_low"), getattr(row, f"{name}_ci95_high")
        return words.si(median) if estimated else columns.rate(median, *ends)

    best = conclusion.fastest if field_ == "infer" and not estimated else frozenset()
    return _Column(Heading(what, "examples/s"), text, lambda r: getattr(r, name), best)


def _latency(percentile: str, unit: str) -> _Column:
    name = f"latency_ms_{percentile}"
    return _Column(
        Heading("latency of one", unit),
        lambda r: f"{getattr(r, name):.3g}",
        lambda r: getattr(r, name),
    )


def _caption(rows: Sequence[SummaryRow]) -> str:
    if rows[0].device_source == "estimated":
        return notes.ESTIMATES
    return notes.LEGEND.format(Mark="Bold")
