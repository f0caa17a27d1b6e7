"""Handing out training runs to worker processes, and what becomes of the run of a lost one.

Workers train a `Task`, a run or a group of seeds, straight into the results folder; no two tasks
write the same file. A lost worker costs its task only, which is done again from its checkpoint.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol

from experiments.records import EpochMetrics, RecordError, read_metrics
from experiments.workers.task import Task

_POLL_SECONDS = 0.5
_LOSSES = 3
"""How often a task may lose its worker before the study ends: it may be the task that kills it."""


class Workers(Protocol):
    """Processes that carry out tasks."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def lost(self) -> type[Exception]:
        """What a future raises whose worker has died."""
        ...

    def idle(self) -> int | None:
        """A worker that has nothing to do; None if there is none."""
        ...

    def submit(self, worker: int, task: Task) -> "Future[None]":
        """Lets a worker carry out a task."""
        ...

    def release(self, worker: int, lost: bool) -> None:
        """The worker's task has ended; a lost worker is replaced."""
        ...


Tell = Callable[[Task, list[EpochMetrics]], None]
"""Told after each round of a task: the metrics of each of its seeds."""


def farm(tasks: Sequence[Task], workers: Workers, tell: Tell) -> None:
    """Carries out tasks on workers.

    Args:
        tasks: What is to be done.
        workers: What carries them out.
        tell: Told of progress, in this process.

    Raises:
        RecordError: A task failed, or has lost its worker three times.
    """
    left, losses = list(tasks), Counter[Task]()
    running: dict[Future[None], tuple[int, Task]] = {}
    before: dict[int, tuple[str, str]] = {}
    watch = _Watch(tell)
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
                future.result()  # raises what the task raised
                watch.look(task)
                continue
            losses[task] += 1
            if losses[task] == _LOSSES:
                raise RecordError(
                    f"{task.place.variant(task.variant)}: {task} has lost its worker "
                    f"{_LOSSES} times, perhaps for want of memory; give fewer --workers and "
                    "the same command again"
                )
            left.insert(0, task)
        for _, task in running.values():
            watch.look(task)


def _next(left: Sequence[Task], before: tuple[str, str] | None, busy: set[tuple[str, str]]) -> Task:
    """The task that suits a worker: of the program that it has compiled, or of one that is new."""
    own = next((task for task in left if task.program == before), None)
    return own or next((task for task in left if task.program not in busy), left[0])


class _Watch:
    """Follows the metrics files of tasks."""

    def __init__(self, tell: Tell):
        self._tell, self._told = tell, Counter[Task]()

    def look(self, task: Task) -> None:
        """Tells of the rounds that have ended since the last look."""
        paths = [task.place.metrics(task.variant, seed) for seed in task.seeds]
        # After a loss the worker takes back the rounds beyond its checkpoint, and does them again.
        for metrics in list(zip(*map(read_metrics, paths), strict=False))[self._told[task] :]:
            self._told[task] += 1
            self._tell(task, list(metrics))
