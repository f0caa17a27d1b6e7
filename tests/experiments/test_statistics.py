import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments import statistics
from experiments.contrasts import judge
from experiments.report.conclusion import contrasts

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
    assert statistics.estimate([0.5]) == statistics.MeanEstimate(1, 0.5, None, None, None)
    with pytest.raises(ValueError, match="values is empty"):
        statistics.estimate([])


def test_equal_values_have_no_interval():
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
        assert d.interval() is None
        return
    oracle = stats.ttest_rel(list(first.values()), list(second.values()))
    assert d.p == pytest.approx(oracle.pvalue)
    assert d.interval(0.99) == pytest.approx(tuple(oracle.confidence_interval(0.99)))


def test_only_shared_seeds_are_paired():
    first = {0: 0.9, 1: 0.8, 2: 0.7}
    second = {2: 0.6, 1: 0.75, 9: 0.1}
    d = statistics.paired_difference(first, second)
    assert d.n == 2
    assert d.mean == pytest.approx((0.05 + 0.1) / 2)
    assert statistics.paired_difference(first, {7: 0.5}).n == 0
    assert statistics.paired_difference(first, {7: 0.5}).mean is None
    one = statistics.paired_difference(first, {0: 0.5})
    assert (one.n, one.mean, one.interval(), one.p) == (1, pytest.approx(0.4), None, None)


def test_no_difference_on_any_seed_is_no_evidence():
    same = {0: 0.9, 1: 0.8, 2: 0.7}
    d = statistics.paired_difference(same, dict(same))
    assert (d.mean, d.interval(), d.effect, d.p) == (0, None, None, 1)


@pytest.mark.parametrize("n", [2, 5, 6])
def test_one_constant_difference_gets_the_sign_flip_test(n):
    first = {seed: 0.1 * seed + 0.05 for seed in range(n)}
    second = {seed: 0.1 * seed for seed in range(n)}
    flips = [sum(signs) for signs in product((-1, 1), repeat=n)]
    exact = sum(abs(flip) >= n for flip in flips) / len(flips)
    d = statistics.paired_difference(first, second)
    assert d.p == exact
    assert d.interval() is None


def test_a_further_variance_widens_the_interval_by_hand():
    # std^2 / n = v = 0.02^2 / 3: the half width is sqrt(4.302653^2 + 1.959964^2) 0.02 / sqrt(3),
    # with the quantiles of t(2) and of the normal distribution, which is 0.054595.
    e = statistics.estimate([0.90, 0.92, 0.94], variance=0.02**2 / 3)
    assert (e.low, e.high) == (pytest.approx(0.865405, abs=1e-6), pytest.approx(0.974595, abs=1e-6))
    values = {0: 0.90, 1: 0.92, 2: 0.94}
    at_the_end = statistics.paired_difference(values, dict.fromkeys(values, e.low), 0.02**2 / 3)
    assert at_the_end.p == pytest.approx(0.05)


@pytest.mark.parametrize("share", [0.1, 1])
def test_with_a_further_variance_a_test_keeps_the_levels_of_holms_method(share):
    """2,000 true hypotheses with three seeds; the further variance is a share of the seeds'.

    The interval of Welch and Satterthwaite would reject 4.4% and 2.5% at the level 0.05 / 3.
    """
    rng, zero = np.random.default_rng(0), dict.fromkeys(range(3), 0.0)
    seeds = rng.standard_normal((2000, 3))
    means = math.sqrt(share / 3) * rng.standard_normal((2000, 1))
    p_values = [
        statistics.paired_difference(dict(enumerate(row)), zero, share / 3).p
        for row in (seeds + means).tolist()
    ]
    for level in (0.05, 0.05 / 3):
        assert 0 < sum(p < level for p in p_values) <= stats.binom.ppf(0.975, 2000, level)


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


def test_holm_agrees_with_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p_values = np.random.default_rng(0).uniform(size=20) ** 3
    rejected, adjusted, _, _ = multitest.multipletests(p_values, 0.05, method="holm")
    assert statistics.holm(p_values.tolist()) == pytest.approx(adjusted.tolist())
    assert 0 < sum(rejected) < 20


