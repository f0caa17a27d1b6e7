import math

import numpy as np
import pytest
from scipy import stats

from experiments import quantiles


def test_the_median_of_few_values_has_no_interval():
    assert quantiles.median_interval([2.0]) == (2.0, None, None)
    assert quantiles.median_interval([1.0, 2.0, 9.0, 3.0, 4.0]) == (3.0, None, None)
    with pytest.raises(ValueError, match="values is empty"):
        quantiles.median_interval([])


def test_the_interval_of_a_median_is_that_of_the_published_table():
    # Order statistics for a 95% interval of the median (Conover, Practical Nonparametric
    # Statistics, from the binomial table): n = 6 gives (1, 6), n = 10 (2, 9), n = 25 (8, 18).
    for n, low, high in ((6, 1, 6), (10, 2, 9), (25, 8, 18)):
        sample = [float(i) for i in reversed(range(1, n + 1))]
        assert quantiles.median_interval(sample) == ((n + 1) / 2, low, high)


@pytest.mark.parametrize("n", [367, 368, 500, 1000])
def test_the_interval_of_a_p99_has_the_coverage_it_says_and_no_more(n):
    """Of the ranks 1 to n: an exact sum of the binomial, which shares nothing with scipy."""
    found = quantiles.quantile_interval([float(rank) for rank in range(n, 0, -1)], 0.99)
    if n == 367:  # 0.99^367 is 2.50035%
        assert found is None
        return
    low, high = (int(end) for end in found)

    def chance(counts):  # that so many of n values lie below the true quantile
        return sum(math.comb(n, k) * 0.99**k * 0.01 ** (n - k) for k in counts)

    assert chance(range(low)) <= 0.025 < chance(range(low + 1))
    assert chance(range(high, n + 1)) <= 0.025 < chance(range(high - 1, n + 1))


@pytest.mark.parametrize(("n", "share"), [(6, 0.5), (61, 0.5), (400, 0.99), (90, 0.05)])
def test_the_interval_of_a_quantile_agrees_with_scipy(n, share):
    sample = np.random.default_rng(n).exponential(size=n)
    oracle = stats.quantile_test(sample, p=share).confidence_interval(0.95)
    assert quantiles.quantile_interval(sample.tolist(), share) == (oracle.low, oracle.high)


def test_the_fewest_samples_of_a_quantile_are_the_first_that_give_an_interval():
    for share in (0.5, 0.95, 0.99, 0.05):
        n = quantiles.fewest_for_quantile(share)
        tail = max(share, 1 - share)
        assert tail**n <= 0.025 < tail ** (n - 1)


def test_the_interval_of_a_median_covers_it_at_least_as_often_as_it_says():
    rng = np.random.default_rng(0)
    ends = [quantiles.median_interval(list(row))[1:] for row in rng.exponential(size=(4000, 9))]
    covered = np.mean([low <= math.log(2) <= high for low, high in ends])
    assert covered > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 4000)
