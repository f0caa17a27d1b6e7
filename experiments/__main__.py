"""The command line, `python -m experiments`: one function a command, each calling one module."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

_OUT = "Where results go. Those that are published, under version control, are in `results`."

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _lab() -> None:
    """Train networks that differ only in how they pool, and compare them honestly."""


@app.command()
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
) -> None:
    """Run a study, or go on with one that was interrupted, and show its results.

    The exit status is 3 if a run diverged.
    """
    from experiments.allocator import keep_freed_memory

    keep_freed_memory()  # before any thread has an arena of its own
    from experiments import plugins, study
    from experiments.config import load

    with _plain_errors():
        plugins.load(plugin or ())
        if not study.run(load(config, change or ()), out, _console(), plugin or ()):
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
def site(
    results: Annotated[Path, typer.Argument(help="A folder of results folders: `results`.")],
    out: Annotated[Path, typer.Option(help="The site's folder.")] = Path("runs/site"),
) -> None:
    """Make a static site: a page per study and benchmark, and an index; any web host serves it."""
    from experiments import site

    with _plain_errors():
        pages = site.build(results, out)
        print(f"{len(pages)} pages: {pages[0]}")


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
    from experiments.config import ConfigError
    from experiments.data import DataError
    from experiments.records import RecordError
    from experiments.register import RegisterError

    try:
        yield
    except (ConfigError, DataError, RecordError, RegisterError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130) from None


if __name__ == "__main__":
    app(prog_name="python -m experiments")
