"""A study's results for people: `summarise` writes them, `show` prints them.

Each form is a module: `rows` (summary.csv), `tidy` (runs.csv, epochs.csv), `summary` (summary.md),
`terminal`, `plots` (pareto.png), `sweep` (sweep.png), `frontier` (frontier.png, if a swept key
changes the cost), `page` (report.html); `columns` and `notes` are what the tables have in common.
A new form is one more module and one more line in `summarise`.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.folder import StudyFolder
from experiments.records import Baselines, read, write_atomically
from experiments.report import chosen, frontier, page, plots, summary, sweep, terminal, tidy
from experiments.report.conclusion import conclude
from experiments.report.plan import Plan, read_plan
from experiments.report.rows import SummaryRow, gather, read_csv, to_csv

__all__ = ["SummaryRow", "baselines", "choices", "show", "summarise"]


def summarise(folder: Path) -> list[SummaryRow]:
    """Reads a study's records and writes tables, plots and report.html beside them.

    Of a published folder, which has summary.csv and no runs, what follows from summary.csv is made
    anew: summary.md, the plots and the page.

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
    title, beside, said = _title(plan, rows), baselines(folder), choices(folder, rows)
    table = summary.to_markdown(
        title, rows, conclude(rows), beside, plan.source, said, plan.question
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
    write_atomically(study.page, page.page(study, plan, rows, beside))
    return rows


def _gathered(study: StudyFolder, plan: Plan) -> list[SummaryRow]:
    """The rows of a study with its runs."""
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
    """What was chosen before the study's final runs and by what, in sentences.

    Args:
        folder: The study's results folder.
        rows: The final runs.
    """
    study = StudyFolder(folder)
    return chosen.sentences(study, read_plan(study), rows)


def show(
    rows: Sequence[SummaryRow],
    console: Console,
    title: str | None = None,
    beside: Baselines | None = None,
    source: str = "",
    chose: Sequence[str] = (),
) -> None:
    """Prints the table, then what the data allow to be said and what they don't.

    Args:
        rows: What `summarise` returned.
        console: Where to print; one that is no terminal is made wide enough for the table.
        title: A heading, or None.
        beside: The metrics of methods without training, if there are any.
        source: Where the accuracies in the column "published" come from, if there are any.
        chose: What `choices` returned.
    """
    terminal.show(rows, conclude(rows), console, title, beside, source, chose)


def _published(plan: Plan, cell: str, variant: str) -> float | None:
    """An accuracy that others have published, as a share."""
    percent = plan.published.get(cell, {}).get(variant)
    return None if percent is None else percent / 100


def _title(plan: Plan, rows: Sequence[SummaryRow]) -> str:
    measured = (row.device for row in rows if row.device_source == "measured")
    devices = ", ".join(dict.fromkeys(measured))
    seeds = f"{len(plan.seeds)} {'seed' if len(plan.seeds) == 1 else 'seeds'}"
    name = plan.name if plan.name == plan.dataset else f"{plan.name}: {plan.dataset}"
    return f"{name}, {seeds}, {devices}"
