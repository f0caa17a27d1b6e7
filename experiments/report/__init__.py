"""Reports of a study's results: `summarise` writes the files, `show` prints the table.

Each form is a module: `rows` (summary.csv), `tidy` (runs.csv, epochs.csv), `summary` (summary.md),
`terminal`, `plots` (pareto.png), `sweep` (sweep.png), `frontier` (frontier.png, if a swept key
changes the cost), `page` (report.html); `columns` and `notes` are shared by the tables. A new form
needs a module and a line in `summarise`.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.folder import StudyFolder
from experiments.records import Baselines, read, write_atomically
from experiments.report import chosen, frontier, page, plots, summary, sweep, terminal, tidy
from experiments.report.conclusion import conclude
from experiments.report.plan import Plan, read_plan
from experiments.report.rows import SummaryRow, gather
from experiments.report.summary_csv import read_csv, to_csv

__all__ = ["SummaryRow", "baselines", "choices", "show", "summarise"]


def summarise(folder: Path) -> list[SummaryRow]:
    """Reads a study's records and writes tables, plots and report.html beside them.

    For a published folder, which has summary.csv and no runs, only the files derived from
    summary.csv are written: summary.md, the plots and the page.

    Args:
        folder: The study's results folder; all its variants must be trained and measured.

    Returns:
        One row per cell and variant, in the config's order.

    Raises:
        RecordError: The study is not finished, or a record is missing or not valid.
    """
    study = StudyFolder(folder)
    plan = read_plan(study)
    if not study.runs.is_dir() and study.summary_csv.is_file():
        rows = read_csv(study.summary_csv)
    else:
        rows = _gathered(study, plan)
        write_atomically(study.summary_csv, to_csv(rows))
        write_atomically(study.runs_csv, tidy.runs_csv(study, plan))
        write_atomically(study.epochs_csv, tidy.epochs_csv(study, plan))
    title, untrained, said = _title(plan, rows), baselines(folder), choices(folder, rows)
    table = summary.to_markdown(
        title, rows, conclude(rows), untrained, plan.source, said, plan.question
    )
    write_atomically(study.summary_md, table)
    devices: dict[str, list[SummaryRow]] = {}
    for row in rows:
        devices.setdefault(row.device if row.device_source == "estimated" else "", []).append(row)
    for device, found in devices.items():
        heading = f"{title}; speeds estimated for {device}" if device else title
        write_atomically(study.pareto_of(device), plots.pareto(heading, found))
        if (picture := frontier.plot(heading, found)) is not None:
            write_atomically(study.frontier_of(device), picture)
    if plan.sweep:
        write_atomically(study.sweep, sweep.plot(title, devices[""]))
    write_atomically(study.page, page.page(study, plan, rows, untrained))
    return rows


def _gathered(study: StudyFolder, plan: Plan) -> list[SummaryRow]:
    """Computes the rows of a study from its runs."""
    tuned = chosen.settings(study)
    return [
        row.model_copy(
            update={
                "published_accuracy": _published(plan, cell, row.variant),
                "tuned": tuned[cell].get(row.variant, {}) if tuned else None,
            }
        )
        for cell, swept in plan.cells.items()
        for row in gather(study.of_cell(cell), plan.variants, plan.seeds, swept, plan.targets)
    ]


def baselines(folder: Path) -> Baselines | None:
    """The metrics of methods without training, if the study has any."""
    path = StudyFolder(folder).baselines
    return read(path, Baselines) if path.exists() else None


def choices(folder: Path, rows: Sequence[SummaryRow]) -> list[str]:
    """Sentences on the choices before the study's final runs, and on how they were made.

    Args:
        folder: The study's results folder.
        rows: The rows of the final runs.
    """
    study = StudyFolder(folder)
    return chosen.sentences(study, read_plan(study), rows)


def show(
    rows: Sequence[SummaryRow],
    console: Console,
    title: str | None = None,
    untrained: Baselines | None = None,
    source: str = "",
    chose: Sequence[str] = (),
) -> None:
    """Prints the table, the conclusions and the notes.

    Args:
        rows: The rows returned by `summarise`.
        console: Where to print; a console that is no terminal is widened to fit the table.
        title: A heading, or None.
        untrained: The metrics of methods without training, or None.
        source: The source of the accuracies in the column "published"; empty if there are none.
        chose: The sentences returned by `choices`.
    """
    terminal.show(rows, conclude(rows), console, title, untrained, source, chose)


def _published(plan: Plan, cell: str, variant: str) -> float | None:
    """The published accuracy of a variant as a share, or None."""
    percent = plan.published.get(cell, {}).get(variant)
    return None if percent is None else percent / 100


def _title(plan: Plan, rows: Sequence[SummaryRow]) -> str:
    measured = (row.device for row in rows if row.device_source == "measured")
    devices = ", ".join(dict.fromkeys(measured))
    seeds = f"{len(plan.seeds)} {'seed' if len(plan.seeds) == 1 else 'seeds'}"
    name = plan.name if plan.name == plan.dataset else f"{plan.name}: {plan.dataset}"
    return f"{name}, {seeds}, {devices}"
