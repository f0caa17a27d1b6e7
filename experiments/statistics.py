"""Statistics of a few seeds: intervals, paired differences and corrections for many comparisons.

Runs of different variants with the same seed see the same data in the same order. Differences are
therefore paired by seed: the seed's effect on both runs cancels, and fewer seeds suffice to tell
two variants apart.

An interval over seeds answers whether training again would change the score on *this* test set. The
effect of another test set is a different question, which `sampling_margin` answers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special, stats

CONFIDENCE = 0.95
SIGNIFICANT = 0.05
NORMAL_95 = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
"""Half the width of a 95% interval, in standard deviations of a normal distribution."""
_LEAST_TAIL = 1e-30  # far below it, quantiles are infinite in floating point
_ROUNDING = 1e-12  # the differences of equal accuracies are equal only up to rounding errors


@dataclass(frozen=True)
class MeanEstimate:
    """A mean over seeds.

    Attributes:
        n: Number of values.
        mean: Their mean.
        std: Their sample standard deviation (n - 1); None for one value.
        low: Lower end of the 95% interval of the mean; None if the values give no interval.
        high: Upper end of the 95% interval.
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
        n: Number of seeds that both sides share.
        mean: The mean difference; None if no seed is shared.
        std: The sample standard deviation of the differences (n - 1); None for fewer than two.
        p: Two-sided p-value of "no difference"; None if the data allow no test.
        variance: Variance that the mean has from other sources than the seeds.
    """

    n: int
    mean: float | None = None
    std: float | None = None
    p: float | None = None
    variance: float = 0.0

    def __neg__(self) -> "Difference":
        """The difference with its sides swapped: second minus first."""
        return replace(self, mean=None if self.mean is None else -self.mean)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
        """The t-interval of the mean; None if the differences do not vary.

        Args:
            confidence: Confidence level of the interval.

        Example:
            >>> d = paired_difference({0: 0.93, 1: 0.95, 2: 0.94}, {0: 0.92, 1: 0.93, 2: 0.91})
            >>> [round(end, 3) for end in d.interval() or ()]
            [-0.005, 0.045]
        """
        if self.mean is None or not self.std:
            return None
        return _t_interval(self.n, self.mean, self.std, confidence, self.variance)

    @property
    def effect(self) -> float | None:
        """Cohen's d_z, the mean over the standard deviation, with Hedges' correction.

        The correction removes the bias of few seeds: J = G(v/2) / (sqrt(v/2) G((v - 1)/2)) with the
        gamma function G and v = n - 1 (Hedges 1981). None if the differences do not vary, or if
        there are two seeds, for which J is 0.
        """
        if self.mean is None or not self.std or self.n < 3:
            return None
        half = (self.n - 1) / 2
        correction = special.poch(half - 0.5, 0.5) / math.sqrt(half)
        return float(correction * self.mean / self.std)


def estimate(
    values: Sequence[float],
    bounds: tuple[float, float] = (-math.inf, math.inf),
    variance: float = 0.0,
) -> MeanEstimate:
    """The mean with its t-interval, mean ± t(n - 1) std / sqrt(n).

    If the mean has further variance v, for instance of measured throughputs, the half-widths add as
    squares: mean ± sqrt(t(n - 1)^2 std^2 / n + z^2 v) with the normal quantile z. This covers 95 to
    98% of means. The interval of Welch and Satterthwaite is narrower, but wrong with three seeds:
    at the level 0.05 / 3 of Holm's method, it misses 4.4% of means instead of 1.7%.

    Args:
        values: One number per seed, at least one.
        bounds: The range of possible values of the quantity; the interval is clipped to this range.
        variance: Variance that the mean has from other sources than the seeds.

    Returns:
        The estimate. One value has no interval, since its spread is unknown. Equal values have no
        interval either, since scores are multiples of one test example: a few seeds can agree by
        chance, and an interval of width 0 would claim certainty.

    Raises:
        ValueError: `values` is empty.

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
    low, high = _t_interval(n, mean, std, CONFIDENCE, variance)
    return MeanEstimate(n, mean, std, max(low, bounds[0]), min(high, bounds[1]))


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], variance: float = 0.0
) -> Difference:
    """The mean of first minus second over the seeds that both have.

    Normally the p-value is that of a paired t-test, with further variance as in `estimate`. If all
    differences are equal, t is undefined: the interval would have width 0 and p would be 0, which a
    few seeds cannot justify. Then there is no interval, and p is that of the exact sign-flip test:
    1 if the differences are 0, else 2 / 2^n.

    Args:
        first: Value by seed.
        second: Value by seed.
        variance: Variance that the mean has from other sources than the seeds.

    Returns:
        The difference. With one shared seed, only its mean is known.

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
    return Difference(n, mean, std, _p_value(n, mean, std, variance), variance)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction for several comparisons.

    Sorted p(1) <= ... <= p(m) become max over j <= i of min(1, (m - j + 1) p(j)). If every
    difference with an adjusted p below 0.05 is claimed, the probability of any false claim is below
    0.05 (Holm 1979).

    Args:
        p_values: One p-value per comparison. None means that no test was possible; it stays None
            and is not counted.

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
    """Confidence levels for which each interval agrees with Holm's decision on its comparison.

    Holm's method tests the p-value of rank i of m at 0.05 / (m - i + 1), and stops at the first
    test that fails. The interval of a significant difference has the level of its own step, 1 -
    0.05 / (m - i + 1); all other intervals have the level of the step that failed. An interval then
    excludes 0 exactly if its difference is significant, so the probability that any interval
    excludes a true difference of 0 is at most 5%. Each interval contains the 95% interval of its
    difference.

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


def sampling_margin(accuracy: float, size: int) -> float:
    """Half the width of the 95% Wilson interval of an accuracy, for a random test set.

    Another test set of the same size would move every accuracy by about this much, and more seeds
    do not reduce the margin. Variants scored on the same test set share most of this error.

    Args:
        accuracy: The share of examples classified correctly, 0 to 1.
        size: Number of test examples.

    Returns:
        The half-width, in the unit of `accuracy`.

    Example:
        >>> round(sampling_margin(0.98, 602), 4)
        0.0116
    """
    z = NORMAL_95
    spread = math.sqrt(accuracy * (1 - accuracy) / size + (z / (2 * size)) ** 2)
    return float(z * spread / (1 + z**2 / size))


def _t_interval(
    n: int, mean: float, std: float, confidence: float, variance: float
) -> tuple[float, float]:
    half = _half_width(n, std, variance, (1 - confidence) / 2)
    return mean - half, mean + half


def _half_width(n: int, std: float, variance: float, tail: float) -> float:
    """Half the width of the interval of a mean whose tails each have probability `tail`."""
    t, z = special.stdtrit(n - 1, tail), special.ndtri(tail)
    return math.hypot(t * std / math.sqrt(n), z * math.sqrt(variance))


def _p_value(n: int, mean: float, std: float, variance: float) -> float:
    """The p-value for which 0 is an end of the interval of the mean."""
    if variance == 0:
        return float(2 * special.stdtr(n - 1, -abs(mean) * math.sqrt(n) / std))

    def beyond(log_tail: float) -> float:
        return _half_width(n, std, variance, math.exp(log_tail)) - abs(mean)

    least, most = math.log(_LEAST_TAIL), math.log(0.5)
    if beyond(least) <= 0:
        return 2 * _LEAST_TAIL
    if beyond(most) >= 0:
        return 1.0
    return 2 * math.exp(optimize.root_scalar(beyond, bracket=(least, most)).root)
