"""The command line, `python -m experiments`: one function a command, each calling one module."""

from experiments.stopping import stop_at_signals

if __name__ == "__main__":
    stop_at_signals()  # before the imports below, which take a second or more

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from experiments.faults import STATUSES

_OUT = "Where results go. Those that are published, under version control, are in `results`."

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
) -> None:
    """Run a study, or go on with one that was interrupted, and show its results."""
    from experiments.allocator import keep_freed_memory

    keep_freed_memory()  # before any thread has an arena of its own
    from experiments import plugins, study
    from experiments.compilation import use_cache
    from experiments.config import ConfigError, load
    from experiments.workers import dask as cluster
    from experiments.workers import local

    with _plain_errors():
        plugins.load(plugin or ())
        use_cache()
        if dask is not None and workers > 1:
            raise ConfigError("--workers and --dask: give one of them")
        crew = local(workers) if workers > 1 else None
        crew = crew if dask is None else cluster(dask)
        if not study.run(load(config, change or ()), out, _console(), plugin or (), crew):
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

    with _plain_errors():
        found = compare.compare(results, baseline)
        comparison.show(found, _console())
        if csv is not None:
            records.write_atomically(csv, comparison.to_csv(found))
        if markdown is not None:
            records.write_atomically(markdown, comparison.to_markdown(found))


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
) -> None:
    """Time operators against their peers, or go on with a benchmark that was interrupted."""
    from experiments.config import load
    from experiments.operators import bench
    from experiments.operators.config import Bench

    with _plain_errors():
        benchmark = load(config, change or (), Bench)
        options = {"cases": cases, "contenders": contenders or (), "fresh": fresh}
        options["interpreter"] = interpreter
        right = [
            bench.run(benchmark, out, _console(), target=each, **options)
            for each in bench.targeted(target or ())
        ]
        if not all(right):
            raise typer.Exit(1)


@app.command()
def peers(
    peer: Annotated[
        list[str] | None,
        typer.Argument(help="Libraries to check; else all that are installed."),
    ] = None,
    out: Annotated[Path, typer.Option(help=_OUT)] = Path("runs/peers"),
) -> None:
    """Check every operator against other libraries, and tabulate who has it, lacks it, differs."""
    from experiments.peers import check

    with _plain_errors():
        check.run(peer or (), out, _console())


@app.command()
def documents() -> None:
    """Bring README.md and docs/, tables and pictures, up to date with the records and the code."""
    from experiments import documents, gallery

    root = Path(__file__).parents[1]
    with _plain_errors():
        for file in [*documents.refresh(root), *gallery.refresh(root)]:
            print(f"updated {file.relative_to(root)}")


def _console() -> Console:
    return Console()


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turns errors that a user can mend into one message and an exit status."""
    import jax

    from experiments.config import ConfigError
    from experiments.data import DataError
    from experiments.records import RecordError
    from experiments.register import RegisterError

    try:
        yield
    except (ConfigError, DataError, RecordError, RegisterError) as error:
        _fail(str(error), error)
    except OSError as error:
        if error.errno == errno.EPIPE:  # who reads the output has seen enough
            raise
        place = error.filename or "the output"
        _fail(f"{place}: {error.strerror}; mend that and give the same command again", error)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            first = (str(error) or "no more").splitlines()[0]
            _fail(f"not enough memory ({first}); make the network or the batch smaller", error)
        raise


def _fail(message: str, error: Exception) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2) from error


if __name__ == "__main__":
    app(prog_name="python -m experiments")
