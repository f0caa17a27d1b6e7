import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments import statistics

values = st.floats(0, 1).map(lambda x: round(x, 4))


def test_an_interval_by_hand():
    # mean 0.92, std 0.02, and t(0.975, 2) = 4.302653 from a table: half width 0.049683
    e = statistics.estimate([0.90, 0.92, 0.94])
    assert (e.n, e.mean, e.std) == (3, pytest.approx(0.92), pytest.approx(0.02))
    assert (e.low, e.high) == (pytest.approx(0.870317, abs=1e-6), pytest.approx(0.969683, abs=1e-6))


def test_an_interval_stays_inside_its_bounds():
    e = statistics.estimate([0.97, 0.99, 1.0], bounds=(0, 1))
    assert e.high == 1
    assert e.low == pytest.approx(0.948721, abs=1e-6)


def test_one_value_has_no_spread_and_none_at_all_is_an_error():
    assert statistics.estimate([0.5]) == statistics.Estimate(1, 0.5, None, None, None)
    with pytest.raises(ValueError, match="values is empty"):
        statistics.estimate([])


def test_equal_values_claim_no_certainty():
    e = statistics.estimate([0.1 + 0.2, 0.3, 0.3])
    assert (e.std, e.low, e.high) == (0.0, None, None)


@given(st.lists(values, min_size=2, max_size=12))
def test_intervals_agree_with_scipy(sample):
    e = statistics.estimate(sample)
    if len(set(sample)) == 1:
        assert e.low is None
        return
    low, high = stats.ttest_1samp(sample, 0).confidence_interval(0.95)
    assert (e.low, e.high) == (pytest.approx(low), pytest.approx(high))


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.9, 0.01, (4000, 5))
    estimates = [statistics.estimate(list(row)) for row in draws]
    covered = np.mean([e.low <= 0.9 <= e.high for e in estimates])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


@given(st.dictionaries(st.integers(0, 20), st.tuples(values, values), min_size=2, max_size=12))
def test_paired_differences_agree_with_scipy(pairs):
    first = {seed: a for seed, (a, _) in pairs.items()}
    second = {seed: b for seed, (_, b) in pairs.items()}
    d = statistics.paired_difference(first, second)
    assert d.n == len(pairs)
    if np.ptp([a - b for a, b in pairs.values()]) <= 1e-9:
        assert (d.low, d.high) == (None, None)
        return
    oracle = stats.ttest_rel(list(first.values()), list(second.values()))
    low, high = oracle.confidence_interval(0.95)
    assert d.p == pytest.approx(oracle.pvalue)
    assert (d.low, d.high) == (pytest.approx(low), pytest.approx(high))


def test_only_shared_seeds_are_paired():
    first = {0: 0.9, 1: 0.8, 2: 0.7}
    second = {2: 0.6, 1: 0.75, 9: 0.1}
    d = statistics.paired_difference(first, second)
    assert d.n == 2
    assert d.mean == pytest.approx((0.05 + 0.1) / 2)
    assert statistics.paired_difference(first, {7: 0.5}).n == 0
    assert statistics.paired_difference(first, {7: 0.5}).mean is None
    one = statistics.paired_difference(first, {0: 0.5})
    assert (one.n, one.mean, one.low, one.p) == (1, pytest.approx(0.4), None, None)


def test_no_difference_on_any_seed_is_no_evidence():
    same = {0: 0.9, 1: 0.8, 2: 0.7}
    d = statistics.paired_difference(same, dict(same))
    assert (d.mean, d.low, d.high, d.p) == (0, None, None, 1)


@pytest.mark.parametrize("n", [2, 5, 6])
def test_one_constant_difference_gets_the_sign_flip_test(n):
    first = {seed: 0.1 * seed + 0.05 for seed in range(n)}
    second = {seed: 0.1 * seed for seed in range(n)}
    flips = [sum(signs) for signs in product((-1, 1), repeat=n)]
    exact = sum(abs(flip) >= n for flip in flips) / len(flips)
    d = statistics.paired_difference(first, second)
    assert d.p == exact
    assert (d.low, d.high) == (None, None)


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.03, 0.04: times 4, 3, 2, 1 gives 0.04, 0.06, 0.06, 0.04, then maxima
    assert statistics.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert statistics.holm([0.6, None, 0.7]) == [1.0, None, 1.0]
    assert statistics.holm([]) == []


@given(st.lists(st.none() | st.floats(0, 1), max_size=10))
def test_holm_against_its_definition(p_values):
    tested = [p for p in p_values if p is not None]
    m = len(tested)
    for p, adjusted in zip(p_values, statistics.holm(p_values), strict=True):
        if p is None:
            assert adjusted is None
            continue
        ranked = sorted(tested)
        last = max(j for j in range(m) if ranked[j] == p)
        assert adjusted == max(min(1.0, (m - j) * ranked[j]) for j in range(last + 1))


@given(correct=st.integers(0, 500), wrong=st.integers(0, 500))
def test_sampling_margin_is_half_of_wilsons_interval(correct, wrong):
    size = correct + wrong + 1
    interval = stats.binomtest(correct, size).proportion_ci(0.95, method="wilson")
    margin = statistics.sampling_margin(correct / size, size)
    assert margin == pytest.approx((interval.high - interval.low) / 2)


def test_the_median_of_few_values_has_no_interval():
    assert statistics.median_interval([2.0]) == (2.0, None, None)
    assert statistics.median_interval([1.0, 2.0, 9.0, 3.0, 4.0]) == (3.0, None, None)
    with pytest.raises(ValueError, match="values is empty"):
        statistics.median_interval([])


def test_the_interval_of_a_median_is_that_of_the_published_table():
    # Order statistics for a 95% interval of the median (Conover, Practical Nonparametric
    # Statistics, from the binomial table): n = 6 gives (1, 6), n = 10 (2, 9), n = 25 (8, 18).
    for n, low, high in ((6, 1, 6), (10, 2, 9), (25, 8, 18)):
        sample = [float(i) for i in reversed(range(1, n + 1))]
        assert statistics.median_interval(sample) == ((n + 1) / 2, low, high)


def test_the_interval_of_a_median_covers_it_at_least_as_often_as_it_says():
    rng = np.random.default_rng(0)
    ends = [statistics.median_interval(list(row))[1:] for row in rng.exponential(size=(4000, 9))]
    covered = np.mean([low <= math.log(2) <= high for low, high in ends])
    assert covered > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 4000)
