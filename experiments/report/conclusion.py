"""Conclusions of a study in words: significant differences of accuracy and speed, and caveats."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from experiments import frontier, statistics
from experiments.contrasts import Contrast, judge
from experiments.report import words
from experiments.report.rows import SummaryRow
from experiments.report.verdict import LEGEND, more_accurate
from experiments.report.words import name

UNTUNED = (
    "All variants were trained with the same settings (learning rate and so on), which were tuned "
    "for none of them: [tuning] would let each choose its own."
)


@dataclass(frozen=True)
class Conclusion:
    """At most two sentences, with their caveats.

    Attributes:
        sentences: The conclusions on accuracy and on speed.
        notes: Caveats of the sentences.
        most_accurate: The keys of the rows that are not significantly less accurate than the best.
        fastest: The keys of the rows whose inference is not significantly slower than the fastest.
    """

    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    most_accurate: frozenset[str]
    fastest: frozenset[str]


def contrasts(rows: Sequence[SummaryRow]) -> list[Contrast]:
    """The contrasts of all pairs of variants, paired by seed and corrected for their number.

    The best variant is known only after looking at the results, so every pair counts as a
    comparison.
    """
    return judge(combinations([(row.variant, row.accuracies) for row in rows], 2))


def conclude(rows: Sequence[SummaryRow]) -> Conclusion:
    """The conclusion of one study; of a sweep, one conclusion per cell.

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
    sentences = (
        *at_equal_cost(rows),
        *(f"At {words.cell(cell)}: {found.sentences[0]}" for cell, found in each.items()),
    )
    return Conclusion(
        sentences=sentences,
        notes=(
            "Holm's correction is for the comparisons inside each cell, not across cells.",
            *_legend(sentences),
            *_notes([row for found in cells.values() for row in found]),
        ),
        most_accurate=frozenset().union(*(found.most_accurate for found in each.values())),
        fastest=frozenset().union(*(found.fastest for found in each.values())),
    )


def at_equal_cost(rows: Sequence[SummaryRow]) -> list[str]:
    """Comparisons at equal throughput, from the curves of a sweep over the network's size.

    Args:
        rows: The rows of a study, on one or more devices.

    Returns:
        One sentence per device and throughput at which at least two variants can be compared; empty
        if no swept key changes the cost.
    """
    return [
        _at_speed(speed, found, panel, device if shown[0].device_source == "estimated" else "")
        for device in dict.fromkeys(row.device for row in rows)
        for panel, shown in frontier.panels([r for r in rows if r.device == device]).items()
        for found in [frontier.curves(shown)]
        for speed in frontier.common_costs(found)
    ]


def _at_speed(speed: float, found: Sequence[frontier.Curve], panel: str, estimated: str) -> str:
    meeting = {curve.variant: curve for curve in found if curve.meets(speed)}
    reached = {variant: curve.at(speed) for variant, curve in meeting.items()}
    variances = {variant: curve.variance(speed) for variant, curve in meeting.items()}
    means = {
        variant: statistics.estimate(list(by_seed.values()), (0, 1), variances[variant])
        for variant, by_seed in reached.items()
    }
    ranked = sorted(reached, key=lambda variant: -means[variant].mean)
    samples = [(variant, reached[variant]) for variant in ranked]
    pairs = judge(combinations(samples, 2), variances)
    claims = [pair for pair in pairs if pair.first == ranked[0] and pair.significant]
    place = f"At {words.short_si(speed)} examples/s or more"
    place += f", estimated for {estimated}" if estimated else ""
    place += f", {panel}" if panel else ""
    accuracies = []
    for variant in ranked:
        e, slowest = means[variant], meeting[variant].speeds[0]
        at = f" (at {words.si(slowest)} or more)" if slowest > speed else ""
        accuracies.append(f"{name(variant)} {words.accuracy(e.mean, e.low, e.high, e.n)} %{at}")
    said = f"{place}: {words.listed(accuracies)}"
    if slower := [name(curve.variant) for curve in found if not curve.meets(speed)]:
        said += f"; {words.listed(slower)} {'is' if len(slower) == 1 else 'are'} slower"
    if not claims:
        return f"{said}. None can be told apart from {name(ranked[0])}."
    return f"{said}. {more_accurate(claims)}."


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
    sentences = (
        _of_accuracy(rows, best, pairs, from_best),
        *_of_speed(rows, best, as_fast, bool(beaten)),
    )
    return Conclusion(
        sentences=sentences,
        notes=(*_legend(sentences), *_notes(rows)),
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
        said = more_accurate(claims)
        if tied := [name(pair.second) for pair in from_best if not pair.significant]:
            return f"{said}; it cannot be told apart from {words.listed(tied)} with {seeds}."
        return f"{said}."
    if others := [pair for pair in pairs if pair.significant]:
        clearest = min(others, key=lambda pair: pair.adjusted_p or 0).upward()
        return (
            f"{more_accurate([clearest])}; nothing shows "
            f"{name(best.variant)}, the highest, to beat any other with {seeds}."
        )
    return f"No two variants can be told apart in accuracy with {seeds}."


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


def _legend(sentences: Sequence[str]) -> list[str]:
    return [LEGEND] if any("95% CI" in sentence for sentence in sentences) else []


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
