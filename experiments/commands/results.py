"""Commands that read results folders."""

from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.commands.options import console
from experiments.plain_errors import plain_errors


def _limit(meaning: str) -> Any:
    return typer.Option(min=0, help=meaning)


def compare(
    results: Annotated[list[Path], typer.Argument(help="Results folders of finished studies.")],
    baseline: Annotated[
        str | None,
        typer.Option(help="The variant to compare others with; else each study's first."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the differences here too.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write all of it here too.")] = None,
) -> None:
    """Put several studies, or one study from several machines, into one table."""
    from experiments import compare, records
    from experiments.report import comparison

    with plain_errors():
        found = compare.compare(results, baseline)
        comparison.show(found, console())
        if csv is not None:
            records.write_atomically(csv, comparison.to_csv(found))
        if markdown is not None:
            records.write_atomically(markdown, comparison.to_markdown(found))


def choose(
    results: Annotated[list[Path], typer.Argument(help="Results folders of one dataset.")],
    latency_p99_ms: Annotated[
        float | None, _limit("Largest 99th percentile of the latency of one example.")
    ] = None,
    latency_p50_ms: Annotated[float | None, _limit("Largest median of it.")] = None,
    memory_mb: Annotated[
        float | None, _limit("Most memory of the training step, in 10^6 bytes.")
    ] = None,
    max_parameters: Annotated[float | None, _limit("Most trainable parameters.")] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least test accuracy, a share of 1.")
    ] = None,
    min_infer_per_s: Annotated[
        float | None, _limit("Fewest examples per second at inference, in batches.")
    ] = None,
    min_train_per_s: Annotated[float | None, _limit("Fewest examples per second trained.")] = None,
    device: Annotated[
        str | None,
        typer.Option(help="A part of the device's name; else the one that was measured."),
    ] = None,
    cell: Annotated[str | None, typer.Option(help="Choose in this cell of a sweep only.")] = None,
) -> None:
    """Name the most accurate variant inside a budget.

    The exit status is 4 if no variant is shown to be inside.
    """
    from experiments import choose
    from experiments.report import choice

    limits = {
        "latency_p50_ms": latency_p50_ms,
        "latency_p99_ms": latency_p99_ms,
        "memory_mb": memory_mb,
        "max_parameters": max_parameters,
        "min_accuracy": min_accuracy,
        "min_infer_per_s": min_infer_per_s,
        "min_train_per_s": min_train_per_s,
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    with plain_errors():
        found = choose.choose(results, given, device, cell)
        choice.show(found, console())
        if found.best is None:
            raise typer.Exit(4)


def merge(
    results: Annotated[
        list[Path], typer.Argument(help="Results folders of one study, with their runs.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write, which does not exist yet.")],
) -> None:
    """Put the runs of one study from several folders, each with other seeds, into one folder."""
    from experiments import merge, report

    with plain_errors():
        rows, notes = merge.merge(results, out)
        report.show(rows, console(), out.name, report.baselines(out))
        for line in (*notes, f"results: {out}"):
            console().print(line, highlight=False, soft_wrap=True, markup=False)


def report(
    results: Annotated[Path, typer.Argument(help="The results folder.")],
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write each run's epochs there as TensorBoard scalars.")
    ] = None,
) -> None:
    """Make a study's tables, plots and page anew from the records of its runs.

    Of published results, which have no runs, what follows from summary.csv is made anew; of
    benchmarks, the page.
    """
    from experiments import report, site
    from experiments.folder import StudyFolder
    from experiments.report import tensorboard as scalars
    from experiments.report.plan import read_plan
    from experiments.report.summary_csv import read_csv

    with plain_errors():
        page, folder = site.remake(results), StudyFolder(results)
        if folder.summary_csv.is_file():
            rows, source = read_csv(folder.summary_csv), read_plan(folder).source
            report.show(rows, console(), results.name, report.baselines(results), source)
        if tensorboard is not None:
            print(f"{scalars.write(folder, tensorboard)} runs in {tensorboard}")
        print(f"page: {page}")


def site(
    results: Annotated[Path, typer.Argument(help="A folder of results folders: `results`.")],
    out: Annotated[Path, typer.Option(help="The site's folder.")] = Path("runs/site"),
) -> None:
    """Make a static site: a page per study and benchmark, and an index; any web host serves it."""
    from experiments import site

    with plain_errors():
        pages = site.build(results, out)
        print(f"{len(pages)} pages: {pages[0]}")
