"""Progress display of training: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from statistics import fmean, median
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from experiments.records import EpochMetrics

_MIN_SECONDS_BETWEEN_LINES = 10.0
"""Minimum time between two plain lines; the last epoch of a run always gets a line."""


class Display(AbstractContextManager, Protocol):
    """Shows the progress of training."""

    def epoch(
        self, variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics], epochs: int
    ) -> None:
        """Reports that these seeds have finished one more epoch, out of `epochs`."""
        ...


def display(console: Console, *, runs: int, rounds: Mapping[str, int], workers: int = 1) -> Display:
    """The display that suits a console.

    Args:
        console: The console to write to.
        runs: Number of runs still to be trained.
        rounds: Number of epochs (or rounds) still to be trained of each variant, over all its runs.
        workers: Number of processes that train at the same time.

    Returns:
        A context manager whose `epoch` must be called after each epoch.
    """
    forecast = _Forecast(rounds, workers)
    return (_Bar if console.is_terminal else _Lines)(console, runs, sum(rounds.values()), forecast)


class _Forecast:
    """Estimate of the remaining training time, from each variant's mean time per epoch so far."""

    def __init__(self, rounds: Mapping[str, int], workers: int):
        self._left, self._workers = dict(rounds), workers
        self._taken: dict[str, list[float]] = {}

    def epoch(self, variant: str, metrics: Sequence[EpochMetrics]) -> None:
        """Counts one more finished epoch of these runs."""
        self._left[variant] -= len(metrics)
        self._taken.setdefault(variant, []).extend(line.seconds for line in metrics)

    def __str__(self) -> str:
        means = {variant: fmean(seconds) for variant, seconds in self._taken.items()}
        typical = median(means.values())  # for those not begun; one slow variant distorts a mean
        left = sum(count * means.get(variant, typical) for variant, count in self._left.items())
        return f"about {_duration(left / self._workers)} left"


class _Bar:
    """One progress bar over the epochs of all runs, and one line per finished run."""

    def __init__(self, console: Console, runs: int, rounds: int, forecast: _Forecast):
        del runs
        self._forecast = forecast
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs · {task.fields[speed]}"),
            console=console,
        )
        self._task = self._progress.add_task("compiling", total=rounds, speed="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def epoch(
        self, variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics], epochs: int
    ) -> None:
        """Advances the bar."""
        self._forecast.epoch(variant, metrics)
        last = metrics[0].epoch == epochs
        self._progress.update(
            self._task,
            advance=len(seeds),
            description="compiling" if last else f"{escape(variant)}, {_seeds(seeds)}",
            speed=f"{metrics[0].examples_per_s:,.0f} examples/s · {self._forecast}",
        )
        if last:
            line = _line(variant, seeds, metrics, epochs)
            self._progress.console.print(line, markup=False, highlight=False)


class _Lines:
    """Plain lines, at most one per `_MIN_SECONDS_BETWEEN_LINES` except at the end of a run."""

    def __init__(self, console: Console, runs: int, rounds: int, forecast: _Forecast):
        self._console, self._runs, self._rounds = console, runs, rounds
        self._forecast, self._last = forecast, time.monotonic()

    def __enter__(self) -> Self:
        words = f"training {self._runs} runs, {self._rounds} epochs in all"
        self._console.print(words, highlight=False)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def epoch(
        self, variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics], epochs: int
    ) -> None:
        """Prints a line, unless the last line was printed just before."""
        self._forecast.epoch(variant, metrics)
        now = time.monotonic()
        if metrics[0].epoch < epochs and now - self._last < _MIN_SECONDS_BETWEEN_LINES:
            return
        self._last = now
        self._console.print(
            f"{_line(variant, seeds, metrics, epochs)}, {self._forecast}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _line(variant: str, seeds: tuple[int, ...], metrics: list[EpochMetrics], epochs: int) -> str:
    shown = f"training loss {fmean(line.train_loss for line in metrics):.4f}"
    scored = [line.validation_accuracy for line in metrics if line.validation_accuracy is not None]
    if scored:
        shown += f", validation accuracy {fmean(scored):.4f}"
    return (
        f"{variant}, {_seeds(seeds)}: epoch {metrics[0].epoch}/{epochs}, {shown}, "
        f"{metrics[0].examples_per_s:,.0f} examples/s"
    )


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
