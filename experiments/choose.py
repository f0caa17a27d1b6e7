"""The most accurate variant inside a budget of latency, memory, speed or size.

A limit is met if the whole 95% interval of the quantity meets it, and missed if the whole interval
misses it. If the limit lies inside the interval, or the data give no interval, nothing is decided.
A quantity that is not sampled (memory, parameters, whatever is estimated) has no interval, and its
value decides; so does the value of the median latency.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from experiments import statistics
from experiments.contrasts import Contrast, judge
from experiments.merge import together
from experiments.records import RecordError
from experiments.report.rows import SummaryRow
from experiments.results import Result, StudyResults, read

Interval = tuple[float, float]
State = Literal["inside", "outside", "undecided"]


@dataclass(frozen=True)
class Quantity:
    """What a limit may be put on.

    Attributes:
        heading: Its name in a table.
        unit: The unit of its values.
        at_least: Whether the limit is a least value; else it is a largest one.
        value: The value of a row.
        interval: Its 95% interval; None if it is not sampled.
        lacking: Why its interval is not known though it is sampled; empty if it is known.
        sample: What its interval was computed from, such as "500 samples".
    """

    heading: str
    unit: str
    at_least: bool
    value: Callable[[SummaryRow], float]
    interval: Callable[[SummaryRow], Interval | None] = lambda _: None
    lacking: Callable[[SummaryRow], str] = lambda _: ""
    sample: Callable[[SummaryRow], str] = lambda _: ""


def _interval(low: float | None, high: float | None) -> Interval | None:
    return None if low is None or high is None else (low, high)


def _lacks_p99(row: SummaryRow) -> str:
    if row.device_source == "estimated" or row.latency_ms_p99_ci95_low is not None:
        return ""
    needed = f"a 95% interval of p99 needs {statistics.fewest_for_quantile(0.99)} samples"
    if row.latency_samples is None:
        return f"summary.csv is of a version without it, so measure again; {needed}"
    return needed


def _samples(row: SummaryRow) -> str:
    return "these results" if row.latency_samples is None else f"{row.latency_samples} samples"


QUANTITIES: Mapping[str, Quantity] = {
    "latency_p50_ms": Quantity("p50 latency", "ms", False, lambda r: r.latency_ms_p50),
    "latency_p99_ms": Quantity(
        "p99 latency",
        "ms",
        False,
        lambda r: r.latency_ms_p99,
        lambda r: _interval(r.latency_ms_p99_ci95_low, r.latency_ms_p99_ci95_high),
        _lacks_p99,
        _samples,
    ),
    "memory_mb": Quantity("memory", "MB", False, lambda r: r.peak_memory_mb),
    "max_parameters": Quantity("parameters", "", False, lambda r: r.parameters),
    "min_accuracy": Quantity(
        "accuracy",
        "",
        True,
        lambda r: r.test_accuracy_mean,
        lambda r: _interval(r.test_accuracy_ci95_low, r.test_accuracy_ci95_high),
        lambda r: "an interval of the accuracy needs 2 seeds" if r.seeds < 2 else "",
        lambda r: f"{r.seeds} {'seed' if r.seeds == 1 else 'seeds'}",
    ),
    "min_infer_per_s": Quantity(
        "inference",
        "examples/s",
        True,
        lambda r: r.infer_examples_per_s,
        lambda r: (r.infer_examples_per_s_ci95_low, r.infer_examples_per_s_ci95_high),
        sample=lambda _: "the samples taken",
    ),
    "min_train_per_s": Quantity(
        "training",
        "examples/s",
        True,
        lambda r: r.train_examples_per_s,
        lambda r: (r.train_examples_per_s_ci95_low, r.train_examples_per_s_ci95_high),
        sample=lambda _: "the samples taken",
    ),
}
"""What can be limited, by the name of its option."""


@dataclass(frozen=True)
class Finding:
    """One limit applied to one variant.

    Attributes:
        quantity: What is limited.
        limit: By how much.
        value: What the variant has.
        interval: The 95% interval of that; None if there is none.
        state: Whether the limit is met ("inside"), missed ("outside"), or nobody can say.
        excess: By which factor the value misses the limit, less 1; at most 0 if it meets it.
        sample: What the value was computed from, such as "500 samples".
        lacking: Why there is no interval though the quantity is sampled; else empty.
    """

    quantity: Quantity
    limit: float
    value: float
    interval: Interval | None
    state: State
    excess: float
    sample: str = ""
    lacking: str = ""


@dataclass(frozen=True)
class Appraisal:
    """One variant and what each limit says of it."""

    label: str
    entry: Result
    findings: tuple[Finding, ...]

    @property
    def state(self) -> State:
        """Inside all limits, outside one of them, or undecided."""
        states = {finding.state for finding in self.findings}
        return next(s for s in ("outside", "undecided", "inside") if s in states)

    @property
    def excess(self) -> float:
        """How far outside it is: the largest excess of the limits that it misses."""
        return max((f.excess for f in self.findings if f.state == "outside"), default=0.0)


@dataclass(frozen=True)
class Choice:
    """The answer.

    Attributes:
        device: What the costs are of, and whether they are measured or estimated.
        candidates: All variants: those inside first, each kind by falling accuracy.
        best: The most accurate variant inside the budget; None if none is.
        tied: Others inside that nothing shows to be less accurate than the best.
        beaten: The contrasts of the best with the others inside, significant ones.
        nearest: The variant outside that misses the budget by the smallest factor; None if none
            is outside.
        notes: What a reader must know besides.
    """

    device: str
    candidates: tuple[Appraisal, ...]
    best: Appraisal | None
    tied: tuple[Appraisal, ...]
    beaten: tuple[Contrast, ...]
    nearest: Appraisal | None
    notes: tuple[str, ...]


def choose(
    folders: Sequence[Path],
    limits: Mapping[str, float],
    device: str | None = None,
    cell: str | None = None,
) -> Choice:
    """Finds the most accurate variant inside a budget.

    Args:
        folders: Results folders, all of one dataset.
        limits: The limit of each quantity, by a name of `QUANTITIES`; at least one.
        device: The device whose costs count, or a part of its name; None for the one on which the
            variants were measured.
        cell: The cell of a sweep to choose in; None for all.

    Returns:
        The choice.

    Raises:
        RecordError: No limit is given, a folder cannot be read, the folders have several datasets,
            or the device or cell is not there or not the only one.
    """
    if not limits:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in QUANTITIES)
        raise RecordError(f"no limit given; choose needs one or more of {options}")
    studies, notes = together(read(folders))
    entries = _in_cell([Result(study, row) for study in studies for row in study.rows], cell)
    entries = _on_device(entries, device)
    test_sets = list(dict.fromkeys(str(entry.test_set) for entry in entries))
    if len(test_sets) > 1:
        cells = " or ".join(dict.fromkeys(entry.row.cell for entry in entries if entry.row.swept))
        hint = f", or one --cell of a sweep: {cells}" if cells else ""
        raise RecordError(
            f"choose compares accuracies on one test set, and these results have {len(test_sets)}: "
            f"{'; '.join(test_sets)}; give results of one dataset{hint}"
        )
    found = [_candidate(entry, studies, limits) for entry in entries]
    found.sort(key=lambda c: (_ORDER.index(c.state), -c.entry.row.test_accuracy_mean))
    inside = [candidate for candidate in found if candidate.state == "inside"]
    outside = [candidate for candidate in found if candidate.state == "outside"]
    tied, beaten = _from_the_best(inside)
    if len({entry.conditions for entry in entries}) > 1:
        notes.append(
            "Costs were measured under different conditions (XLA flags, allocator or batch size); "
            "each counts as it was measured."
        )
    row = entries[0].row
    return Choice(
        device=f"{row.device_source} on {row.device}",
        candidates=tuple(found),
        best=inside[0] if inside else None,
        tied=tuple(tied),
        beaten=tuple(beaten),
        nearest=min(outside, key=lambda candidate: candidate.excess, default=None),
        notes=tuple(notes),
    )


_ORDER: tuple[State, ...] = ("inside", "undecided", "outside")


def _in_cell(entries: list[Result], cell: str | None) -> list[Result]:
    cells = list(dict.fromkeys(entry.row.cell for entry in entries))
    if cell is None:
        return entries
    if cell not in cells:
        raise RecordError(f"--cell {cell}: not there; cells are {', '.join(cells) or 'none'}")
    return [entry for entry in entries if entry.row.cell == cell]


def _on_device(entries: list[Result], device: str | None) -> list[Result]:
    """The entries of one device: the measured one, or the one that a name stands for."""
    every = list(dict.fromkeys((e.row.device, e.row.device_source) for e in entries))
    names = "; ".join(f"{name} ({source})" for name, source in every)
    if device is None:
        chosen = [one for one in every if one[1] == "measured"] or every
        asked = "results of several devices: give one with --device"
    else:
        chosen = [one for one in every if device.lower() in one[0].lower()]
        asked = f"--device {device}: must be a part of one device's name"
    if len(chosen) != 1:
        raise RecordError(f"{asked}; devices are {names}")
    return [e for e in entries if (e.row.device, e.row.device_source) == chosen[0]]


def _candidate(
    entry: Result, studies: Sequence[StudyResults], limits: Mapping[str, float]
) -> Appraisal:
    row = entry.row
    key = f"{row.cell}/{row.variant}" if row.swept else row.variant
    return Appraisal(
        label=f"{entry.study.label}/{key}" if len(studies) > 1 else key,
        entry=entry,
        findings=tuple(_finding(QUANTITIES[name], limit, row) for name, limit in limits.items()),
    )


def _finding(quantity: Quantity, limit: float, row: SummaryRow) -> Finding:
    value, interval = quantity.value(row), quantity.interval(row)
    low, high = interval or (value, value)
    if quantity.at_least:
        met, missed, excess = low >= limit, high < limit, limit / value - 1 if value else math.inf
    else:
        met, missed, excess = high <= limit, low > limit, value / limit - 1 if limit else math.inf
    state: State = "inside" if met else "outside" if missed else "undecided"
    lacking = quantity.lacking(row)
    if lacking:
        state = "undecided"
    return Finding(quantity, limit, value, interval, state, excess, quantity.sample(row), lacking)


def _from_the_best(inside: Sequence[Appraisal]) -> tuple[list[Appraisal], list[Contrast]]:
    """Those that cannot be told apart from the first, which is the best, and those that can.

    The best is known only after looking, so all pairs inside the budget count as comparisons.
    Candidates that hold the same runs count once.
    """
    if not inside:
        return [], []
    first = {
        candidate.label: next(c for c in inside if c.entry.same_results(candidate.entry))
        for candidate in inside
    }
    distinct = [candidate for candidate in inside if first[candidate.label] is candidate]
    contrasts = judge(combinations([(c.label, c.entry.row.accuracies) for c in distinct], 2))
    best, *others = inside
    # What is significant is so for the mean over shared seeds, which may favour the other.
    beaten = [
        contrast
        for contrast in contrasts
        if contrast.first == best.label
        and contrast.significant
        and (contrast.difference.mean or 0) > 0
    ]
    lost = {contrast.second for contrast in beaten}
    return [other for other in others if first[other.label].label not in lost], beaten
