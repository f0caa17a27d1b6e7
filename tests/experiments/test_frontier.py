import json
import math

import numpy as np
import pytest

from experiments import frontier
from experiments.contrasts import judge
from experiments.frontier import Curve
from experiments.report import conclusion
from experiments.report import frontier as picture
from experiments.report.page import charts
from experiments.report.page.looks import looks

WIDTHS = (8, 16, 32)


def curve(**changes):
    values = {
        "variant": "max",
        "speeds": (1_000.0, 10_000.0, 100_000.0),
        "accuracies": {0: (0.9, 0.8, 0.7), 7: (0.94, 0.8, 0.6)},
    }
    return Curve(**{**values, **changes})


def test_between_two_cells_accuracy_is_linear_in_the_logarithm_of_speed():
    reached = curve().at(math.sqrt(1_000.0 * 10_000.0))
    assert reached == pytest.approx({0: 0.85, 7: 0.87})
    assert curve().at(10_000.0) == pytest.approx({0: 0.8, 7: 0.8})


def test_a_faster_cell_that_is_more_accurate_serves_as_well():
    dented = curve(accuracies={0: (0.7, 0.9, 0.6), 7: (0.7, 0.8, 0.6)})
    assert dented.at(2_000.0) == {0: 0.9, 7: 0.8}


def test_nothing_is_extrapolated():
    assert curve().covers(1_000.0)
    assert curve().covers(100_000.0)
    assert not curve().covers(999.0)
    assert not curve().covers(100_001.0)
    assert not curve(speeds=(5.0,), accuracies={0: (0.5,)}).covers(5.0)
    assert curve().meets(999.0)
    assert not curve().meets(100_001.0)


def test_a_curve_that_is_faster_all_along_gives_its_best_cell():
    assert curve().at(10.0) == {0: 0.9, 7: 0.94}


def test_common_costs_are_round_and_at_least_two_curves_cover_them():
    found = [
        curve(),
        curve(variant="none", speeds=(300.0, 1_500.0, 3_000.0)),
        curve(variant="strided", speeds=(30_000.0, 60_000.0, 300_000.0)),
    ]
    costs = frontier.common_costs(found)
    assert 1 <= len(costs) <= 3
    assert costs == sorted(costs)
    assert all(sum(c.covers(cost) for c in found) >= 2 for cost in costs)
    assert all(f"{cost:.0e}"[0] in "12357" for cost in costs)
    seen = {c.variant for cost in costs for c in found if c.covers(cost)}
    assert seen == {"max", "none", "strided"}


def test_curves_that_never_cost_the_same_are_not_compared():
    slow = curve(variant="none", speeds=(1.0, 2.0, 3.0))
    assert frontier.common_costs([curve(), slow]) == []


def noisy(rng, variant, speeds):
    """Cells that are 2 points apart, with three seeds, and throughputs measured to 10%."""
    order = np.argsort(measured := speeds * np.exp(0.1 * rng.standard_normal(4)))
    accuracies = 0.9 - 0.02 * np.arange(4) + 0.003 * rng.standard_normal((3, 4))
    by_seed = {seed: tuple(own) for seed, own in enumerate(accuracies[:, order])}
    return Curve(variant, tuple(measured[order]), by_seed, (0.1,) * 4)


def test_the_interval_at_equal_throughput_covers_the_truth_although_throughputs_have_errors():
    """250 studies of two variants: 95% of the intervals must cover the true difference.

    Without the variance of the throughputs, about 75% of the intervals do.
    """
    rng, speed, studies = np.random.default_rng(0), 20_000.0, 250
    speeds = np.array([1e4, 1.6e4, 2.6e4, 4.2e4]), np.array([0.8e4, 1.4e4, 2.4e4, 4e4])
    first, second = (0.9 - 0.02 * np.interp(np.log(speed), np.log(own), range(4)) for own in speeds)
    covered = naive = 0
    for _ in range(studies):
        pair = [noisy(rng, name, own) for name, own in zip("ab", speeds, strict=True)]
        samples = [(curve.variant, curve.at(speed)) for curve in pair]
        variances = {curve.variant: curve.variance(speed) for curve in pair}
        for variance in (variances, None):
            (contrast,) = judge([tuple(samples)], variance)
            low, high = contrast.interval
            inside = low <= first - second <= high
            covered += inside and variance is not None
            naive += inside and variance is None
    assert 0.94 * studies <= covered < studies
    assert naive < 0.85 * studies


def test_the_variance_of_exact_throughputs_is_0_and_that_of_measured_ones_follows_the_slope():
    assert curve().variance(5_000.0) == curve(errors=(0.0, 0.0, 0.0)).variance(5_000.0) == 0
    # A mean of 0.92 at 1,000 and of 0.8 at 10,000 examples/s: a slope of 0.12 / log(10) in the
    # logarithm of the throughput. In the middle, the error is half of the sum of both errors.
    one = curve(errors=(0.01, 0.01, 0.01))
    expected = (0.12 / math.log(10)) ** 2 * 2 * (0.01 / 2) ** 2
    assert one.variance(math.sqrt(1e3 * 1e4)) == pytest.approx(expected, rel=0.1)
    assert one.variance(100.0) == 0  # every cell is faster


