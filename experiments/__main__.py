"""The command line, `python -m experiments`: one function a command, each calling one module."""

from experiments.stopping import stop_at_signals

if __name__ == "__main__":
    stop_at_signals()  # before the imports below, which take a second or more

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from experiments import supervision
from experiments.faults import STATUSES
from experiments.plain_errors import plain_errors

_OUT = "Where results go. Those that are published, under version control, are in `results`."


def _limit(meaning: str) -> Any:
    return typer.Option(min=0, help=meaning)


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


_STATUSES = "Exit status: " + " ".join(f"{n}: {words}." for n, words in STATUSES.items())


@app.callback(epilog=_STATUSES)
def _lab() -> None:
    """Train networks that differ only in how they pool, and compare them honestly."""


@app.command(epilog=_STATUSES)
def run(
    config: Annotated[Path, typer.Argument(help="The study's TOML file.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the config; may be repeated."),
    ] = None,
    out: Annotated[Path, typer.Option(help=_OUT)] = Path("runs"),
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE_OR_MODULE",
            help="Import a Python file that registers datasets, networks or poolings; may be "
            "repeated.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Train in so many processes; the numbers are the same.")
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Train on the workers of a Dask scheduler, such as tcp://10.0.0.1:8786, which see "
            "the same folder.",
        ),
    ] = None,
    coordinator: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            envvar="JAX_COORDINATOR_ADDRESS",
            help="Train in several processes together: the address of process 0, or `auto` where "
            "JAX finds the group by itself (Slurm, Open MPI, TPU). Needs training.data_parallel.",
        ),
    ] = None,
    process_count: Annotated[
        int | None,
        typer.Option(
            "--processes", min=1, envvar="JAX_NUM_PROCESSES", help="How many processes these are."
        ),
    ] = None,
    process: Annotated[
        int | None,
        typer.Option(min=0, envvar="JAX_PROCESS_ID", help="Which one this is, from 0."),
    ] = None,
    peer_timeout: Annotated[
        int,
        typer.Option(min=5, help="Seconds without a sign of life that make a process a lost one."),
    ] = 60,
    start_timeout: Annotated[
        int, typer.Option(min=5, help="Seconds in which all processes must have started.")
    ] = 300,
) -> None:
    """Run a study, or go on with one that was interrupted, and show its results."""
    group = supervision.group(coordinator, process_count, process, peer_timeout, start_timeout)
    if group is not None and not supervision.inside():
        raise typer.Exit(supervision.supervised(group))
    from experiments.allocator import keep_freed_memory

    keep_freed_memory()  # before any thread has an arena of its own
    from experiments import lockstep, plugins, processes, study
    from experiments.compilation import use_cache
    from experiments.config import ConfigError, load
    from experiments.workers import dask as cluster
    from experiments.workers import local

    with processes.member(group), plain_errors():
        if dask is not None and workers > 1:
            raise ConfigError("--workers and --dask: give one of them")
        if group is not None and (workers > 1 or dask is not None):
            raise ConfigError("--coordinator: cannot be given with --workers or --dask")
        if group is not None:
            processes.connect(group)  # before anything asks JAX for its devices
        hashes = plugins.load(plugin or ())
        use_cache()
        processes.introduce(hashes)
        if not processes.leads():
            raise typer.Exit(0 if lockstep.follow(_console()) else 2)
        crew = local(workers) if workers > 1 else None
        crew = crew if dask is None else cluster(dask)
        with processes.leading():
            fine = study.run(load(config, change or ()), out, _console(), plugin or (), crew)
        if not fine:
            raise typer.Exit(3)


@app.command()
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
        comparison.show(found, _console())
        if csv is not None:
            records.write_atomically(csv, comparison.to_csv(found))
        if markdown is not None:
            records.write_atomically(markdown, comparison.to_markdown(found))


@app.command()
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
        choice.show(found, _console())
        if found.best is None:
            raise typer.Exit(4)


@app.command()
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
        report.show(rows, _console(), out.name, report.baselines(out))
        for line in (*notes, f"results: {out}"):
            _console().print(line, highlight=False, soft_wrap=True, markup=False)


@app.command()
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
            report.show(rows, _console(), results.name, report.baselines(results), source)
        if tensorboard is not None:
            print(f"{scalars.write(folder, tensorboard)} runs in {tensorboard}")
        print(f"page: {page}")


@app.command()
def bench(
    config: Annotated[Path, typer.Argument(help="The benchmark's TOML file, in configs/bench.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the config; may be repeated."),
    ] = None,
    out: Annotated[Path, typer.Option(help=_OUT)] = Path("runs"),
    cases: Annotated[str, typer.Option(help="Only the cases that match this pattern.")] = "*",
    contenders: Annotated[
        list[str] | None,
        typer.Option(help="Only those that match this pattern; may be repeated."),
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Forget earlier times in the folder.")] = False,
    interpreter: Annotated[
        Path | None,
        typer.Option(help="Another Python, for contenders that this one has not installed."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Estimate for a device that is not here instead: tpu-v5e, tpu-v6e or h100; may be "
            "repeated. Needs `make targets`."
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Divide the input among so many virtual devices instead, along each axis in turn; "
            "count what they exchange, and compare bytes and time with lax.",
        ),
    ] = None,
) -> None:
    """Time operators against their peers, or go on with a benchmark that was interrupted."""
    from experiments.bench import runner
    from experiments.bench.config import Bench
    from experiments.bench.sharding import runner as sharding
    from experiments.config import ConfigError, load

    with plain_errors():
        benchmark = load(config, change or (), Bench)
        options = {"cases": cases, "contenders": contenders or (), "fresh": fresh}
        if devices is not None:
            if target or interpreter:
                raise ConfigError("--devices: takes neither --target nor --interpreter")
            if not sharding.run(benchmark, out, _console(), devices=devices, **options):
                raise typer.Exit(1)
            return
        options["interpreter"] = interpreter
        right = [
            runner.run(benchmark, out, _console(), target=each, **options)
            for each in runner.targeted(target or ())
        ]
        if not all(right):
            raise typer.Exit(1)


@app.command()
def pack(
    config: Annotated[Path, typer.Argument(help="A study's TOML file, of an image_folder.")],
    out: Annotated[Path, typer.Option(help="The folder to write, which is new.")],
    per_shard: Annotated[int, typer.Option(min=1, help="The most images per shard.")] = 1000,
) -> None:
    """Write a study's image folder as array_record shards, to stream: dataset.name array_record."""
    from experiments.config import ConfigError, load
    from experiments.data import image_folder
    from experiments.data.pack import pack

    with plain_errors():
        dataset = load(config).dataset
        if not isinstance(dataset, image_folder.ImageFolder):
            raise ConfigError(f"{config}: dataset.name is {dataset.name}; expected image_folder")
        index = pack(dataset, out, per_shard)
        shards = (*index.train, *index.test)
        print(f"{sum(s.examples for s in shards)} images in {len(shards)} shards: {out}")


@app.command()
def site(
    results: Annotated[Path, typer.Argument(help="A folder of results folders: `results`.")],
    out: Annotated[Path, typer.Option(help="The site's folder.")] = Path("runs/site"),
) -> None:
    """Make a static site: a page per study and benchmark, and an index; any web host serves it."""
    from experiments import site

    with plain_errors():
        pages = site.build(results, out)
        print(f"{len(pages)} pages: {pages[0]}")


def _console() -> Console:
    return Console()


if __name__ == "__main__":
    app(prog_name="python -m experiments")
