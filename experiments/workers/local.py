"""Worker processes on this machine, started by joblib's loky."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

import jax
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool

from experiments.allocator import keep_freed_memory
from experiments.config import ConfigError
from experiments.stopping import end_with_parent
from experiments.workers.farm import Workers
from experiments.workers.task import TrainingTask, carry_out


@contextmanager
def local(count: int) -> Iterator[Workers]:
    """Starts `count` worker processes on this machine.

    Raises:
        ConfigError: The default device is no CPU; processes cannot share any other device.
    """
    if jax.default_backend() != "cpu":
        raise ConfigError(f"--workers {count}: only a CPU can be shared by processes; leave it out")
    workers = _Local(count)
    try:
        yield workers
    finally:
        workers.end()


class _Local:
    """One executor of one process per worker, since a lost process breaks its whole executor."""

    lost: type[Exception] = BrokenProcessPool

    def __init__(self, count: int):
        self.count, self._idle = count, list(range(count))
        self._executors: dict[int, ProcessPoolExecutor] = {}

    def idle(self) -> int | None:
        """A worker without a task; None if there is none."""
        return self._idle.pop() if self._idle else None

    def submit(self, worker: int, task: TrainingTask) -> "Future[None]":
        """Makes a worker carry out a task; its process starts with its first task."""
        if worker not in self._executors:
            self._executors[worker] = ProcessPoolExecutor(
                max_workers=1, initializer=_initialize, initargs=(worker, self.count, os.getpid())
            )
        return self._executors[worker].submit(carry_out, task)

    def release(self, worker: int, lost: bool) -> None:
        """Frees the worker of an ended task; the process of a lost worker is started again."""
        if lost:
            self._executors.pop(worker).shutdown(wait=False)
        self._idle.append(worker)

    def end(self) -> None:
        """Ends all worker processes at once."""
        for executor in list(self._executors.values()):
            executor.shutdown(wait=True, kill_workers=True)


def _initialize(number: int, count: int, parent: int) -> None:
    """Initializes a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, whose end ends this one
    end_with_parent(parent)
    keep_freed_memory()
    # XLA divides reductions among its threads, so the number of threads decides the last bits of a
    # result. Each worker has as many threads as the parent, on the worker's share of the cores.
    jax.devices()
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        share = cores[number % len(cores) :: count]
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), share)
