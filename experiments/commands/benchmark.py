"""The command `bench`."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import Change, Out, console
from experiments.plain_errors import plain_errors


def bench(
    config: Annotated[Path, typer.Argument(help="The benchmark's TOML file, in configs/bench.")],
    change: Change = None,
    out: Out = Path("runs"),
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
    before: Annotated[
        Path | None,
        typer.Option(
            help="Another checkout of this repository: its jaxpool takes turns with this one's."
        ),
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
            if target or interpreter or before:
                raise ConfigError("--devices: takes none of --target, --interpreter and --before")
            if not sharding.run(benchmark, out, console(), devices=devices, **options):
                raise typer.Exit(1)
            return
        options |= {"interpreter": interpreter, "before": before and before.resolve()}
        right = [
            runner.run(benchmark, out, console(), target=each, **options)
            for each in runner.targeted(target or ())
        ]
        if not all(right):
            raise typer.Exit(1)
