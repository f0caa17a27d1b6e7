"""Fair timing of several programs: samples in random interleaved order, after threads are idle.

Every program gets the same share of the time. The whole time is divided into as many stretches as a
program has samples; each sample is at a random moment of its stretch, so that a temporary slowdown
of the machine affects all programs alike.
"""

import gc
import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from experiments.bench.config import Budget
from experiments.bench.contenders.elsewhere import Turns
from experiments.bench.machine import settle
from experiments.bench.records import Timing
from experiments.clock import Stopwatch, shortest
from experiments.quantiles import median_interval

Run = Callable[[], Any]
Name = TypeVar("Name", bound=Hashable)

_LONG_S = 1.0  # calls so long that the contents of the caches at their start do not matter
_ESTIMATE_S = 0.1
_ESTIMATE_CALLS = 10


def interleave(
    runs: Mapping[Name, Run],
    firsts: Mapping[Name, float],
    budget: Budget,
    seed: int,
) -> dict[Name, Timing]:
    """Times programs, each of which has been run at least once.

    Args:
        runs: The programs by name.
        firsts: Seconds of the first runs.
        budget: The time limit.
        seed: Random seed of the order.

    Returns:
        The timings by name.
    """
    order = random.Random(seed)
    if not runs:
        return {}
    share = budget.seconds / len(runs)
    calls, turns = {}, []
    for name, run in runs.items():
        once = firsts[name] if firsts[name] > _LONG_S else _estimate(run)
        calls[name] = max(1, round(budget.sample_ms / 1000 / once))
        count = samples(once * calls[name], share, budget)
        turns += [((i + order.random()) / count, name) for i in range(count)]
    taken: dict[Name, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.disable()
    try:
        for _, name in sorted(turns, key=lambda turn: turn[0]):
            taken[name].append(_sample(runs[name], calls[name], warm=firsts[name] <= _LONG_S))
    finally:
        gc.enable()
    return {name: timing(taken[name], calls[name]) for name in runs}


def samples(sample_s: float, share_s: float, budget: Budget) -> int:
    """The number of samples of a given length for one program.

    As many as fit into the program's share of the time, each with an untimed call before it unless
    calls are long; at least `min_samples`, unless these take longer than `patience_s`; and at least
    one.
    """
    fitting = int(share_s / (2 * sample_s))
    patient = int(budget.patience_s / (2 * sample_s))
    return max(1, min(budget.samples, max(fitting, min(budget.min_samples, patient))))


def timing(seconds: Sequence[float], calls: int) -> Timing:
    """The timing record of samples, each the mean of `calls` calls."""
    median, low, high = median_interval(seconds)
    return Timing(
        median_s=median,
        low_s=low,
        high_s=high,
        min_s=min(seconds),
        calls=calls,
        samples_s=tuple(float(f"{s:.5g}") for s in seconds),
    )


def _estimate(run: Run) -> float:
    """Seconds of one call: the shortest of a few calls."""
    return shortest(lambda: _elapsed(run, 1), calls=_ESTIMATE_CALLS, seconds=_ESTIMATE_S)


def _sample(run: Run, calls: int, *, warm: bool) -> float:
    settle()
    if warm:
        run()  # loads this program's data into the caches, in place of the previous program's
    return _elapsed(run, calls)


def _elapsed(run: Run, calls: int) -> float:
    if isinstance(run, Turns):  # runs in another process, which measures the time itself
        return run.elapsed(calls)
    with Stopwatch() as watch:
        for _ in range(calls):
            run()
    return watch.seconds / calls
