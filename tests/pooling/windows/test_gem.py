import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry
from tests.geometry import examples


def power_mean(p, eps):
    def function(elements, indices, count):
        if not elements:
            return 0.0
        return np.mean([max(float(e), eps) ** p for e in elements]) ** (1 / p)

    return function


@examples(10)
@given(
    geometry.poolings(),
    st.sampled_from([(1.0, 3.0), (0.5,)]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_against_the_oracle(pooling, powers, masked, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=pooling.shape).astype(np.float32)
    where = rng.random(pooling.shape) < 0.5 if masked else None

    @jax.jit
    def every(x):
        return [pooling.apply(jaxpool.gem_pool, x, p=p, eps=0.1, where=where) for p in powers]

    for result, p in zip(every(x), powers, strict=True):
        expected = pooling.judge(x, power_mean(p, 0.1), where)
        np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_no_power_over_or_underflows():
    x = jnp.array([1e30, 1e20, 2e-5, 1e-5]).reshape(1, 4, 1)
    y = jaxpool.gem_pool(x, 2, 50.0)[0, :, 0]
    np.testing.assert_allclose(y, np.float32([1e30, 2e-5]) * 0.5**0.02, rtol=1e-5)
    assert np.all(np.isfinite(jax.grad(lambda x: jaxpool.gem_pool(x, 2, 50.0).sum())(x)))


def test_the_power_is_learned_per_channel():
    x = jnp.exp(jnp.sin(jnp.arange(24.0))).reshape(2, 4, 3)
    p = jnp.array([0.5, 1.0, 4.0])

    def pool(p):
        return jaxpool.gem_pool(x, 2, p)

    plain = np.asarray(x, np.float64).reshape(2, 2, 2, 3)
    h = 1e-6
    expected = np.mean(plain**p, 2) ** (1 / p)
    np.testing.assert_allclose(jax.jit(pool)(p), expected, rtol=1e-6)
    q = np.float64(p)
    slopes = np.mean(plain ** (q + h), 2) ** (1 / (q + h)) - np.mean(plain ** (q - h), 2) ** (
        1 / (q - h)
    )
    gradient = jax.grad(lambda p: pool(p).sum())(p)
    np.testing.assert_allclose(gradient, slopes.sum((0, 1)) / (2 * h), rtol=1e-4)


def test_a_traced_power_may_go_to_zero():
    """The limit is the geometric mean at p = 0; p = -1 is the harmonic mean."""
    x = jnp.array([1.0, 4.0]).reshape(1, 2, 1)
    pool = jax.jit(lambda p: jaxpool.gem_pool(x, 2, p)[0, 0, 0])
    np.testing.assert_allclose(pool(0.0), 2, rtol=1e-6)
    np.testing.assert_allclose(pool(-1.0), 1.6, rtol=1e-6)
    assert np.isfinite(jax.grad(pool)(0.0))


def test_elements_below_eps_count_as_eps_and_have_no_derivative():
    x = jnp.array([-3.0, 0.5, 0.01, 2.0]).reshape(1, 4, 1)
    y, gradient = jax.value_and_grad(lambda x: jaxpool.gem_pool(x, 4, 2.0, 0.5).sum())(x)
    mean = np.sqrt((0.25 * 3 + 4) / 4)
    np.testing.assert_allclose(y, mean, rtol=1e-6)
    np.testing.assert_allclose(gradient[0, :, 0], [0, 0.125 / mean, 0, 0.5 / mean], rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_windows(value):
    x = jnp.array([1.0, value, 1.0, 1.0]).reshape(1, 4, 1)
    np.testing.assert_array_equal(jaxpool.gem_pool(x, 2)[0, :, 0], [value, 1.0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_single(dtype):
    x = jnp.linspace(0.1, 200, 14).reshape(2, 7, 1).astype(dtype)
    y = jaxpool.gem_pool(x, 3, 4.0)
    assert y.dtype == dtype
    wide = jaxpool.gem_pool(x.astype(jnp.float32), 3, 4.0)
    np.testing.assert_array_equal(y, wide.astype(dtype))


def test_bad_arguments():
    x = np.ones((1, 4, 3), np.float32)
    for p in (0, -1.0, np.array([1.0, 0.0, 2.0])):
        with pytest.raises(ValueError, match=r"p must be .*greater than 0"):
            jaxpool.gem_pool(x, 2, p)
    with pytest.raises(ValueError, match=r"eps must be finite and greater than 0, got 0"):
        jaxpool.gem_pool(x, 2, eps=0)
    with pytest.raises(
        ValueError, match=r"p must be .* broadcasts to \(1, 1, 3\), got shape \(2,\)"
    ):
        jaxpool.gem_pool(x, 2, np.ones(2))
    with pytest.raises(TypeError, match="x must be of a floating dtype, got int32"):
        jaxpool.gem_pool(np.ones((1, 4, 3), np.int32), 2)


def test_the_gradient_does_not_see_what_is_masked():
    """A masked NaN does not affect the gradient, although its log has no derivative."""
    x = jnp.array([2.0, np.nan, -np.inf, np.inf]).reshape(1, 4, 1)
    where = jnp.array([True, False, False, False]).reshape(1, 4, 1)
    gradient = jax.grad(lambda x: jaxpool.gem_pool(x, 2, where=where).sum())(x)
    np.testing.assert_allclose(gradient[0, :, 0], [1, 0, 0, 0], rtol=1e-6)
