"""The reference of the benchmark against plain loops."""

from itertools import product

import numpy as np
import pytest

from experiments.bench.case import Case
from experiments.bench.reference import Expected, Reference

GEOMETRIES = [
    {"shape": [2, 7, 6, 3], "window": 3},
    {"shape": [2, 7, 6, 3], "window": 2, "strides": 2},
    {"shape": [1, 7, 6, 2], "window": 3, "strides": 2, "padding": 1},
    {"shape": [1, 7, 6, 2], "window": [5, 2], "strides": [1, 3], "padding": "SAME"},
    {"shape": [1, 9, 8, 2], "window": 3, "dilation": 2},
    {"shape": [2, 11, 2], "window": 7, "strides": 2, "padding": "SAME"},
    {"shape": [1, 4, 3, 5, 2], "window": 2, "strides": 2, "padding": 1},
    {"shape": [2, 5, 4, 3], "window": "global"},
]


def readings(case):
    """For every output position its window: the taps' input positions, None in the padding."""
    axes = list(zip(case.windows, case.steps, case.pads, case.spatial, strict=True))
    for out in product(*map(range, case.output)):
        window = []
        for tap in product(*map(range, case.windows)):
            at = tuple(
                o * s + t * case.dilation - low
                for o, t, (_, s, (low, _), _) in zip(out, tap, axes, strict=True)
            )
            inside = all(0 <= i < n for i, n in zip(at, case.spatial, strict=True))
            window.append(at if inside else None)
        yield out, window


def by_loops(case, x, dy, t):
    """Values, gradient and tangents, one window after the other."""
    y, dx, ty = np.zeros(case.output_shape), np.zeros(case.shape), np.zeros(case.output_shape)
    for b, c in product(range(case.shape[0]), range(case.shape[-1])):
        for out, window in readings(case):
            here = [at for at in window if at is not None]
            o = (b, *out, c)
            if case.operator == "max":
                # max() returns the first of the largest
                best = (b, *max(here, key=lambda at: x[b, *at, c]), c)
                y[o], ty[o] = x[best], t[best]
                dx[best] += dy[o]
                continue
            divisor = len(window) if case.count_include_pad else len(here)
            for at in here:
                y[o] += x[b, *at, c] / divisor
                ty[o] += t[b, *at, c] / divisor
                dx[b, *at, c] += dy[o] / divisor
    return y, dx, ty


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("operator", ["max", "avg", "avg without padding"])
def test_the_reference_is_what_loops_give(operator, geometry):
    kind, _, rest = operator.partition(" ")
    case = Case.model_validate(
        {"name": "c", "operator": kind, "count_include_pad": not rest, **geometry}
    )
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, case.shape).astype(np.float32)  # few values, so many ties
    dy, t = rng.standard_normal(case.output_shape), rng.standard_normal(case.shape)
    reference = Reference(case, x)
    y, dx, ty = by_loops(case, x, dy, t)
    np.testing.assert_allclose(reference.forward().value, y, atol=1e-12)
    np.testing.assert_allclose(reference.gradient(dy).value, dx, atol=1e-12)
    np.testing.assert_allclose(reference.tangent(t).value, ty, atol=1e-12)


def test_values_of_a_maximum_must_be_exact():
    case = Case(name="c", operator="max", shape=(1, 4, 4, 1), window=2, strides=2)
    x = np.random.default_rng(0).standard_normal(case.shape, np.float32)
    expected = Reference(case, x).forward()
    assert expected.tolerance(1e-7) == 0
    assert expected.error(expected.value.astype(np.float32)) == 0
    assert expected.error(np.nextafter(expected.value.astype(np.float32), np.float32(9))) > 0


def test_sums_may_round_as_their_number_of_terms_allows():
    case = Case(name="c", operator="avg", shape=(1, 8, 8, 1), window=8)
    expected = Reference(case, np.ones(case.shape, np.float32)).forward()
    assert expected.tolerance(1e-7) == pytest.approx(2 * 1e-7 * 8)


def test_sums_of_terms_below_the_smallest_subnormal_may_be_zero():
    wanted = Expected(np.array([1e-8, 1.0]), np.array([1e-8, 1.0]), 4)
    given = np.array([0, 1], np.float16)
    assert wanted.error(given) == 1
    assert wanted.error(given, float(np.finfo(np.float16).smallest_subnormal)) == 0
    exact = Expected(np.array([1e-8]), np.array([1e-8]), 1)
    assert exact.error(given[:1], float(np.finfo(np.float16).smallest_subnormal)) == 1


def test_nan_is_always_a_wrong_result():
    wanted = Expected(np.zeros(2), np.ones(2), 1)
    assert wanted.error(np.array([0, np.nan], np.float32)) == float("inf")
