"""Options of several commands, and the console on which commands print."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Change = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the config; may be repeated."),
]
Out = Annotated[
    Path,
    typer.Option(
        help="Where results go. Those that are published, under version control, are in `results`."
    ),
]


def console() -> Console:
    """The console of a command."""
    return Console()