def swept(make_rows, accuracies, speeds):
    """Rows of a sweep over widths; accuracies and speeds by variant and width."""
    rows = []
    for k, width in enumerate(WIDTHS):
        cell = make_rows(
            {variant: by_width[k] for variant, by_width in accuracies.items()},
            speeds={variant: by_width[k] for variant, by_width in speeds.items()},
        )
        rows += [
            row.model_copy(
                update={"swept": {"model.widths": [width]}, "parameters": 100 * width},
            )
            for row in cell
        ]
    return rows


@pytest.fixture
def crossing(make_rows):
    """A study in which `max` leads at equal width, and `strided` at equal throughput."""
    return swept(
        make_rows,
        {
            "max": [[800, 802, 801], [850, 852, 851], [900, 902, 900]],
            "strided": [[790, 792, 791], [840, 842, 841], [890, 893, 890]],
        },
        {"max": [10_000.0, 5_000.0, 2_500.0], "strided": [40_000.0, 20_000.0, 10_000.0]},
    )


def test_only_keys_that_change_the_network_make_a_frontier(crossing):
    assert frontier.cost_keys(crossing) == ["model.widths"]
    same = [row.model_copy(update={"parameters": 5}) for row in crossing]
    assert frontier.panels(same) == {}
    assert conclusion.at_equal_cost(same) == []
    assert picture.plot("title", same) is None


def test_the_sentence_compares_at_equal_cost(crossing):
    said = conclusion.at_equal_cost(crossing)
    assert said == [
        "At 10k examples/s or more: `strided` 89.10 ± 0.44 % and `max` 80.10 ± 0.26 %. `strided` "
        "is more accurate than `max` by 9.00 points (95% CI 8.73 to 9.27, p < 0.001, after Holm)."
    ]
    assert conclusion.conclude(crossing).sentences[0] == said[0]


def test_a_variant_that_is_faster_or_slower_all_along_is_named(crossing):
    faster = [
        row.model_copy(
            update={"variant": "fast", "infer_examples_per_s": 10 * row.infer_examples_per_s}
        )
        for row in crossing
        if row.variant == "strided"
    ]
    slower = [
        row.model_copy(
            update={"variant": "slow", "infer_examples_per_s": row.infer_examples_per_s / 100}
        )
        for row in crossing
        if row.variant == "max"
    ]
    (said,) = conclusion.at_equal_cost([*crossing, *faster, *slower])
    assert "`fast` 89.10 ± 0.43 % (at 100k or more)" in said
    assert "; `slow` is slower. " in said


def test_estimates_are_compared_among_themselves(crossing):
    estimated = [
        row.model_copy(update={"device": "H100", "device_source": "estimated"}) for row in crossing
    ]
    first, second = conclusion.at_equal_cost([*crossing, *estimated])
    assert first.startswith("At 10k examples/s or more:")
    assert second.startswith("At 10k examples/s or more, estimated for H100:")


@pytest.fixture
def three_keys(crossing):
    """`crossing` with two depths, the smaller at half the cost, and two sizes of data."""
    return [
        row.model_copy(
            update={
                "swept": {"dataset.train_limit": limit, **row.swept, "model.depth": depth},
                "flops_per_example": depth * row.flops_per_example,
            }
        )
        for limit in (100, 200)
        for depth in (1, 2)
        for row in crossing
    ]


def test_a_line_joins_cells_that_differ_in_one_key_only(crossing, three_keys):
    assert frontier.line_key(three_keys) == "model.widths"
    (panel, rows), _ = frontier.panels(three_keys).items()
    assert panel == "dataset.train_limit = 100"
    found = frontier.lines(rows)
    assert list(found) == [
        (variant, f"model.depth = {depth}") for depth in (1, 2) for variant in ("max", "strided")
    ]
    for (variant, at), joined in found.items():
        assert [row.swept["model.widths"] for row in joined] == [[width] for width in WIDTHS]
        assert {(row.variant, row.at(["model.depth"])) for row in joined} == {(variant, at)}
    assert list(frontier.lines(crossing)) == [("max", ""), ("strided", "")]
    assert picture.plot("title", three_keys).startswith(b"\x89PNG")


def test_the_page_draws_these_lines(crossing, three_keys):
    variants = looks(["max", "strided"])
    chart = charts.frontier("f", three_keys, variants)
    assert "that differ only in `model.widths`," in chart.caption
    assert [option.label for option in chart.options[::5]] == [
        f"inference, examples/s, at dataset.train_limit = {limit}" for limit in (100, 200)
    ]
    line = '"strokeDash": {"field": "line"'
    for option in chart.options:
        assert line in json.dumps(option.spec)
        points = option.spec["data"]["values"]
        assert [point["line"] for point in points] == ["model.depth = 1"] * 6 + [
            "model.depth = 2"
        ] * 6
    assert not any(
        line in json.dumps(option.spec)
        for option in charts.frontier("f", crossing, variants).options
    )


def test_the_picture_has_a_panel_per_value_of_a_key_that_costs_nothing(crossing):
    more = [
        row.model_copy(update={"swept": {**row.swept, "dataset.train_limit": limit}})
        for limit in (100, 200)
        for row in crossing
    ]
    assert list(frontier.panels(more)) == ["dataset.train_limit = 100", "dataset.train_limit = 200"]
    assert picture.plot("title", more).startswith(b"\x89PNG")
