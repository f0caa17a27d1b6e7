"""A study's results for people: `summarise` writes them, `show` prints them.

Each form is a module: `rows` (CSV), `tables` (markdown and terminal), `plots` (pareto.png). A new
form, such as a page, is one more module and one more line in `summarise`.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.folder import StudyFolder
from experiments.records import write_atomically
from experiments.report import plots, tables
from experiments.report.conclusion import conclude
from experiments.report.plan import Plan, read_plan
from experiments.report.rows import SummaryRow, gather, to_csv

__all__ = ["SummaryRow", "show", "summarise"]


def summarise(folder: Path) -> list[SummaryRow]:
    """Reads a study's records and writes summary.csv, summary.md and pareto.png beside them.

    Args:
        folder: The study's results folder; all its variants must be trained and measured.

    Returns:
        A row a variant, in the config's order.

    Raises:
        RecordError: The study is not finished, or a record is missing or not valid.
    """
    study = StudyFolder(folder)
    plan = read_plan(study)
    rows = gather(study, plan.variants, plan.seeds)
    write_atomically(study.summary_csv, to_csv(rows))
    write_atomically(study.summary_md, tables.to_markdown(_title(plan, rows), rows, conclude(rows)))
    write_atomically(study.pareto, plots.pareto(_title(plan, rows), rows))
    return rows


def show(rows: Sequence[SummaryRow], console: Console, title: str | None = None) -> None:
    """Prints the table, then what the data allow to be said and what they don't.

    Args:
        rows: What `summarise` returned.
        console: Where to print; one that is no terminal is made wide enough for the table.
        title: A heading, or None.
    """
    tables.show(rows, conclude(rows), console, title)


def _title(plan: Plan, rows: Sequence[SummaryRow]) -> str:
    devices = ", ".join(dict.fromkeys(row.device for row in rows))
    seeds = f"{len(plan.seeds)} {'seed' if len(plan.seeds) == 1 else 'seeds'}"
    name = plan.name if plan.name == plan.dataset else f"{plan.name}: {plan.dataset}"
    return f"{name}, {seeds}, {devices}"
