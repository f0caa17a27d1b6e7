"""The command `run`."""

from pathlib import Path
from typing import Annotated

import typer

from experiments import supervision
from experiments.commands.options import Change, Out, console
from experiments.plain_errors import plain_errors


def run(
    config: Annotated[Path, typer.Argument(help="The study's TOML file.")],
    change: Change = None,
    out: Out = Path("runs"),
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
            raise typer.Exit(0 if lockstep.follow(console()) else 2)
        crew = local(workers) if workers > 1 else None
        crew = crew if dask is None else cluster(dask)
        with processes.leading():
            fine = study.run(load(config, change or ()), out, console(), plugin or (), crew)
        if not fine:
            raise typer.Exit(3)
