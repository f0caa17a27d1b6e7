import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool

RULES = {
    "max": (jaxpool.global_max_pool, np.max, -np.inf),
    "min": (jaxpool.global_min_pool, np.min, np.inf),
    "sum": (jaxpool.global_sum_pool, np.sum, 0),
    "avg": (jaxpool.global_avg_pool, np.mean, 0),
    "lp": (jaxpool.global_lp_pool, lambda x, axis, **o: np.sqrt(np.sum(x**2, axis, **o)), 0),
}


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("axes", [None, 0, -1, (1,), (2, 1), (0, 3), (0, 1, 2, 3)])
def test_against_numpy(rule, axes, x):
    pool, reduce, _ = RULES[rule]
    axis = (1, 2) if axes is None else axes
    for keepdims in (False, True):
        y = pool(x, axes=axes, keepdims=keepdims)
        np.testing.assert_allclose(y, reduce(x, axis, keepdims=keepdims), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_masks(rule, x):
    """A fully masked map gives the identity, and 0 for an average."""
    pool, reduce, empty = RULES[rule]
    where = np.random.default_rng(1).random((2, 3, 4, 1)) < 0.5
    where[1] = False
    x = np.where(where, x, np.nan)
    y = np.asarray(pool(x, where=where))
    kept = x[0][where[0, :, :, 0]]
    np.testing.assert_allclose(y[0], reduce(kept, 0), rtol=1e-5)
    np.testing.assert_array_equal(y[1], np.full(5, empty))
    gradient = jax.grad(lambda x: pool(x, where=where)[0].sum())(x)
    assert np.isfinite(gradient).all()
    assert not gradient[1].any()


@pytest.mark.parametrize("rule", RULES)
def test_one_is_a_pooling_by_a_window_as_large_as_the_map(rule, x):
    windowed = getattr(jaxpool, f"{rule}_pool")
    np.testing.assert_allclose(
        RULES[rule][0](x, keepdims=True), windowed(x, (3, 4)), rtol=1e-6, atol=1e-6
    )


def test_dtypes():
    ints = jnp.arange(12).reshape(1, 4, 3)
    assert jaxpool.global_max_pool(ints).dtype == ints.dtype
    assert jaxpool.global_sum_pool(ints).tolist() == [[18, 22, 26]]
    assert jaxpool.global_avg_pool(ints).tolist() == [[4.5, 5.5, 6.5]]
    assert jaxpool.global_max_pool(ints > 10).tolist() == [[False, False, True]]
    assert jaxpool.global_min_pool(ints > 1).tolist() == [[False, False, True]]
    assert jaxpool.global_sum_pool(ints > 4).tolist() == [[2, 2, 3]]


def test_p_of_the_norm():
    x = jnp.array([1.0, -2.0, 3.0]).reshape(1, 3, 1)
    assert jaxpool.global_lp_pool(x, p=1).item() == 6
    assert jaxpool.global_lp_pool(x, p=3).item() == pytest.approx(36 ** (1 / 3))
