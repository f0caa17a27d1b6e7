"""What the rows allow to be said, in words, and what they don't."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from experiments import statistics
from experiments.report import words
from experiments.report.rows import SummaryRow
from experiments.report.words import name

SIGNIFICANT = 0.05
UNTUNED = (
    "All variants were trained with the same settings (learning rate and so on), which were tuned "
    "for none of them: [tuning] would let each choose its own."
)


@dataclass(frozen=True)
class Contrast:
    """The accuracy of one variant minus another's, with its p-value after Holm's correction."""

    first: str
    second: str
    difference: statistics.Difference
    adjusted_p: float | None

    @property
    def significant(self) -> bool:
        """Whether the difference holds after correction for all the comparisons made."""
        return self.adjusted_p is not None and self.adjusted_p < SIGNIFICANT

    def upward(self) -> "Contrast":
        """The same contrast with the more accurate variant first."""
        return self.seen_from(self.first if (self.difference.mean or 0) >= 0 else self.second)

    def seen_from(self, variant: str) -> "Contrast":
        """The same contrast with this variant first."""
        if variant == self.first:
            return self
        d = self.difference
        turned = statistics.Difference(
            n=d.n,
            mean=None if d.mean is None else -d.mean,
            low=None if d.high is None else -d.high,
            high=None if d.low is None else -d.low,
            p=d.p,
        )
        return Contrast(self.second, self.first, turned, self.adjusted_p)


@dataclass(frozen=True)
class Conclusion:
    """At most two sentences, and the warnings that go with them.

    Attributes:
        sentences: What can be said of accuracy and of speed.
        notes: What a reader must know before believing it.
        most_accurate: The rows, by key, that nothing shows to be less accurate than the best.
        fastest: The rows, by key, whose inference nothing shows to be slower than the fastest.
    """

    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    most_accurate: frozenset[str]
    fastest: frozenset[str]


def contrasts(rows: Sequence[SummaryRow]) -> list[Contrast]:
    """All pairs of variants, paired by seed and corrected for their number.

    The best variant is only known after looking, so every pair counts as a comparison made.
    """
    pairs = list(combinations(rows, 2))
    differences = [statistics.paired_difference(a.accuracies, b.accuracies) for a, b in pairs]
    adjusted = statistics.holm([difference.p for difference in differences])
    return [
        Contrast(a.variant, b.variant, difference, p)
        for (a, b), difference, p in zip(pairs, differences, adjusted, strict=True)
    ]


def conclude(rows: Sequence[SummaryRow]) -> Conclusion:
    """Draws the conclusion of one study; of a sweep, cell by cell.

    Args:
        rows: The variants, all trained on one dataset from the same seeds.

    Returns:
        The conclusion.
    """
    cells: dict[str, list[SummaryRow]] = {}
    for row in [row for row in rows if row.device_source == "measured"] or rows:
        cells.setdefault(row.cell, []).append(row)
    if len(cells) == 1:
        return _conclude_cell(next(iter(cells.values())))
    each = {cell: _conclude_cell(found) for cell, found in cells.items()}
    return Conclusion(
        sentences=tuple(
            f"At {words.cell(cell)}: {found.sentences[0]}" for cell, found in each.items()
        ),
        notes=(
            "Holm's correction is for the comparisons inside each cell, not across cells.",
            *_notes([row for found in cells.values() for row in found]),
        ),
        most_accurate=frozenset().union(*(found.most_accurate for found in each.values())),
        fastest=frozenset().union(*(found.fastest for found in each.values())),
    )


def _conclude_cell(rows: Sequence[SummaryRow]) -> Conclusion:
    best = max(rows, key=lambda row: row.test_accuracy_mean)
    pairs = contrasts(rows)
    from_best = [c.seen_from(best.variant) for c in pairs if best.variant in (c.first, c.second)]
    beaten = {c.second for c in from_best if c.significant}
    fastest = max(rows, key=lambda row: row.infer_examples_per_s)
    as_fast = [
        row
        for row in rows
        if row.infer_examples_per_s_ci95_high >= fastest.infer_examples_per_s_ci95_low
    ]
    return Conclusion(
        sentences=(
            _of_accuracy(rows, best, pairs, from_best),
            *_of_speed(rows, best, as_fast, bool(beaten)),
        ),
        notes=tuple(_notes(rows)),
        most_accurate=frozenset(row.key for row in rows if row.variant not in beaten),
        fastest=frozenset(row.key for row in as_fast),
    )


def _of_accuracy(
    rows: Sequence[SummaryRow],
    best: SummaryRow,
    pairs: Sequence[Contrast],
    from_best: Sequence[Contrast],
) -> str:
    if len(rows) == 1:
        return f"Only {name(best.variant)} was run, so there is nothing to compare."
    if all(pair.adjusted_p is None for pair in pairs):
        return "With a single seed, no difference in accuracy can be told from chance."
    seeds = f"{best.seeds} seeds"
    if claims := [pair for pair in from_best if pair.significant]:
        said = f"{name(best.variant)} is more accurate {_than(claims)}"
        if tied := [name(pair.second) for pair in from_best if not pair.significant]:
            return f"{said}; it cannot be told apart from {words.listed(tied)} with {seeds}."
        return f"{said}."
    if others := [pair for pair in pairs if pair.significant]:
        clearest = min(others, key=lambda pair: pair.adjusted_p or 0).upward()
        return (
            f"{name(clearest.first)} is more accurate {_than([clearest])}; nothing shows "
            f"{name(best.variant)}, the highest, to beat any other with {seeds}."
        )
    return f"No two variants can be told apart in accuracy with {seeds}."


def _than(claims: Sequence[Contrast]) -> str:
    """Who is beaten and by how much, each in full if there are at most two."""
    if len(claims) <= 2:
        return " and ".join(f"than {name(claim.second)} {_gap(claim)}" for claim in claims)
    gaps = [100 * (claim.difference.mean or 0) for claim in claims]
    largest = max(claim.adjusted_p or 0 for claim in claims)
    return (
        f"than {words.listed([name(claim.second) for claim in claims])}, by {min(gaps):.1f} to "
        f"{max(gaps):.1f} points (each {words.p_value(largest).replace('=', '≤')} after Holm)"
    )


def _gap(claim: Contrast) -> str:
    d = claim.difference
    interval = (
        "the same on every seed"
        if d.low is None or d.high is None
        else f"95% CI {100 * d.low:.1f} to {100 * d.high:.1f}"
    )
    p = words.p_value(claim.adjusted_p or 0)
    return f"by {100 * (d.mean or 0):.1f} points ({interval}, {p} after Holm)"


def _of_speed(
    rows: Sequence[SummaryRow], best: SummaryRow, as_fast: Sequence[SummaryRow], best_leads: bool
) -> list[str]:
    if len(rows) == 1:
        return []
    how = " (estimated)" if any(row.device_source == "estimated" for row in rows) else ""
    top = max(as_fast, key=lambda row: row.infer_examples_per_s)
    rate = f"{words.si(top.infer_examples_per_s)} examples/s"
    names = words.listed([name(row.variant) for row in as_fast])
    if len(as_fast) == len(rows):
        return [f"Inference is equally fast for all within the noise, at {rate}{how}."]
    if len(as_fast) > 1:
        return [f"{names} are the fastest at inference, equal within the noise, at {rate}{how}."]
    if top is best:
        also = "also " if best_leads else ""
        return [f"{names} is {also}the fastest at inference, at {rate}{how}."]
    ratio = top.infer_examples_per_s / best.infer_examples_per_s
    slower = words.si(best.infer_examples_per_s)
    return [
        f"{names} is the fastest at inference, {ratio:.2f} times {name(best.variant)} "
        f"({rate} against {slower}){how}."
    ]


def _notes(rows: Sequence[SummaryRow]) -> list[str]:
    notes = []
    if len(rows) > 1 and all(row.tuned is None for row in rows):
        notes.append(UNTUNED)
    notes += [
        f"{row.diverged} of {row.seeds} seeds of {name(row.variant)} diverged: the loss ceased to "
        "be finite. Their accuracy is part of the mean."
        for row in rows
        if row.diverged
    ]
    parameters = [row.parameters for row in rows]
    if min(parameters) != max(parameters):
        notes.append(
            f"Parameters differ by variant, {min(parameters):,} to {max(parameters):,}: part of a "
            "difference in accuracy may be size rather than pooling."
        )
    margin = max(statistics.sampling_margin(r.test_accuracy_mean, r.test_size) for r in rows)
    notes.append(
        f"Intervals are over training seeds on one test set of {rows[0].test_size:,} examples; "
        f"another test set would move each accuracy by up to about {100 * margin:.1f} points."
    )
    return notes
