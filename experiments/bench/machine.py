"""Detection of other load on the machine, which would disturb timings."""

import os
import time
from pathlib import Path

from experiments.clock import Stopwatch

_STAT = Path("/proc/stat")
_IDLE_FIELDS = (3, 4)  # idle, and idle while waiting for I/O

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


def _busy_ticks(stat: str) -> int:
    """Ticks since boot that were not idle, summed over all cores."""
    total, *_ = stat.splitlines()
    ticks = [int(field) for field in total.split()[1:9]]  # later fields are included in these
    return sum(n for i, n in enumerate(ticks) if i not in _IDLE_FIELDS)
