import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from jaxpool.pooling.windows import median
from jaxpool.pooling.windows._sort_keys import sort_keys
from tests import constant, geometry, quick
from tests.geometry import examples

DTYPES = ["float32", "float16", "bfloat16", "int8", "uint16", "int32", "bool"]


def lower_median(elements, indices, count):
    if not elements:
        return 0.0
    if any(e != e for e in elements):
        return np.nan
    return sorted(map(float, elements))[(len(elements) - 1) // 2]


method = constant.setting(median, "PAIRWISE", bit_by_bit=0, pairwise=25)


@pytest.mark.usefixtures("method")
@examples(10)
@given(geometry.poolings(), st.sampled_from(DTYPES), st.booleans(), st.integers(0, 2**31))
def test_against_the_oracle(pooling, dtype, masked, seed):
    rng = np.random.default_rng(seed)
    x = geometry.awkward(rng, pooling.shape)
    if not jnp.issubdtype(dtype, jnp.floating):
        x = np.nan_to_num(x, nan=3, posinf=100, neginf=0 if dtype[0] in "ub" else -100)
    x = jnp.asarray(np.abs(x) if dtype[0] == "u" else x).astype(dtype)
    where = rng.random(pooling.shape) < 0.5 if masked else None
    y = quick.jit(lambda x: pooling.apply(jaxpool.median_pool, x, where=where))(x)
    assert y.dtype == dtype
    expected = pooling.judge(np.asarray(x, np.float32), lower_median, where)
    np.testing.assert_array_equal(y.astype(np.float32), expected)


@pytest.mark.parametrize(("window", "strides"), [(81, 9), (81, 81), (100, 1)])
def test_windows_of_many_taps(window, strides):
    x = np.random.default_rng(0).normal(size=(2, 200, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, window, axis=1)[:, ::strides]
    expected = np.sort(windows, -1)[..., (window - 1) // 2]

    @quick.jit
    def value_and_gradient(x):
        y, pull = jax.vjp(lambda x: jaxpool.median_pool(x, window, strides=strides), x)
        return y, pull(jnp.ones_like(y))[0]

    y, gradient = value_and_gradient(x)
    np.testing.assert_array_equal(y, expected)
    assert gradient.sum() == expected.size
    assert set(np.ravel(x[gradient > 0])) == set(np.ravel(expected))


def test_the_derivative_goes_to_the_first_equal_element():
    x = jnp.array([2.0, 5.0, 2.0, 2.0, 1.0, 7.0, 7.0, 7.0]).reshape(1, 8, 1)
    for differentiate in (jax.jacfwd, jax.jacrev):
        jacobian = differentiate(lambda x: jaxpool.median_pool(x, 4)[0, :, 0])(x)[:, 0, :, 0]
        np.testing.assert_array_equal(jacobian, np.eye(8)[[0, 5]])


def test_zero_has_no_sign():
    x = jnp.array([0.0, -0.0, -0.0]).reshape(1, 3, 1)
    jacobian = jax.jacrev(lambda x: jaxpool.median_pool(x, 3).sum())(x)
    np.testing.assert_array_equal(jacobian[0, :, 0], [1, 0, 0])


def test_a_nan_wins_and_takes_the_derivative():
    x = jnp.array([1.0, np.nan, 3.0, np.nan, 0.0, 1.0]).reshape(1, 6, 1)
    y, pull = jax.vjp(lambda x: jaxpool.median_pool(x, 3), x)
    np.testing.assert_array_equal(y[0, :, 0], [np.nan, np.nan])
    np.testing.assert_array_equal(pull(jnp.ones_like(y))[0][0, :, 0], [0, 1, 0, 1, 0, 0])


def test_double_precision():
    with jax.enable_x64(True):
        x = jnp.array([1.0, 1 + 1e-12, 1 - 1e-12], jnp.float64).reshape(1, 3, 1)
        assert jaxpool.median_pool(x, 3).item() == 1.0
        large = jnp.array([2**62, 2**62 + 1, -5], jnp.int64).reshape(1, 3, 1)
        assert jaxpool.median_pool(large, 3).item() == 2**62


def test_salt_and_pepper_are_removed():
    rng = np.random.default_rng(0)
    image = np.add.outer(np.arange(16.0), np.arange(16.0))[None, :, :, None]
    noisy = np.where(rng.random(image.shape) < 0.05, 1e3, image).astype(np.float32)
    y = jaxpool.median_pool(noisy, 3, strides=1, padding="SAME")
    assert np.abs(y - image).max() < 4


def test_sort_keys_have_the_order_of_the_elements():
    ordered = {
        "bool": [False, True],
        "int4": [-8, -1, 0, 7],
        "uint4": [0, 8, 15],
        "float32": [-np.inf, -1.5, -1e-30, 0.0, 1e-30, 1.5, np.inf],
    }
    for dtype, values in ordered.items():
        keys = sort_keys(jnp.array(values, dtype))
        assert np.all(np.diff(np.asarray(keys, np.int64)) > 0), dtype
