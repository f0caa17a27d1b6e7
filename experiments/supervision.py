"""A process that watches over another one, and says in one line what became of its group.

When a process of `jax.distributed` is lost, the others learn of it inside JAX's C++ code, which
prints a stack trace and aborts. So `run --coordinator` starts itself once more: the inner process
trains, and this one passes on what it says, its exit status and signals. If it ends because another
process of the group is lost, one line on stderr names that one, and the exit status is `LOST`.

This module imports nothing heavy.
"""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, NoReturn, cast

import typer

LOST = 5
"""The exit status of a process whose group has lost another one."""
_INSIDE = "JAXPOOL_SUPERVISED"
_FATAL = re.compile(r"^[WEF]\d{4} [\d:.]+ +\d+ (?:coordination_|preemption_|client\.h)")
"""The first line of what JAX's coordination service prints when a process is lost."""
_UNHEALTHY = re.compile(r"unhealthy[^:]*:\n((?:\d+\n)+)")
_ABORTED = -signal.SIGABRT


@dataclass(frozen=True)
class Group:
    """Processes that train together.

    Attributes:
        address: Host and port of process 0, or `"auto"` where JAX finds the group by itself.
        processes: How many there are; None with `"auto"`.
        process: Which one this is, from 0; None with `"auto"`.
        timeout: Seconds without a sign of life after which a process counts as lost.
        start_timeout: Seconds in which all must have started.
    """

    address: str
    processes: int | None
    process: int | None
    timeout: int
    start_timeout: int


def group(
    address: str | None, processes: int | None, process: int | None, timeout: int, start: int
) -> Group | None:
    """The group that the command line asks for; None without a coordinator.

    Args:
        address: `--coordinator`.
        processes: `--processes`.
        process: `--process`.
        timeout: `--peer-timeout`.
        start: `--start-timeout`.

    Raises:
        typer.Exit: They do not fit; one line on stderr says why.
    """
    if address is None:
        if processes is None and process is None:
            return None
        return _refuse("--processes and --process: need --coordinator, the address of process 0")
    if address == "auto":
        return Group(address, None, None, timeout, start)
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        return _refuse(f"--coordinator {address}: must be HOST:PORT or auto")
    if processes is None or process is None:
        return _refuse(f"--coordinator {address}: needs --processes and --process")
    if process >= processes:
        return _refuse(
            f"--process {process}: must lie between 0 and {processes - 1}, for --processes is "
            f"{processes}"
        )
    return Group(address, processes, process, timeout, start)


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)


def inside() -> bool:
    """Whether this is the inner process."""
    return os.environ.get(_INSIDE) == str(os.getppid())


def supervised(group: Group) -> int:
    """Runs this command in an inner process.

    Args:
        group: Its group.

    Returns:
        The exit status.
    """
    command = [sys.executable, *sys.orig_argv[1:]]
    environment = {**os.environ, _INSIDE: str(os.getpid())}
    # A process group of its own: Ctrl-C reaches this process, with which the inner one ends.
    held: list[str] = []
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, process_group=0
    ) as inner:
        for line in cast("IO[str]", inner.stderr):
            if held or _FATAL.match(line):
                held.append(line)
            else:
                sys.stderr.write(line)
                sys.stderr.flush()
        status = inner.wait()
    said = "".join(held)
    if status == LOST or (status == _ABORTED and held):
        print(f"error: {_lost(group, said)}", file=sys.stderr)
        return LOST
    sys.stderr.write(said)
    if status < 0:
        print(
            f"error: the process that trains was killed by {signal.Signals(-status).name}; the "
            "same commands go on",
            file=sys.stderr,
        )
        return 128 - status
    return status


def _lost(group: Group, said: str) -> str:
    """What is known of the process that is lost, and what to do."""
    unhealthy = _UNHEALTHY.search(said)
    if unhealthy:
        names = unhealthy[1].split()
        who = f"process{'es' if len(names) > 1 else ''} {', '.join(names)}"
    elif group.processes == 2 and group.process is not None:
        who = f"process {1 - group.process}"
    elif "Failed to send RPC to coordination service" in said:
        who = "process 0"
    else:
        who = "another process"
    number = "this process" if group.process is None else f"process {group.process}"
    verb = "are" if who.startswith("processes") else "is"
    return (
        f"{number}: {who} of the group {verb} lost; give the same command in every process again, "
        "and it goes on from here"
    )
