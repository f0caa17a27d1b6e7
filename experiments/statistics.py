"""What a handful of seeds allow to be said.

Runs of different variants with the same seed see the same data in the same order. Differences are
therefore taken seed by seed: what the seed does to both cancels, and fewer seeds suffice to tell
two variants apart.

Intervals over seeds answer: would training again change the score on *this* test set? How far
another test set would move it is a different question; `sampling_margin` answers that one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
_ROUNDING = 1e-12  # equal accuracies have equal differences only up to floating point


@dataclass(frozen=True)
class Estimate:
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
        low: Lower end of its 95% interval; None if the data give no interval.
        high: Upper end of it.
        p: Two-sided p-value of "no difference"; None if the data allow no test.
    """

    n: int
    mean: float | None
    low: float | None
    high: float | None
    p: float | None


def estimate(
    values: Sequence[float], bounds: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
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
        return Estimate(1, mean, None, None, None)
    std = float(np.std(values, ddof=1))
    if std <= _ROUNDING:
        return Estimate(n, mean, 0.0, None, None)
    half = _t_half_width(n, std)
    return Estimate(n, mean, std, max(mean - half, bounds[0]), min(mean + half, bounds[1]))


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
        return Difference(0, None, None, None, None)
    differences = np.array([first[seed] - second[seed] for seed in seeds])
    mean = float(differences.mean())
    if n == 1:
        return Difference(1, mean, None, None, None)
    std = float(differences.std(ddof=1))
    if std <= _ROUNDING:
        p = 1.0 if abs(mean) <= _ROUNDING else 2.0 ** (1 - n)
        return Difference(n, mean, None, None, p)
    half = _t_half_width(n, std)
    p = float(2 * stats.t.sf(abs(mean) / (std / math.sqrt(n)), n - 1))
    return Difference(n, mean, mean - half, mean + half, p)


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


def median_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The median with its 95% interval, which assumes nothing about the distribution.

    The interval runs between two of the sorted values: as many of n values lie below the true
    median as n fair coins show heads.

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
    n = len(values)
    if n == 0:
        raise ValueError("values is empty: a median needs at least one")
    ordered = sorted(values)
    median = float(np.median(ordered))
    below = int(stats.binom.ppf((1 - CONFIDENCE) / 2, n, 0.5))  # P(heads < below) <= 2.5%
    if below < 1:
        return median, None, None
    return median, float(ordered[below - 1]), float(ordered[n - below])


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


def _t_half_width(n: int, std: float) -> float:
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * std / math.sqrt(n))
