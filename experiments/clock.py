"""The stop-watch of everything that the lab times."""

import time
from collections.abc import Callable
from typing import Self


class Stopwatch:
    """Measures wall-clock time: the sum over its `with` blocks, which must not overlap.

    Attributes:
        seconds: Seconds in all blocks that have ended; 0 before the first.

    Example:
        >>> with Stopwatch() as watch:
        ...     total = sum(range(1000))
        >>> watch.seconds > 0
        True
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._started


def shortest(elapsed: Callable[[], float], *, calls: int, seconds: float) -> float:
    """The shortest of a few times.

    Args:
        elapsed: Measures one call, in seconds.
        calls: The most calls to measure.
        seconds: No further call is measured once all calls together took so long.
    """
    times = [elapsed()]
    while len(times) < calls and sum(times) < seconds:
        times.append(elapsed())
    return min(times)
