"""Checks every operator against other libraries: `python -m tools.peers [LIBRARY ...]`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from experiments.records import RecordError
from tools.peers import check

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    peer: Annotated[
        list[str] | None,
        typer.Argument(help="Libraries to check; by default all that are installed."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the records go.")] = Path("runs/peers"),
) -> None:
    """Tabulate which library has each operator, lacks it, or computes it differently."""
    try:
        check.run(peer or (), out, Console())
    except RecordError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    app(prog_name="python -m tools.peers")
