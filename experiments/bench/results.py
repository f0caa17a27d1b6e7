"""Records grouped for comparison: one entry per case, dtype, mode and allocator."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.bench.contenders import ITSELF
from experiments.bench.records import COPY, BenchRecord, Timing

Verdict = Literal["faster", "slower", "even"]
Statistic = Callable[[Timing], float]

OURS = "jaxpool"


def median(timing: Timing) -> float:
    """The median of the samples, the typical time of a call."""
    return timing.median_s


def minimum(timing: Timing) -> float:
    """The shortest sample, the time of a call without disturbances."""
    return timing.min_s


@dataclass(frozen=True)
class CaseRecords:
    """The records of all contenders of one group in one mode, which may be compared."""

    records: dict[str, BenchRecord]

    @property
    def any(self) -> BenchRecord:
        """One of the records, for fields that all records share."""
        return next(iter(self.records.values()))

    def timing(self, contender: str) -> Timing | None:
        """The contender's times, or those of the same program; None if it was not timed."""
        record = self.records.get(contender)
        if record is not None and record.same_as is not None:
            record = self.records[record.same_as]
        return None if record is None else record.timing

    def ratio(self, peer: str, statistic: Statistic = median) -> float | None:
        """The peer's time over ours."""
        ours, theirs = self.timing(OURS), self.timing(peer)
        return None if ours is None or theirs is None else statistic(theirs) / statistic(ours)

    def ratio_interval(self, peer: str) -> tuple[float, float] | None:
        """The smallest and the largest ratio that the intervals of both medians allow."""
        ours, theirs = self.timing(OURS), self.timing(peer)
        if ours is None or theirs is None:
            return None
        (our_low, our_high), (their_low, their_high) = _ends(ours), _ends(theirs)
        return their_low / our_high, their_high / our_low

    @property
    def noise(self) -> float | None:
        """The ratio, at least 1, of two timings of the same program."""
        ratio = self.ratio(ITSELF)
        return None if ratio is None else max(ratio, 1 / ratio)

    def verdict(self, peer: str) -> Verdict:
        """Whether the ratio to a peer is significant.

        It is significant if it exceeds the noise, the ratio of our program to itself, and the
        intervals of the two medians do not overlap. If there are too few samples for an interval,
        their whole range is used.
        """
        ours, theirs, ratio = self.timing(OURS), self.timing(peer), self.ratio(peer)
        if ours is None or theirs is None or ratio is None:
            return "even"
        if self.records[peer].same_as == OURS or max(ratio, 1 / ratio) <= (self.noise or 1.0):
            return "even"
        (our_low, our_high), (their_low, their_high) = _ends(ours), _ends(theirs)
        if our_high < their_low:
            return "faster"
        return "slower" if their_high < our_low else "even"

    def share(self, contender: str = OURS) -> float | None:
        """The minimum traffic per time, relative to the copy's bandwidth; 1 is a copy's speed."""
        time, copy = self.timing(contender), self.timing(COPY)
        if time is None or copy is None:
            return None
        bandwidth = self.records[COPY].traffic_bytes / copy.median_s
        return self.records[contender].traffic_bytes / time.median_s / bandwidth

    @property
    def temporaries(self) -> float | None:
        """Temporary memory of our program, as a multiple of the input."""
        record = self.records.get(OURS)
        if record is None or record.temp_bytes is None or COPY not in self.records:
            return None  # not timed, or no pooling
        return record.temp_bytes / record.input_bytes

    @property
    def compile_s(self) -> float | None:
        """Compilation time of our program in seconds."""
        record = self.records.get(OURS)
        return None if record is None else record.compile_s

    def compile_ratio(self, peer: str) -> float | None:
        """Compilation time of our program over that of the peer's program."""
        record = self.records.get(peer)
        if record is None or not record.compile_s or self.compile_s is None:
            return None
        return self.compile_s / record.compile_s

    @property
    def best_method(self) -> tuple[str, float] | None:
        """Our fastest method and its speed relative to the planner's choice, if it is faster."""
        ratios = {
            name.partition(":")[2]: 1 / ratio
            for name in self.records
            if name.startswith(f"{OURS}:") and name != ITSELF and (ratio := self.ratio(name))
        }
        best = max(ratios, key=lambda name: ratios[name], default=None)
        if best is None or self.verdict(f"{OURS}:{best}") != "slower":
            return None
        return best, ratios[best]


def entries(records: Iterable[BenchRecord]) -> list[CaseRecords]:
    """Groups records into entries, in the order of their first record."""
    groups: dict[tuple[str, ...], dict[str, BenchRecord]] = {}
    for record in records:
        key = (record.allocator, record.mode, record.case, record.dtype)
        groups.setdefault(key, {})[record.contender] = record
    return [CaseRecords(group) for group in groups.values()]


def geometric_mean(values: Sequence[float]) -> float:
    """The n-th root of the product of n positive numbers."""
    if not values:
        raise ValueError("values is empty: a mean needs at least one")
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _ends(timing: Timing) -> tuple[float, float]:
    if timing.low_s is None or timing.high_s is None:
        return min(timing.samples_s), max(timing.samples_s)
    return timing.low_s, timing.high_s
