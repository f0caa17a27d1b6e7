import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry, oracle, quick
from tests.geometry import examples


@examples(8)
@given(geometry.poolings(), st.booleans(), st.integers(0, 2**31))
def test_against_the_oracle(pooling, masked, seed):
    rng = np.random.default_rng(seed)
    x = geometry.ties(rng, pooling.shape)
    where = rng.random(pooling.shape) < 0.5 if masked else None
    powers = (0.5, 1, 2, 2.5, 3)

    @quick.jit
    def every(x):
        return [pooling.apply(jaxpool.lp_pool, x, p, where=where) for p in powers]

    for value, p in zip(every(x), powers, strict=True):
        expected = pooling.judge(x, oracle.norm(p), where)
        np.testing.assert_allclose(value, expected, rtol=2e-5)


def value_and_jacobians(function):
    return quick.jit(lambda x: (function(x), jax.jacfwd(function)(x), jax.jacrev(function)(x)))


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3])
def test_the_derivative_is_zero_at_zeros(p):
    x = jnp.array([0.0, 0.0, 3.0, 0.0]).reshape(1, 4, 1)
    y, *jacobians = value_and_jacobians(lambda x: jaxpool.lp_pool(x, 2, p)[0, :, 0])(x)
    np.testing.assert_allclose(y, [0, 3], rtol=1e-6)
    for jacobian in jacobians:
        np.testing.assert_allclose(jacobian[:, 0, :, 0], [[0] * 4, [0, 0, 1, 0]], rtol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 2.5, 3])
def test_masked_elements_have_no_derivative(p):
    where = jnp.array([True, False]).reshape(1, 2, 1)
    derive = value_and_jacobians(lambda x: jaxpool.lp_pool(x, 2, p, where=where)[0, 0, 0])
    for hidden in (np.nan, np.inf, -np.inf, 1e30, 0):
        y, *jacobians = derive(jnp.array([3.0, hidden]).reshape(1, 2, 1))
        assert y == pytest.approx(3)
        for jacobian in jacobians:
            np.testing.assert_allclose(jacobian[0, :, 0], [1, 0], rtol=1e-6)


def test_numpy_numbers_are_numbers():
    x = jnp.array([3.0, 4.0]).reshape(1, 2, 1)
    for p in (2, 2.0, np.float32(2), np.int64(2)):
        assert jaxpool.lp_pool(x, 2, p).item() == 5


def test_odd_powers_have_no_sign():
    x = jnp.array([-3.0, 3.0]).reshape(1, 2, 1)
    assert jaxpool.lp_pool(x, 2, 3).item() == pytest.approx(54 ** (1 / 3))


def test_half_precision_does_not_overflow_on_the_way():
    x = jnp.full((1, 2, 1), 300.0, jnp.float16)
    y = jaxpool.lp_pool(x, 2)
    assert y.dtype == jnp.float16
    assert y.item() == pytest.approx(300 * 2**0.5, rel=1e-3)
