import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry, oracle
from tests.geometry import examples


def mixture(alpha, include_pad):
    def function(elements, indices, count):
        mean = oracle.average(include_pad=include_pad)(elements, indices, count)
        return alpha * max(elements) + (1 - alpha) * mean if elements else 0.0

    return function


@examples(10)
@given(geometry.poolings(), st.booleans(), st.booleans(), st.integers(0, 2**31))
def test_against_the_oracle(pooling, masked, include_pad, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=pooling.shape).astype(np.float32)
    where = rng.random(pooling.shape) < 0.5 if masked else None
    y = jax.jit(
        lambda x, alpha: pooling.apply(
            jaxpool.mixed_pool, x, alpha, where=where, count_include_pad=include_pad
        )
    )(x, 0.3)
    expected = pooling.judge(x, mixture(0.3, include_pad), where)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 6, 3)), np.float32)


def test_the_ends_are_the_two_poolings():
    options = {"window_shape": 3, "strides": 2, "padding": 1}
    np.testing.assert_array_equal(
        jaxpool.mixed_pool(X, alpha=1, **options), jaxpool.max_pool(X, **options)
    )
    np.testing.assert_array_equal(
        jaxpool.mixed_pool(X, alpha=0, **options), jaxpool.avg_pool(X, **options)
    )


@pytest.mark.parametrize("shape", [(), (1,), (3,), (3, 3, 1), (2, 1, 1, 3), (2, 3, 3, 3)])
def test_alpha_is_an_array_that_broadcasts_to_the_output(shape):
    alpha = jax.random.uniform(jax.random.key(1), shape)

    def pool(alpha):
        return jaxpool.mixed_pool(X, 2, alpha)

    largest, mean = jaxpool.max_pool(X, 2), jaxpool.avg_pool(X, 2)
    expected = alpha * largest + (1 - alpha) * mean
    np.testing.assert_allclose(jax.jit(pool)(alpha), expected, rtol=1e-5, atol=1e-6)
    _, pull = jax.vjp(lambda alpha: jnp.broadcast_to(alpha, mean.shape) * (largest - mean), alpha)
    gradient = jax.grad(lambda alpha: pool(alpha).sum())(alpha)
    np.testing.assert_allclose(gradient, pull(jnp.ones(mean.shape))[0], rtol=1e-4, atol=1e-5)


def test_infinite_elements():
    """A weight of 0 times infinity counts as 0, not NaN."""
    x = jnp.array([-np.inf, 1.0, 2.0, np.inf, -np.inf, -np.inf]).reshape(1, 6, 1)
    results = [jaxpool.mixed_pool(x, 2, alpha)[0, :, 0] for alpha in (0.0, 0.5, 1.0)]
    inf = np.inf
    np.testing.assert_array_equal(results, [[-inf, inf, -inf], [-inf, inf, -inf], [1, inf, -inf]])


def test_windows_without_an_element():
    """Empty windows give 0, and no gradient to a learned weight."""
    x = jnp.array([1.0, 3.0, 5.0, 7.0]).reshape(1, 4, 1)
    where = jnp.array([False, False, True, True]).reshape(1, 4, 1)
    y, pull = jax.vjp(lambda alpha: jaxpool.mixed_pool(x, 2, alpha, where=where), jnp.array([0.5]))
    np.testing.assert_array_equal(y[0, :, 0], [0, 6.5])
    np.testing.assert_array_equal(pull(jnp.ones_like(y))[0], [1])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_mixed_in_single(dtype):
    x = X.astype(dtype)
    y = jaxpool.mixed_pool(x, 3, 0.3)
    assert y.dtype == dtype
    wide = jaxpool.mixed_pool(x.astype(jnp.float32), 3, 0.3)
    np.testing.assert_array_equal(y, wide.astype(dtype))


@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        ("half", "alpha must be a number, got 'half'"),
        (np.inf, "alpha must be finite, got inf"),
        (np.ones(2), r"alpha .* broadcasts to \(2, 3, 3, 3\), got shape \(2,\)"),
        (np.ones((1, 2, 3, 3, 3)), r"alpha .* got shape \(1, 2, 3, 3, 3\)"),
        (np.ones(3, complex), "alpha must be a number or an array of numbers, got complex128"),
    ],
)
def test_a_bad_alpha(alpha, message):
    with pytest.raises((TypeError, ValueError), match=message):
        jaxpool.mixed_pool(X, 2, alpha)
