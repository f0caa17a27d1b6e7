"""Distribution of training runs to worker processes, with recovery from lost workers.

Workers train a `TrainingTask`, a run or a group of seeds, and write directly into the results
folder; no two tasks write the same file. If a worker is lost, its task is resumed from its
checkpoint.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol

from experiments.records import EpochMetrics, RecordError, read_metrics
from experiments.workers.task import TrainingTask

_POLL_SECONDS = 0.5
_MAX_LOSSES = 3
"""Number of lost workers after which a task ends the study, since the task may kill its workers."""


class Workers(Protocol):
    """Processes that carry out tasks."""

    @property
    def count(self) -> int:
        """Number of workers."""
        ...

    @property
    def lost(self) -> type[Exception]:
        """Type of the exception that a future raises if its worker has died."""
        ...

    def idle(self) -> int | None:
        """A worker without a task; None if there is none."""
        ...

    def submit(self, worker: int, task: TrainingTask) -> "Future[None]":
        """Makes a worker carry out a task."""
        ...

    def release(self, worker: int, lost: bool) -> None:
        """Frees the worker of an ended task; a lost worker is replaced."""
        ...


Tell = Callable[[TrainingTask, list[EpochMetrics]], None]
"""Called after each round of a task, with the metrics of each seed."""


def farm(tasks: Sequence[TrainingTask], workers: Workers, tell: Tell) -> None:
    """Carries out tasks on workers.

    Args:
        tasks: The tasks.
        workers: The workers.
        tell: Called in this process after each round of a task.

    Raises:
        RecordError: A task failed, or has lost its worker three times.
    """
    left, losses = list(tasks), Counter[TrainingTask]()
    running: dict[Future[None], tuple[int, TrainingTask]] = {}
    before: dict[int, tuple[str, str]] = {}
    progress = _ProgressReader(tell)
    while left or running:
        while left and (worker := workers.idle()) is not None:
            busy = {task.program for _, task in running.values()}
            task = _next(left, before.get(worker), busy)
            left.remove(task)
            before[worker] = task.program
            running[workers.submit(worker, task)] = (worker, task)
        done, _ = wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            worker, task = running.pop(future)
            lost = isinstance(future.exception(), workers.lost)
            workers.release(worker, lost)
            if not lost:
                future.result()  # raises the exception of the task
                progress.report(task)
                continue
            losses[task] += 1
            if losses[task] == _MAX_LOSSES:
                raise RecordError(
                    f"{task.place.variant(task.variant)}: {task} has lost its worker "
                    f"{_MAX_LOSSES} times, perhaps because memory ran out; run the same command "
                    "again with fewer --workers"
                )
            left.insert(0, task)
        for _, task in running.values():
            progress.report(task)


def _next(
    left: Sequence[TrainingTask], before: tuple[str, str] | None, busy: set[tuple[str, str]]
) -> TrainingTask:
    """The next task of a worker: of the worker's compiled program, or else of an unused program."""
    own = next((task for task in left if task.program == before), None)
    return own or next((task for task in left if task.program not in busy), left[0])


class _ProgressReader:
    """Reports new rounds of tasks, which it reads from their metrics files."""

    def __init__(self, tell: Tell):
        self._tell, self._told = tell, Counter[TrainingTask]()

    def report(self, task: TrainingTask) -> None:
        """Reports the rounds of a task that have ended since the last call."""
        paths = [task.place.metrics(task.variant, seed) for seed in task.seeds]
        # After a loss, the worker removes the rounds beyond its checkpoint and trains them again.
        for metrics in list(zip(*map(read_metrics, paths), strict=False))[self._told[task] :]:
            self._told[task] += 1
            self._tell(task, list(metrics))
