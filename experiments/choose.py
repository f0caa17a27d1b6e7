"""Choice of the most accurate variant inside a budget of latency, memory, speed or size.

A limit is met if the whole 95% interval of the quantity meets it, and missed if the whole interval
misses it. If the interval contains the limit, or the interval is missing for lack of samples, the
limit is undecided. Quantities that are not sampled (memory, parameters, estimates) and the median
latency are decided by their value alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from experiments.contrasts import Contrast, judge
from experiments.limits import QUANTITIES, Interval, Quantity
from experiments.merge import together
from experiments.records import RecordError
from experiments.report.rows import SummaryRow
from experiments.results import Result, StudyResults, read

State = Literal["inside", "outside", "undecided"]


@dataclass(frozen=True)
class Finding:
    """One limit applied to one variant.

    Attributes:
        quantity: The limited quantity.
        limit: The limit.
        value: The variant's value of the quantity.
        interval: The 95% interval of the value; None if there is no interval.
        state: Whether the limit is met ("inside"), missed ("outside") or undecided ("undecided").
        excess: Factor by which the value misses the limit, minus 1; at most 0 if the value meets
            the limit.
        sample: Source of the interval in words, such as "500 samples".
        lacking: Why a sampled quantity has no interval; otherwise empty.
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
    """One variant with its finding for each limit."""

    label: str
    entry: Result
    findings: tuple[Finding, ...]

    @property
    def state(self) -> State:
        """The state over all limits: outside if one is missed, else undecided if one is."""
        states = {finding.state for finding in self.findings}
        return next(s for s in ("outside", "undecided", "inside") if s in states)

    @property
    def excess(self) -> float:
        """The largest excess of the limits that the variant misses; 0 if it misses none."""
        return max((f.excess for f in self.findings if f.state == "outside"), default=0.0)


@dataclass(frozen=True)
class Choice:
    """The answer of `choose`.

    Attributes:
        device: The device of the costs, and whether they are measured or estimated.
        candidates: All variants: first those inside the budget; variants of the same state are
            ordered by falling accuracy.
        best: The most accurate variant inside the budget; None if no variant is inside.
        tied: Other variants inside the budget that are not significantly less accurate than the
            best.
        beaten: The significant contrasts of the best variant with others inside the budget.
        nearest: The variant outside the budget that misses it by the smallest factor; None if no
            variant is outside.
        notes: Further sentences for the reader, such as a warning about different conditions.
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
        device: The device whose costs count, or a part of its name; None selects the device on
            which the variants were measured.
        cell: The cell of a sweep to choose in; None selects all cells.

    Returns:
        The choice.

    Raises:
        RecordError: No limit is given, a folder cannot be read, the folders have several datasets,
            or the device or cell is missing or ambiguous.
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
    tied, beaten = _compare_with_best(inside)
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
        raise RecordError(f"--cell {cell}: no such cell; cells are {', '.join(cells) or 'none'}")
    return [entry for entry in entries if entry.row.cell == cell]


def _on_device(entries: list[Result], device: str | None) -> list[Result]:
    """The entries of one device: by default the measured one, else the one that a name matches."""
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


def _compare_with_best(inside: Sequence[Appraisal]) -> tuple[list[Appraisal], list[Contrast]]:
    """Splits the other variants by whether they differ significantly from the best, which is first.

    The best variant is known only after looking at the results, so all pairs inside the budget
    count as comparisons. Candidates that hold the same runs count once.
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
    # Significance is of the mean over shared seeds, which may favour the other variant.
    beaten = [
        contrast
        for contrast in contrasts
        if contrast.first == best.label
        and contrast.significant
        and (contrast.difference.mean or 0) > 0
    ]
    lost = {contrast.second for contrast in beaten}
    return [other for other in others if first[other.label].label not in lost], beaten
