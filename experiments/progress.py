"""What the user sees while a study trains: a bar on a terminal, plain lines elsewhere."""

import time
from contextlib import AbstractContextManager
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.records import EpochMetrics

_QUIET_SECONDS = 10.0
"""Between two plain lines of one run, at least; its last epoch always gets one."""


class Display(AbstractContextManager, Protocol):
    """Shows how far training has come."""

    def epoch(self, variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics]) -> None:
        """One more epoch of these seeds is done."""
        ...


def display(console: Console, *, runs: int, epochs: int) -> Display:
    """The display that suits a console.

    Args:
        console: Where to show it.
        runs: Runs that are still to be trained.
        epochs: Epochs of each.

    Returns:
        A context manager to be told of each epoch.
    """
    return (_Bar if console.is_terminal else _Lines)(console, runs, epochs)


class _Bar:
    """One bar over the epochs of all runs; what stays behind is a line a run."""

    def __init__(self, console: Console, runs: int, epochs: int):
        self._epochs = epochs
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs · {task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
        )
        self._task = self._progress.add_task("compiling", total=runs * epochs, speed="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def epoch(self, variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics]) -> None:
        """Moves the bar."""
        last = metrics[0].epoch == self._epochs
        self._progress.update(
            self._task,
            advance=len(seeds),
            description="compiling" if last else f"{escape(variant)}, {_seeds(seeds)}",
            speed=f"{metrics[0].examples_per_s:,.0f} examples/s",
        )
        if last:
            line = _line(variant, seeds, metrics, self._epochs)
            self._progress.console.print(line, markup=False, highlight=False)


class _Lines:
    """A line now and then."""

    def __init__(self, console: Console, runs: int, epochs: int):
        self._console = console
        self._runs, self._epochs = runs, epochs
        self._done, self._seconds, self._last = 0, 0.0, time.monotonic()

    def __enter__(self) -> Self:
        self._console.print(f"training {self._runs} runs of {self._epochs} epochs")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def epoch(self, variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics]) -> None:
        """Prints a line, unless there was one just now."""
        self._done += len(seeds)
        self._seconds += sum(line.seconds for line in metrics)
        now = time.monotonic()
        if metrics[0].epoch < self._epochs and now - self._last < _QUIET_SECONDS:
            return
        self._last = now
        left = self._seconds * (self._runs * self._epochs / self._done - 1)
        self._console.print(
            f"{_line(variant, seeds, metrics, self._epochs)}, about {_duration(left)} left",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _line(variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics], epochs: int) -> str:
    mean = sum(line.test_accuracy for line in metrics) / len(metrics)
    return (
        f"{variant}, {_seeds(seeds)}: epoch {metrics[0].epoch}/{epochs}, "
        f"test accuracy {mean:.4f}, {metrics[0].examples_per_s:,.0f} examples/s"
    )


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"
