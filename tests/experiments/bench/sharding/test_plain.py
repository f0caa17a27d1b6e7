"""The operators in JAX's own operations give what the library's give."""

import jax
import numpy as np
import pytest

from experiments.bench.calls import Call
from experiments.bench.sharding import plain

OPERATORS = [*plain._WINDOWED, *plain._WHOLE, *plain._BINS, "spatial_pyramid_pool"]


def call(operator, window=2, strides=2, size=16):
    shape = (2, size, size, 3)
    return Call(name=operator, operator=operator, shape=shape, window=window, strides=strides)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_value_is_the_operator_s(operator):
    one = call(operator)
    x = np.random.default_rng(0).standard_normal(one.shape, np.float32)
    expected = one.example().function(x)
    np.testing.assert_allclose(plain.of(one)(x), expected, rtol=1e-5, atol=1e-6)


def test_overlapping_windows():
    one = call("soft_pool", window=3, strides=2)
    x = np.random.default_rng(0).standard_normal(one.shape, np.float32)
    np.testing.assert_allclose(plain.of(one)(x), one.example().function(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("operator", ["max_pool", "avg_pool", "adaptive_max_pool"])
def test_it_has_the_derivative_that_jax_gives_it(operator):
    function = plain.of(call(operator))
    gradient = jax.grad(lambda x: function(x).sum())(np.ones((2, 16, 16, 3), np.float32))
    assert float(gradient.sum()) == pytest.approx(2 * 8 * 8 * 3)


def test_uneven_bins_and_operators_of_many_operations_have_none():
    assert plain.of(call("adaptive_avg_pool", window=3, strides=2)) is None
    assert plain.of(call("spatial_pyramid_pool", size=10)) is None
    assert plain.of(call("roi_align")) is None
