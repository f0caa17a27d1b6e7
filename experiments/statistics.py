"""What a handful of seeds allow to be said.

Runs of different variants with the same seed see the same data in the same order. Differences are
therefore taken seed by seed: what the seed does to both cancels, and fewer seeds suffice to tell
two variants apart.

Intervals over seeds answer: would training again change the score on *this* test set? How far
another test set would move it is a different question; `sampling_margin` answers that one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

CONFIDENCE = 0.95
SIGNIFICANT = 0.05
_ROUNDING = 1e-12  # equal accuracies have equal differences only up to floating point


@dataclass(frozen=True)
class MeanEstimate:
    """A mean over seeds.

    Attributes:
        n: How many values.
        mean: Their mean.
        std: Their sample standard deviation (n - 1); None for one value.
        low: Lower end of the 95% interval of the mean; None if the values give no interval.
        high: Upper end of it.
    """

    n: int
    mean: float
    std: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """A mean of differences, paired by seed.

    Attributes:
        n: How many seeds both sides share.
        mean: The mean difference; None if no seed is shared.
        std: The sample standard deviation of the differences (n - 1); None for fewer than two.
        p: Two-sided p-value of "no difference"; None if the data allow no test.
    """

    n: int
    mean: float | None = None
    std: float | None = None
    p: float | None = None

    def __neg__(self) -> "Difference":
        """The second minus the first."""
        return replace(self, mean=None if self.mean is None else -self.mean)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
        """The t-interval of the mean; None if the differences do not vary.

        Args:
            confidence: Its level.

        Example:
            >>> d = paired_difference({0: 0.93, 1: 0.95, 2: 0.94}, {0: 0.92, 1: 0.93, 2: 0.91})
            >>> [round(end, 3) for end in d.interval() or ()]
            [-0.005, 0.045]
        """
        if self.mean is None or not self.std:
            return None
        return _t_interval(self.n, self.mean, self.std, confidence)

    @property
    def effect(self) -> float | None:
        """Cohen's d_z, the mean over the standard deviation, with Hedges' correction.

        The correction removes the bias of few seeds: J = G(v/2) / (sqrt(v/2) G((v - 1)/2)) with the
        gamma function G and v = n - 1 (Hedges 1981). None if the differences do not vary, and for
        two seeds, whose J is 0.
        """
        if self.mean is None or not self.std or self.n < 3:
            return None
        half = (self.n - 1) / 2
        correction = special.poch(half - 0.5, 0.5) / math.sqrt(half)
        return float(correction * self.mean / self.std)


def estimate(
    values: Sequence[float], bounds: tuple[float, float] = (-math.inf, math.inf)
) -> MeanEstimate:
    """The mean with its t-interval, mean ± t(n - 1) std / sqrt(n).

    Args:
        values: One number a seed, at least one.
        bounds: The range that the quantity cannot leave; the interval is cut to it.

    Returns:
        The estimate. One value has no interval: one seed says nothing about its spread. Nor have
        values that are all the same: scores move in steps of one test example, so a few seeds can
        agree by chance, and an interval of no width would claim certainty.

    Raises:
        ValueError: There is no value.

    Example:
        >>> e = estimate([0.90, 0.92, 0.94])
        >>> round(e.mean, 3), round(e.low, 3), round(e.high, 3)
        (0.92, 0.87, 0.97)
    """
    n = len(values)
    if n == 0:
        raise ValueError("values is empty: a mean needs at least one")
    mean = float(np.mean(values))
    if n == 1:
        return MeanEstimate(1, mean, None, None, None)
    std = float(np.std(values, ddof=1))
    if std <= _ROUNDING:
        return MeanEstimate(n, mean, 0.0, None, None)
    low, high = _t_interval(n, mean, std, CONFIDENCE)
    return MeanEstimate(n, mean, std, max(low, bounds[0]), min(high, bounds[1]))


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Difference:
    """The mean of first minus second over the seeds that both have.

    Normally a paired t-test. Where all the differences are the same there is no t: the interval
    would have no width and p would be 0, which is absurd after a few seeds. Then no interval is
    given, and p is that of the exact sign-flip test: 1 if the differences are zero, else 2 / 2^n.

    Args:
        first: Value by seed.
        second: Value by seed.

    Returns:
        The difference. One shared seed gives a mean and nothing else.

    Example:
        >>> d = paired_difference({0: 0.93, 1: 0.95, 2: 0.94}, {0: 0.92, 1: 0.93, 2: 0.91})
        >>> round(d.mean, 3), round(d.p, 3)
        (0.02, 0.074)
    """
    seeds = sorted(first.keys() & second.keys())
    n = len(seeds)
    if n == 0:
        return Difference(0)
    ours, theirs = (np.array([values[seed] for seed in seeds]) for values in (first, second))
    mean = float((ours - theirs).mean())
    if n == 1:
        return Difference(1, mean)
    std = float((ours - theirs).std(ddof=1))
    if std <= _ROUNDING:
        return Difference(n, mean, 0.0, 1.0 if abs(mean) <= _ROUNDING else 2.0 ** (1 - n))
    return Difference(n, mean, std, float(stats.ttest_rel(ours, theirs).pvalue))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction for several comparisons.

    Sorted p(1) <= ... <= p(m) become max over j <= i of min(1, (m - j + 1) p(j)). Below 0.05 after
    it, the chance that even one of the claimed differences is none is below 0.05 (Holm 1979).

    Args:
        p_values: One a comparison. None, where no test was possible, stays None and is not counted.

    Returns:
        The adjusted p-values in the order given.

    Example:
        >>> holm([0.01, 0.04, None, 0.03])
        [0.03, 0.06, None, 0.06]
    """
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(tested):
        running = max(running, min(1.0, (len(tested) - rank) * p))
        adjusted[i] = running
    return adjusted


