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
@given(
    geometry.poolings(),
    st.sampled_from([(0.5, 2, 3), (1, 2.5)]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_against_the_oracle(pooling, powers, masked, seed):
    rng = np.random.default_rng(seed)
    x = geometry.ties(rng, pooling.shape)
    where = rng.random(pooling.shape) < 0.5 if masked else None

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


@pytest.mark.parametrize("p", [np.nan, -np.inf, np.float32(np.nan)])
def test_the_message_names_infinity_as_an_allowed_power(p):
    for pool, window in ((jaxpool.lp_pool, (2,)), (jaxpool.global_lp_pool, ())):
        with pytest.raises(ValueError, match=r"p must be greater than 0 \(math.inf is allowed\)"):
            pool(np.ones((1, 4, 1), np.float32), *window, p)


def test_odd_powers_have_no_sign():
    x = jnp.array([-3.0, 3.0]).reshape(1, 2, 1)
    assert jaxpool.lp_pool(x, 2, 3).item() == pytest.approx(54 ** (1 / 3))


def test_half_precision_does_not_overflow_on_the_way():
    x = jnp.full((1, 2, 1), 300.0, jnp.float16)
    y = jaxpool.lp_pool(x, 2)
    assert y.dtype == jnp.float16
    assert y.item() == pytest.approx(300 * 2**0.5, rel=1e-3)


@pytest.mark.parametrize("window", [4, 3], ids=["tiling", "overlapping"])
@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 2.5, 3, 7, np.inf])
def test_right_over_the_whole_range_of_float32(p, window):
    """Value and derivative against float64 for inputs scaled to about 1 (both scale with x)."""
    pattern = np.array([3.0, -4.0, 1.0, 0.0, -2.0, 0.5])

    def norm(x):
        return jaxpool.lp_pool(x.reshape(1, -1, 1), window, p, strides=window - 1).ravel()

    with jax.enable_x64(True):
        exact = quick.jit(lambda x: (norm(x), jax.jacrev(norm)(x)))
        value, jacobian = map(np.asarray, exact(jnp.asarray(pattern)))
    every = quick.jit(lambda x: (norm(x), jax.jacrev(norm)(x), jax.jacfwd(norm)(x)))
    for scale in (1e-37, 1e-25, 1e-13, 1.0, 1e13, 1e30, 3e36):
        y, *jacobians = every(jnp.asarray(pattern * scale, jnp.float32))
        np.testing.assert_allclose(y, value * np.float64(scale), rtol=1e-5)
        for ours in jacobians:
            np.testing.assert_allclose(ours, jacobian, rtol=1e-5)


def test_one_plane_of_all_sizes():
    """Each window has its own scale, not the largest element of the plane."""
    x = jnp.array([3e30, 4e30, 3e-30, 4e-30]).reshape(1, 4, 1)
    for p, expected in ((2, [5e30, 5e-30]), (np.inf, [4e30, 4e-30])):
        np.testing.assert_allclose(jaxpool.lp_pool(x, 2, p)[0, :, 0], expected, rtol=1e-6)
        both = jaxpool.global_lp_pool(x.reshape(2, 2, 1), p=p)[:, 0]
        np.testing.assert_allclose(both, expected, rtol=1e-6)


def test_an_infinite_norm_has_no_derivative():
    x = jnp.array([np.inf, 1.0, 3.0, 4.0]).reshape(1, 4, 1)
    value, gradient = jax.value_and_grad(lambda x: jaxpool.lp_pool(x, 2)[0, 0, 0])(x)
    assert value == np.inf
    assert not gradient.any()