@given(
    st.lists(
        st.lists(st.integers(-9, 9), min_size=4, max_size=4).filter(lambda d: len(set(d)) > 1),
        min_size=1,
        max_size=6,
    ),
    st.floats(0, 9),
)
def test_an_interval_excludes_0_exactly_if_the_difference_is_significant(samples, variance):
    zero = dict.fromkeys(range(4), 0.0)
    found = [statistics.paired_difference(dict(enumerate(d)), zero, variance) for d in samples]
    contrasts = judge(
        [((str(i), dict(enumerate(d))), ("zero", zero)) for i, d in enumerate(samples)],
        {"zero": variance},
    )
    for contrast, d in zip(contrasts, found, strict=True):
        low, high = contrast.interval
        assert contrast.significant == (low > 0 or high < 0)
        narrow_low, narrow_high = d.interval()
        assert low <= narrow_low
        assert high >= narrow_high
        turned = contrast.seen_from("zero")
        assert turned.interval == pytest.approx((-high, -low))
        assert turned.difference.effect == -d.effect


def test_the_levels_are_those_of_holms_steps_by_hand():
    # 0.01 <= 0.05/4 and 0.012 <= 0.05/3 pass; 0.03 > 0.05/2 fails and stops the rest, 0.04 too.
    assert statistics.holm_confidences([0.04, 0.01, None, 0.03, 0.012]) == pytest.approx(
        [1 - 0.05 / 2, 1 - 0.05 / 4, 0.95, 1 - 0.05 / 2, 1 - 0.05 / 3]
    )


def test_an_effect_has_hedges_correction():
    # d_z = 0.02 / 0.01; for 3 seeds J = G(1) / (sqrt(1) G(1/2)) = 1 / sqrt(pi)
    d = statistics.paired_difference({0: 0.91, 1: 0.92, 2: 0.93}, dict.fromkeys(range(3), 0.9))
    assert d.effect == pytest.approx(2 / math.sqrt(math.pi))
    assert statistics.paired_difference({0: 0.91, 1: 0.92}, {0: 0.9, 1: 0.9}).effect is None


def test_noise_is_called_a_difference_in_at_most_5_percent_of_families(make_rows):
    """2,000 studies of three variants that are equally good, through the run's own conclusion.

    Binomial counts of test examples, with the seed's own share in common. Of three pairs of three
    variants, Holm's family-wise error is at most 5%; that of the differences uncorrected is near
    12%. The count of errors must lie in the exact 95% interval around 5%, or below it.
    """
    rng = np.random.default_rng(0)
    template = make_rows({"a": [900] * 5, "b": [900] * 5, "c": [900] * 5})
    seeds = rng.normal(0.9, 0.01, (2000, 1, 5)).clip(0, 1)
    counts = rng.binomial(1000, np.broadcast_to(seeds, (2000, 3, 5)))
    wrong = naive = 0
    for study in counts:
        rows = [
            row.model_copy(update={"test_correct_by_seed": dict(enumerate(map(int, by_seed)))})
            for row, by_seed in zip(template, study, strict=True)
        ]
        found = contrasts(rows)
        wrong += any(contrast.significant for contrast in found)
        naive += any((contrast.difference.p or 1) < 0.05 for contrast in found)
    low, high = stats.binom.interval(0.95, 2000, 0.05)
    assert wrong <= high
    assert naive > high  # so the test would notice a correction that is missing
    assert wrong > low / 2  # and one that never finds anything


@given(correct=st.integers(0, 500), wrong=st.integers(0, 500))
def test_sampling_margin_is_half_of_wilsons_interval(correct, wrong):
    size = correct + wrong + 1
    interval = stats.binomtest(correct, size).proportion_ci(0.95, method="wilson")
    margin = statistics.sampling_margin(correct / size, size)
    assert margin == pytest.approx((interval.high - interval.low) / 2)