def holm_confidences(p_values: Sequence[float | None]) -> list[float]:
    """The level of each comparison's interval that agrees with Holm's verdict on it.

    Holm's method tests the p-value of rank i of m at 0.05 / (m - i + 1), and stops at the first
    that fails. The interval of a significant difference has the level of that step, 1 - 0.05 / (m -
    i + 1); those of all others have the level of the step that failed. An interval then excludes 0
    exactly if its difference is significant, so the chance that any interval excludes 0 where there
    is no difference is at most 5%. Each interval contains the 95% interval of its own difference.

    Args:
        p_values: As in `holm`.

    Returns:
        The levels in the order given; 0.95 where no test was possible.

    Example:
        >>> [round(level, 4) for level in holm_confidences([0.001, 0.2, None, 0.3])]
        [0.9833, 0.975, 0.95, 0.975]
    """
    adjusted = holm(p_values)
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    levels = [CONFIDENCE] * len(p_values)
    passed = sum(p is not None and p < SIGNIFICANT for p in adjusted)
    for rank, (_, i) in enumerate(tested):
        levels[i] = 1 - SIGNIFICANT / (len(tested) - min(rank, passed))
    return levels


def quantile_interval(
    values: Sequence[float] | NDArray[np.float64], share: float
) -> tuple[float, float] | None:
    """The 95% interval of a quantile, which assumes nothing about the distribution.

    Its ends are two of the sorted values: how many of n independent values lie below the true
    quantile is binomial, with probability `share`. Each tail has at most 2.5%.

    Args:
        values: The sample.
        share: Which quantile: 0.5 is the median, 0.99 the 99th percentile.

    Returns:
        The interval, or None if there are fewer than `fewest_for_quantile(share)` values.

    Example:
        >>> quantile_interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0], 0.5)
        (1.0, 6.0)
    """
    if len(values) < fewest_for_quantile(share):
        return None
    ordered = np.sort(np.asarray(values, float))
    below, not_above = stats.binom.interval(CONFIDENCE, len(ordered), share)
    return float(ordered[int(below) - 1]), float(ordered[int(not_above)])


def fewest_for_quantile(share: float) -> int:
    """The smallest sample that gives a quantile a 95% interval.

    The largest of n values lies above the quantile but for a chance of share^n, the smallest below
    it but for (1 - share)^n; neither may exceed 2.5%.

    Args:
        share: Which quantile, between 0 and 1.

    Returns:
        The number of values.

    Example:
        >>> fewest_for_quantile(0.5), fewest_for_quantile(0.99)
        (6, 368)
    """
    return math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(max(share, 1 - share)))


def median_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The median with its 95% interval; see `quantile_interval`.

    Args:
        values: The sample, at least one value.

    Returns:
        The median, and the ends of the interval; None for both with fewer than 6 values, which
        give no interval of 95%.

    Raises:
        ValueError: There is no value.

    Example:
        >>> median_interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
        (3.5, 1.0, 6.0)
    """
    if not len(values):
        raise ValueError("values is empty: a median needs at least one")
    low, high = quantile_interval(values, 0.5) or (None, None)
    return float(np.median(values)), low, high


def sampling_margin(accuracy: float, size: int) -> float:
    """Half the 95% Wilson interval of an accuracy, for a test set drawn at random.

    Another test set of the same size would move every accuracy by about this much; no number of
    seeds makes it smaller. Variants scored on one test set share most of it.

    Args:
        accuracy: The share of examples classified correctly, 0 to 1.
        size: Test examples.

    Returns:
        The half-width, in the unit of `accuracy`.

    Example:
        >>> round(sampling_margin(0.98, 602), 4)
        0.0116
    """
    z = stats.norm.ppf(0.5 + CONFIDENCE / 2)
    spread = math.sqrt(accuracy * (1 - accuracy) / size + (z / (2 * size)) ** 2)
    return float(z * spread / (1 + z**2 / size))


def _t_interval(n: int, mean: float, std: float, confidence: float) -> tuple[float, float]:
    low, high = stats.t.interval(confidence, n - 1, loc=mean, scale=std / math.sqrt(n))
    return float(low), float(high)
