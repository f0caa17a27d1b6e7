"""Differences of accuracy, judged together: Holm's correction, and intervals that agree with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments import statistics
from experiments.statistics import CONFIDENCE, SIGNIFICANT, Difference


@dataclass(frozen=True)
class Contrast:
    """The accuracy of one variant minus another's, as one of several comparisons.

    Attributes:
        first: The one variant.
        second: The other.
        difference: First minus second, paired by seed.
        adjusted_p: The p-value after Holm's correction; None if the data allow no test.
        confidence: The level of its interval; see `statistics.holm_confidences`.
    """

    first: str
    second: str
    difference: Difference
    adjusted_p: float | None = None
    confidence: float = CONFIDENCE

    @property
    def significant(self) -> bool:
        """Whether the difference holds after correction for all the comparisons made."""
        return self.adjusted_p is not None and self.adjusted_p < SIGNIFICANT

    @property
    def interval(self) -> tuple[float, float] | None:
        """It excludes 0 exactly if the difference is significant; None if there is none."""
        return self.difference.interval(self.confidence)

    def upward(self) -> "Contrast":
        """The same contrast with the more accurate variant first."""
        return self.seen_from(self.first if (self.difference.mean or 0) >= 0 else self.second)

    def seen_from(self, variant: str) -> "Contrast":
        """The same contrast with this variant first."""
        if variant == self.first:
            return self
        return Contrast(self.second, self.first, -self.difference, self.adjusted_p, self.confidence)


def judge(differences: Sequence[tuple[str, str, Difference]]) -> list[Contrast]:
    """Draws the verdicts on all comparisons that are made together.

    Args:
        differences: The two variants and their difference, each pair of variants once.

    Returns:
        The contrasts in the order given.
    """
    p_values = [difference.p for _, _, difference in differences]
    return [
        Contrast(first, second, difference, adjusted, confidence)
        for (first, second, difference), adjusted, confidence in zip(
            differences,
            statistics.holm(p_values),
            statistics.holm_confidences(p_values),
            strict=True,
        )
    ]
