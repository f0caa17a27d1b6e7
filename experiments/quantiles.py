"""Intervals of quantiles and medians, from order statistics."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.statistics import CONFIDENCE


def quantile_interval(
    values: Sequence[float] | NDArray[np.float64], share: float
) -> tuple[float, float] | None:
    """The 95% interval of a quantile, without assumptions about the distribution.

    Both ends are order statistics of the sample: the number of values below the true quantile, out
    of n independent values, has a binomial distribution with probability `share`. Each tail has at
    most 2.5%.

    Args:
        values: The sample.
        share: The quantile: 0.5 is the median, 0.99 the 99th percentile.

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

    The largest of n values is below the quantile with probability share^n, and the smallest is
    above it with probability (1 - share)^n. Neither probability may exceed 2.5%.

    Args:
        share: The quantile, between 0 and 1.

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
        The median, and the ends of the interval. Both ends are None for fewer than 6 values, which
        give no 95% interval.

    Raises:
        ValueError: `values` is empty.

    Example:
        >>> median_interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
        (3.5, 1.0, 6.0)
    """
    if not len(values):
        raise ValueError("values is empty: a median needs at least one")
    low, high = quantile_interval(values, 0.5) or (None, None)
    return float(np.median(values)), low, high
