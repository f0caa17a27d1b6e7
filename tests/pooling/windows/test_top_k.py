import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry, quick
from tests.geometry import examples


def largest(k, reduce):
    """The definition by sorting; NaN counts as the largest."""

    def function(elements, indices, count):
        if any(e != e for e in elements):
            return np.nan
        taken = sorted(map(float, elements), reverse=True)[:k]
        total = sum(taken)
        return total / len(taken) if taken and reduce == "mean" else total

    return function


@examples(15)
@given(
    geometry.poolings(),
    st.sampled_from(["float32", "float16", "bfloat16"]),
    st.sampled_from(jaxpool.pooling.windows.top_k.REDUCTIONS),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_against_the_oracle(pooling, dtype, reduce, masked, seed):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, np.prod(pooling.window) + 1))
    x = jnp.asarray(geometry.awkward(rng, pooling.shape)).astype(dtype)
    where = rng.random(pooling.shape) < 0.6 if masked else None

    def pool(x):
        return pooling.apply(jaxpool.top_k_pool, x, k=k, reduce=reduce, where=where)

    y = quick.jit(pool)(x)
    assert y.dtype == dtype
    expected = pooling.judge(np.asarray(x, np.float32), largest(k, reduce), where)
    rounding = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(y.astype(np.float32), expected, rtol=rounding, atol=rounding)


def first_taken(x, k, window, strides):
    """One row per window of a sequence: 1 at the k largest elements, the first ones of ties."""
    rows = []
    for start in range(0, len(x) - window + 1, strides):
        order = sorted(
            range(start, start + window), key=lambda i: (-np.nan_to_num(x[i], nan=np.inf), i)
        )
        rows.append(np.isin(np.arange(len(x)), order[:k]))
    return np.array(rows, np.float32)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("differentiate", [jax.jacfwd, jax.jacrev])
def test_the_derivative_goes_to_the_first_of_equal_elements(k, differentiate):
    values = [2.0, 5, 2, 2, 1, 7, 7, 7, -0.0, 0.0, np.nan, np.nan]
    x = jnp.array(values).reshape(1, 12, 1)

    def pool(x, reduce):
        return jaxpool.top_k_pool(x, 4, k, strides=2, reduce=reduce)[0, :, 0]

    expected = first_taken(values, k, 4, 2)
    total, mean = (differentiate(lambda x, r=r: pool(x, r))(x)[:, 0, :, 0] for r in ("sum", "mean"))
    np.testing.assert_array_equal(total, expected)
    np.testing.assert_array_equal(mean, expected / k)


def test_one_is_the_maximum_and_all_is_the_average():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype(np.float32))
    where = x > -1
    geometry = {"strides": 2, "padding": 1, "where": where}
    largest = jaxpool.top_k_pool(x, 3, 1, **geometry)
    np.testing.assert_array_equal(largest, jaxpool.max_pool(x, 3, **geometry))
    mean = jaxpool.top_k_pool(x, 3, 9, **geometry)
    average = jaxpool.avg_pool(x, 3, count_include_pad=False, **geometry)
    np.testing.assert_allclose(mean, average, rtol=1e-5, atol=1e-6)


def test_windows_of_many_taps():
    """Loops over taps and elements instead of unrolling, in every mode of differentiation."""
    x = np.random.default_rng(0).normal(size=(1, 120, 2)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, 60, axis=1)[:, ::20]
    expected = np.sort(windows, -1)[..., -12:].mean(-1)

    def total(x):
        return jaxpool.top_k_pool(x, 60, 12, strides=20).sum()

    @quick.jit
    def every(x):
        mapped = jax.vmap(jax.grad(total))(x[None])[0]
        return *jax.value_and_grad(total)(x), jax.jacfwd(total)(x), mapped, jax.hessian(total)(x)

    y, gradient, forward, mapped, second = every(x)
    np.testing.assert_array_equal(forward, gradient)
    np.testing.assert_array_equal(mapped, gradient)
    assert not second.any()
    np.testing.assert_allclose(y, expected.sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient.sum(), expected.size, rtol=1e-5)
    taken = np.isin(x, np.sort(windows, -1)[..., -12:])
    np.testing.assert_array_equal(gradient > 0, taken)


def test_half_precision_is_summed_in_float32():
    x = jnp.full((1, 25, 1), 1.01, jnp.bfloat16)
    expected = jnp.float32(25 * float(x[0, 0, 0])).astype(jnp.bfloat16)
    assert jaxpool.top_k_pool(x, 25, 25, reduce="sum").item() == expected
    assert functools.reduce(jnp.add, [x[0, 0, 0]] * 25) != expected  # summed in bfloat16


@pytest.mark.parametrize("k", [0, -1, 4, 2.0, True, "2", None, (1,)])
def test_a_number_of_elements_that_makes_no_sense(k):
    kind = ValueError if type(k) is int else TypeError
    with pytest.raises(kind, match=r"k must be .*got"):
        jaxpool.top_k_pool(jnp.zeros((1, 6, 1)), 3, k)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="x must be of a floating dtype, got int32"):
        jaxpool.top_k_pool(jnp.zeros((1, 6, 1), np.int32), 3, 2)
