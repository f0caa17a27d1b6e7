"""Supervision of a training process: reports the loss of another process in one line.

If a process of `jax.distributed` is lost, JAX's C++ code in the other processes prints a stack
trace and aborts. So `run --coordinator` starts itself again: the inner process trains, and the
outer process forwards its output, its exit status and signals. If the inner process ends because
another process of the group is lost, the outer process names the lost process in one line on stderr
and exits with the status `LOST`. This module imports only light packages.
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
_FATAL = re.compile(r"^[WEF]\d{4} [\d:.]+ +\d+ (?:coordination_|preemption_|client\.h|add_port)")
"""The first line of what JAX's coordination service prints when something is wrong with it."""
_NOT_MET = re.compile("DEADLINE_EXCEEDED.*RegisterTask", re.DOTALL)
_UNHEALTHY = re.compile(r"unhealthy[^:]*:\n((?:\d+\n)+)")
_ABORTED = -signal.SIGABRT


@dataclass(frozen=True)
class Group:
    """A group of processes that train together.

    Attributes:
        address: Host and port of process 0, or `"auto"` if JAX detects the group.
        processes: Number of processes; None with `"auto"`.
        process: The index of this process, from 0; None with `"auto"`.
        timeout: Seconds without a heartbeat after which a process counts as lost.
        start_timeout: Seconds within which all processes must start.
    """

    address: str
    processes: int | None
    process: int | None
    timeout: int
    start_timeout: int


def group(
    address: str | None, processes: int | None, process: int | None, timeout: int, start: int
) -> Group | None:
    """The group given on the command line; None without a coordinator.

    Args:
        address: `--coordinator`.
        processes: `--processes`.
        process: `--process`.
        timeout: `--peer-timeout`.
        start: `--start-timeout`.

    Raises:
        typer.Exit: The options are inconsistent; one line on stderr names the reason.
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
        group: The group of the process.

    Returns:
        The exit status.
    """
    command = [sys.executable, *sys.orig_argv[1:]]
    environment = {**os.environ, _INSIDE: str(os.getpid())}
    # A separate process group: Ctrl-C reaches only this process, which then ends the inner one.
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
    if status == _ABORTED and _NOT_MET.search(said):
        print(f"error: {not_met(group, f'not all in {group.start_timeout} s')}", file=sys.stderr)
        return 2
    if status == LOST or (status == _ABORTED and held):
        print(f"error: {_lost(group, said)}", file=sys.stderr)
        return LOST
    if status == 2:  # the last line explains JAX's own output
        said = held[-1] if held else ""
    sys.stderr.write(said)
    if status < 0:
        print(
            f"error: the process that trains was killed by {signal.Signals(-status).name}; the "
            "same commands go on",
            file=sys.stderr,
        )
        return 128 - status
    return status


def not_met(group: Group, reason: str) -> str:
    """The message for a group whose processes cannot find each other."""
    return (
        f"--coordinator {group.address}: the processes cannot meet ({reason}); give every one the "
        "address of process 0, with a free port, and start all of them"
    )


def _lost(group: Group, said: str) -> str:
    """The message about the lost process, with the action to take."""
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
        f"{number}: {who} of the group {verb} lost; run the same command in every process again, "
        "and it goes on from here"
    )
