import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry, oracle, quick
from tests.geometry import examples


@examples(12)
@given(geometry.poolings(), st.booleans(), st.integers(0, 2**31))
def test_against_the_oracle(pooling, masked, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=pooling.shape).astype(np.float32)
    where = rng.random(pooling.shape) < 0.5 if masked else None

    @quick.jit
    def every(x):
        def average(**options):
            return pooling.apply(jaxpool.avg_pool, x, where=where, **options)

        return (
            pooling.apply(jaxpool.sum_pool, x, where=where),
            average(),
            average(count_include_pad=False),
            average(divisor_override=-2.5),
        )

    functions = (
        oracle.total,
        oracle.average(),
        oracle.average(include_pad=False),
        oracle.average(divisor=-2.5),
    )
    for value, function in zip(every(x), functions, strict=True):
        expected = pooling.judge(x, function, where)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


def test_masked_elements_may_be_anything():
    x = jnp.array([1.0, jnp.nan, jnp.inf, 3.0]).reshape(1, 4, 1)
    where = jnp.isfinite(x)
    assert jaxpool.sum_pool(x, 4, where=where).item() == 4
    assert jaxpool.avg_pool(x, 4, where=where).item() == 2
    gradient = jax.grad(lambda x: jaxpool.avg_pool(x, 4, where=where).sum())(x)
    np.testing.assert_array_equal(gradient[0, :, 0], [0.5, 0, 0, 0.5])


def test_a_nan_stays_in_its_windows():
    x = jnp.arange(8.0).at[2].set(jnp.nan).reshape(1, 8, 1)
    for window, strides in [(2, 2), (8, 1), (3, 1)]:
        y = jaxpool.sum_pool(x, window, strides=strides)[0, :, 0]
        starts = np.arange(len(y)) * strides
        np.testing.assert_array_equal(np.isnan(y), (starts <= 2) & (starts + window > 2))


def test_the_overhang_never_counts():
    """As in PyTorch and ONNX; oneDNN and some ONNX runtimes divide by the whole window."""
    y = jaxpool.avg_pool(jnp.ones((1, 4, 1)), 3, ceil_mode=True)[0, :, 0]
    np.testing.assert_array_equal(y, [1, 1])
    y = jaxpool.avg_pool(jnp.ones((1, 5, 1)), 4, strides=3, padding=1, ceil_mode=True)[0, :, 0]
    np.testing.assert_array_equal(y, np.float32([3 / 4, 3 / 4]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_summed_in_single(dtype):
    """The sum of 4,096 times 1.01 saturates if it is accumulated in half precision."""
    x = jnp.full((1, 64, 64, 1), 1.01, dtype)
    element = float(x[0, 0, 0, 0])
    for value, expected in [
        (jaxpool.avg_pool(x, 64), element),
        (jaxpool.global_avg_pool(x), element),
        (jaxpool.sum_pool(x, 64), 4096 * element),
        (jaxpool.lp_pool(x, 64), 64 * element),
    ]:
        assert value.dtype == dtype
        assert value.item() == jnp.asarray(expected, dtype)


def test_accumulate_dtype_overrides():
    x = jnp.full((1, 4096, 1), 1.0, jnp.float16)
    narrow = jaxpool.avg_pool(x, 4096, strides=4096, accumulate_dtype=jnp.float16)
    assert narrow.dtype == jnp.float16
    huge = jnp.full((1, 2, 1), 6e4, jnp.float16)
    assert jaxpool.avg_pool(huge, 2).item() == 6e4
    assert np.isinf(jaxpool.avg_pool(huge, 2, accumulate_dtype="float16").item())
    with jax.enable_x64(True):
        fine = jnp.array([1.0, 1e-12], jnp.float32).reshape(1, 2, 1)
        assert jaxpool.avg_pool(fine, 2, accumulate_dtype="float64").dtype == jnp.float32


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool"])
def test_integers(dtype):
    """Sums keep the dtype (bool: int32) and wrap around; averages are float32 and do not wrap."""
    x = np.array([1, 0, 1, 1, 127, 127] if dtype != "bool" else [1, 0, 1, 1, 1, 1])
    x = x.astype(dtype).reshape(1, 6, 1)
    sums = jaxpool.sum_pool(x, 2)
    assert sums.dtype == ("int32" if dtype == "bool" else dtype)
    expected = np.array([1, 2, 2 if dtype == "bool" else 254]).astype(sums.dtype)
    np.testing.assert_array_equal(sums[0, :, 0], expected)
    averages = jaxpool.avg_pool(x, 2)
    assert averages.dtype == jnp.float32
    last = 1.0 if dtype == "bool" else 127.0
    np.testing.assert_array_equal(averages[0, :, 0], np.float32([0.5, 1.0, last]))


def test_divisor_override_of_any_size():
    x = jnp.full((1, 2, 1), 3e12)
    assert jaxpool.avg_pool(x, 2, divisor_override=10**12).item() == pytest.approx(6)
    assert jaxpool.avg_pool(x, 2, divisor_override=np.float32(-1e12)).item() == pytest.approx(-6)


def test_integers_are_added_up_in_the_dtype_asked_for():
    """Integers are not rounded to float32 before the sum, although the mean is float32."""
    with jax.enable_x64(True):
        x = jnp.array([2**24 + 1, -(2**24)]).reshape(1, 2, 1)
        assert jaxpool.avg_pool(x, 2, accumulate_dtype=np.float64).tolist() == [[[0.5]]]


def test_windows_of_tens_of_thousands_of_taps():
    """Sums of ones are exact up to 30,000, forward and backward."""
    x = jnp.ones((1, 40_000, 1))
    y, pull = jax.vjp(lambda x: jaxpool.sum_pool(x, 30_000, strides=1), x)
    np.testing.assert_array_equal(y, np.full((1, 10_001, 1), 30_000))
    counts = np.minimum(np.minimum(np.arange(1, 40_001), np.arange(40_000, 0, -1)), 10_001)
    np.testing.assert_array_equal(pull(jnp.ones_like(y))[0][0, :, 0], counts)
    gradient = jax.grad(lambda x: jaxpool.global_max_pool(x).sum())(x)
    np.testing.assert_array_equal(gradient[0, :, 0], np.eye(1, 40_000)[0])


def test_the_gradient_of_a_wide_window_with_strides():
    """Zeros are put between the cotangents, which are then summed in a chain of small windows."""
    cotangent = np.arange(118, dtype=np.float32)
    expected = np.zeros(299, np.float32)
    for output, value in enumerate(cotangent):
        expected[2 * output : 2 * output + 65] += value
    x = np.ones((1, 299, 1), np.float32)
    _, pull_back = jax.vjp(lambda x: jaxpool.sum_pool(x, 65, strides=2)[0, :, 0], x)
    np.testing.assert_array_equal(jax.jit(pull_back)(cotangent)[0][0, :, 0], expected)
