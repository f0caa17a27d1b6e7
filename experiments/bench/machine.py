"""Load on the machine that would disturb timings: of other processes, and of our own threads."""

import os
import time
from pathlib import Path

from experiments.clock import Stopwatch

_STAT = Path("/proc/stat")
_IDLE_FIELDS = (3, 4)  # idle, and idle while waiting for I/O

_IDLE_CORES = 0.3  # busy cores while this thread sleeps; below, no other thread of ours runs
_POLL_S = 0.0005
_PATIENCE_S = 0.1

BUSY = 0.25
"""Number of cores used by others above which a warning is printed."""


def busy_cores(seconds: float = 0.3) -> float | None:
    """The number of cores that other processes use while this process sleeps; None if unknown.

    Time that a hypervisor gives to other guests counts as used.

    Args:
        seconds: Duration of the observation.

    Returns:
        A number between 0 and the machine's cores, whichever of them this process may use.
    """
    if not _STAT.is_file():
        return None
    before = _busy_ticks(_STAT.read_text())
    with Stopwatch() as asleep:
        time.sleep(seconds)
    after = _busy_ticks(_STAT.read_text())
    return max(0.0, (after - before) / os.sysconf("SC_CLK_TCK") / asleep.seconds)


def settle() -> None:
    """Waits until the process is idle, since libraries' threads spin for a while after work."""
    deadline = time.perf_counter() + _PATIENCE_S  # a time limit, not a measurement
    while time.perf_counter() < deadline:
        cpu = time.process_time()
        with Stopwatch() as asleep:
            time.sleep(_POLL_S)
        if time.process_time() - cpu < _IDLE_CORES * asleep.seconds:
            return


def _busy_ticks(stat: str) -> int:
    """Ticks since boot that were not idle, summed over all cores."""
    total, *_ = stat.splitlines()
    ticks = [int(field) for field in total.split()[1:9]]  # later fields are included in these
    return sum(n for i, n in enumerate(ticks) if i not in _IDLE_FIELDS)
