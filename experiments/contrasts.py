"""Contrasts of accuracy between variants: differences, Holm's correction and matching intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments import statistics
from experiments.statistics import CONFIDENCE, SIGNIFICANT, Difference

Sample = tuple[str, Mapping[int, float]]
"""A variant's name and its accuracy by seed."""


@dataclass(frozen=True)
class Contrast:
    """The accuracy of one variant minus that of another, as one of several comparisons.

    Attributes:
        first: Label of the first variant.
        second: Label of the second variant.
        difference: First minus second, paired by seed.
        adjusted_p: The p-value after Holm's correction; None if the data allow no test.
        confidence: Confidence level of the interval; see `statistics.holm_confidences`.
    """

    first: str
    second: str
    difference: Difference
    adjusted_p: float | None = None
    confidence: float = CONFIDENCE

    @property
    def significant(self) -> bool:
        """Whether the difference is significant after correction for all comparisons."""
        return self.adjusted_p is not None and self.adjusted_p < SIGNIFICANT

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the difference, or None; excludes 0 exactly if `significant` is true."""
        return self.difference.interval(self.confidence)

    def upward(self) -> "Contrast":
        """The same contrast with the more accurate variant first."""
        return self.seen_from(self.first if (self.difference.mean or 0) >= 0 else self.second)

    def seen_from(self, variant: str) -> "Contrast":
        """The same contrast with this variant first."""
        if variant == self.first:
            return self
        return Contrast(self.second, self.first, -self.difference, self.adjusted_p, self.confidence)


def judge(
    pairs: Iterable[tuple[Sample, Sample]], variances: Mapping[str, float] | None = None
) -> list[Contrast]:
    """Computes the contrasts of all comparisons that are made together.

    Args:
        pairs: The pairs to compare; each pair of variants occurs once.
        variances: Variance that the mean accuracy of a variant has from other sources than the
            seeds, by name, independent between variants; None for no such variance.

    Returns:
        A contrast per pair, in the order given.

    Example:
        >>> a = ("a", {0: 0.95, 1: 0.96, 2: 0.94})
        >>> b = ("b", {0: 0.90, 1: 0.91, 2: 0.88})
        >>> [contrast] = judge([(a, b)])
        >>> contrast.significant, [round(end, 3) for end in contrast.interval or ()]
        (True, [0.039, 0.068])
    """
    further = variances or {}
    named = [
        (first, second, statistics.paired_difference(ours, theirs, variance))
        for (first, ours), (second, theirs) in pairs
        for variance in [further.get(first, 0.0) + further.get(second, 0.0)]
    ]
    p_values = [difference.p for _, _, difference in named]
    corrected = zip(statistics.holm(p_values), statistics.holm_confidences(p_values), strict=True)
    return [
        Contrast(*one, adjusted, confidence)
        for one, (adjusted, confidence) in zip(named, corrected, strict=True)
    ]
