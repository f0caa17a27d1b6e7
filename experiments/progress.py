"""What the user sees while a study trains: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from statistics import fmean
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from experiments.records import EpochMetrics

_QUIET_SECONDS = 10.0
"""Between two plain lines of one run, at least; its last epoch always gets one."""


class Display(AbstractContextManager, Protocol):
    """Shows how far training has come."""

    def epoch(self, variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics]) -> None:
        """One more epoch of these seeds is done."""
        ...


def display(console: Console, *, runs: Mapping[str, int], epochs: int) -> Display:
    """The display that suits a console.

    Args:
        console: Where to show it.
        runs: How many runs of each variant are still to be trained.
        epochs: Epochs of each.

    Returns:
        A context manager to be told of each epoch.
    """
    return (_Bar if console.is_terminal else _Lines)(console, runs, epochs)


class _Forecast:
    """How long training will still take, by what an epoch of each variant has taken so far."""

    def __init__(self, runs: Mapping[str, int], epochs: int):
        self._left = {variant: count * epochs for variant, count in runs.items()}
        self._taken: dict[str, list[float]] = {}

    def epoch(self, variant: str, metrics: Sequence[EpochMetrics]) -> None:
        """One more epoch of these runs is done."""
        self._left[variant] -= len(metrics)
        self._taken.setdefault(variant, []).extend(line.seconds for line in metrics)

    def __str__(self) -> str:
        means = {variant: fmean(seconds) for variant, seconds in self._taken.items()}
        typical = fmean(means.values())  # of a variant that has not begun
        left = sum(count * means.get(variant, typical) for variant, count in self._left.items())
        return f"about {_duration(left)} left"


class _Bar:
    """One bar over the epochs of all runs; what stays behind is a line a run."""

    def __init__(self, console: Console, runs: Mapping[str, int], epochs: int):
        self._epochs, self._forecast = epochs, _Forecast(runs, epochs)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs · {task.fields[speed]}"),
            console=console,
        )
        total = sum(runs.values()) * epochs
        self._task = self._progress.add_task("compiling", total=total, speed="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def epoch(self, variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics]) -> None:
        """Moves the bar."""
        self._forecast.epoch(variant, metrics)
        last = metrics[0].epoch == self._epochs
        self._progress.update(
            self._task,
            advance=len(seeds),
            description="compiling" if last else f"{escape(variant)}, {_seeds(seeds)}",
            speed=f"{metrics[0].examples_per_s:,.0f} examples/s · {self._forecast}",
        )
        if last:
            line = _line(variant, seeds, metrics, self._epochs)
            self._progress.console.print(line, markup=False, highlight=False)


class _Lines:
    """A line now and then."""

    def __init__(self, console: Console, runs: Mapping[str, int], epochs: int):
        self._console = console
        self._runs, self._epochs = runs, epochs
        self._forecast, self._last = _Forecast(runs, epochs), time.monotonic()

    def __enter__(self) -> Self:
        count = sum(self._runs.values())
        self._console.print(f"training {count} runs of {self._epochs} epochs")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def epoch(self, variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics]) -> None:
        """Prints a line, unless there was one just now."""
        self._forecast.epoch(variant, metrics)
        now = time.monotonic()
        if metrics[0].epoch < self._epochs and now - self._last < _QUIET_SECONDS:
            return
        self._last = now
        self._console.print(
            f"{_line(variant, seeds, metrics, self._epochs)}, {self._forecast}",
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
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
