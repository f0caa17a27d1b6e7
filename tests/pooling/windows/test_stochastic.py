import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry, quick
from tests.geometry import examples

KEY = jax.random.key(0)


def probabilities(elements):
    positive = np.maximum(np.float64(elements), 0)
    return (
        positive / positive.sum() if positive.any() else np.full(len(elements), 1 / len(elements))
    )


def weighted_mean(elements, indices, count):
    return float(probabilities(elements) @ np.float64(elements)) if elements else 0.0


def smallest_and_largest_probable(elements, indices, count):
    if not elements:
        return 0.0, 0.0
    probable = np.float64(elements)[probabilities(elements) > 0]
    return probable.min(), probable.max()


@examples(12)
@given(geometry.poolings(), st.booleans(), st.integers(0, 2**31))
def test_against_the_oracle(pooling, masked, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=pooling.shape).astype(np.float32)
    where = rng.random(pooling.shape) < 0.5 if masked else None

    @quick.jit
    def both(x, key):
        mean = pooling.apply(jaxpool.stochastic_pool, x, where=where)
        return mean, pooling.apply(jaxpool.stochastic_pool, x, where=where, key=key)

    mean, drawn = both(x, jax.random.key(seed))
    expected = pooling.judge(x, weighted_mean, where)
    np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-6)
    for i, compare in enumerate((np.greater_equal, np.less_equal)):
        limit = pooling.judge(x, lambda *a, i=i: smallest_and_largest_probable(*a)[i], where)
        assert np.all(compare(drawn, limit.astype(np.float32)))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([1.0, 0.0, 3.0, -2.0], [0.25, 0.0, 0.75, 0.0]),
        ([-1.0, -2.0, 0.0, -3.0], [0.25] * 4),
        ([1e38, 3e38, -1.0, 2e38], [1 / 6, 1 / 2, 0, 1 / 3]),
        ([1e-30, 3e-30, -1.0, 0.0], [0.25, 0.75, 0, 0]),
        ([np.inf, 1.0, -np.inf, 0.0], [1, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("copies", [1, 25])
def test_frequencies(row, expected, copies):
    """Frequencies in 20,000 draws; 25 copies make the window so wide that taps are stacked."""
    values = np.float32(row)
    x = jnp.asarray(np.tile(values, (20_000, copies)))[..., None]
    y = np.asarray(jaxpool.stochastic_pool(x, x.shape[1], key=KEY)).ravel()
    for value, probability in zip(values, expected, strict=True):
        deviation = np.sqrt(probability * (1 - probability) / len(y))
        assert abs(np.mean(y == value) - probability) <= 5 * deviation
    mean = jaxpool.stochastic_pool(x[:1], x.shape[1]).item()
    np.testing.assert_allclose(
        mean, sum(p * v for p, v in zip(expected, np.float64(row), strict=True) if p), rtol=1e-5
    )


def test_overlapping_windows_are_drawn_independently():
    x = jnp.ones((10_000, 3, 1)) * jnp.array([1.0, 2.0, 1.0])[:, None]
    y = np.asarray(jaxpool.stochastic_pool(x, 2, strides=1, key=KEY))[:, :, 0]
    both = np.mean((y[:, 0] == 2) & (y[:, 1] == 2))
    assert abs(both - 4 / 9) < 0.025


def test_one_key_gives_one_result():
    """With and without jit, for typed and uint32 keys, alone and under vmap."""
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)

    def pool(x, key):
        return jaxpool.stochastic_pool(x, 2, key=key)

    @quick.jit
    def every(x, key, old, other):
        keys = jnp.stack([other, key])
        return pool(x, key), pool(x, old), pool(x, other), pool(x[1], key), jax.vmap(pool)(x, keys)

    key = jax.random.key(1)
    y, old, other, alone, mapped = every(x, key, jax.random.PRNGKey(1), jax.random.key(2))
    np.testing.assert_array_equal(y, pool(x, key))
    np.testing.assert_array_equal(y, old)
    assert np.any(y != other)
    np.testing.assert_array_equal(mapped[1], alone)


def test_the_derivative_goes_to_the_element_drawn():
    x = jax.random.normal(KEY, (4, 6, 2))
    y, pull = jax.vjp(lambda x: jaxpool.stochastic_pool(x, 3, key=KEY), x)
    (hits,) = pull(jnp.ones_like(y))
    windows, hits = x.reshape(4, 2, 3, 2), hits.reshape(4, 2, 3, 2)
    np.testing.assert_array_equal(hits.sum(2), np.ones(y.shape))
    np.testing.assert_array_equal((hits * windows).sum(2), y)


@pytest.mark.parametrize("key", [None, KEY], ids=["inference", "training"])
def test_a_nan_stays_in_its_windows(key):
    x = jnp.array([1.0, np.nan, 1.0, 1.0]).reshape(1, 4, 1)
    np.testing.assert_array_equal(jaxpool.stochastic_pool(x, 2, key=key)[0, :, 0], [np.nan, 1])


@pytest.mark.parametrize("key", [None, KEY], ids=["inference", "training"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype, key):
    x = jnp.full((1, 4096, 1), 1.01, dtype)
    y = jaxpool.stochastic_pool(x, 4096, key=key)
    assert y.dtype == dtype
    assert y.item() == x[0, 0, 0]


@pytest.mark.parametrize(
    "key", [3, 3.0, "key", jax.random.split(KEY), np.zeros(2, np.uint32), jnp.zeros(2)]
)
def test_a_bad_key(key):
    with pytest.raises(TypeError, match=r"key must be one key, as jax.random.key\(0\) is, got"):
        jaxpool.stochastic_pool(np.ones((1, 4, 1), np.float32), 2, key=key)
