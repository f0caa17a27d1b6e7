"""Whether the machine is free, without which no timing means much."""

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE_FIELDS = (3, 4)  # idle, and idle while waiting for a disk

BUSY = 0.25
"""Cores kept busy by others from which on a warning is due."""


def busy_cores(seconds: float = 0.3) -> float | None:
    """How many cores others keep busy while this process sleeps; None where that is not known.

    Time that a hypervisor gave to other guests counts as busy.

    Args:
        seconds: How long to look.

    Returns:
        A number between 0 and the machine's cores, whichever of them this process may use.
    """
    if not _STAT.is_file():
        return None
    before, started = _busy_ticks(_STAT.read_text()), time.perf_counter()
    time.sleep(seconds)
    after, ended = _busy_ticks(_STAT.read_text()), time.perf_counter()
    return max(0.0, (after - before) / os.sysconf("SC_CLK_TCK") / (ended - started))


def _busy_ticks(stat: str) -> int:
    """Ticks since the start that were not idle, of all cores together."""
    total, *_ = stat.splitlines()
    ticks = [int(field) for field in total.split()[1:9]]  # what follows is counted among these
    return sum(n for i, n in enumerate(ticks) if i not in _IDLE_FIELDS)
