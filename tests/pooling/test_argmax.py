import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry, oracle
from tests.geometry import examples


@examples(12)
@given(geometry.poolings(), st.booleans(), st.integers(0, 2**31))
def test_against_the_oracle(pooling, masked, seed):
    rng = np.random.default_rng(seed)
    x = geometry.awkward(rng, pooling.shape)
    where = rng.random(pooling.shape) < 0.5 if masked else None
    values, indices = pooling.apply(jaxpool.max_pool_with_argmax, x, where=where)
    assert indices.dtype == jnp.int32
    better = oracle.BETTER["max"]
    np.testing.assert_array_equal(indices, pooling.judge(x, oracle.where_extreme(better), where))
    np.testing.assert_array_equal(values, pooling.apply(jaxpool.max_pool, x, where=where))


@pytest.mark.parametrize("size", [20, 130])  # fewer and more than 8,192 elements
def test_the_first_nan_has_the_index(size):
    x = np.zeros((1, size, size, 1), np.float32)
    x[0, 3, 2] = x[0, 3, 3] = np.nan
    x[0, 2, 2] = np.inf
    values, indices = jaxpool.max_pool_with_argmax(x, 4)
    assert np.isnan(values[0, 0, 0, 0])
    assert indices[0, 0, 0, 0] == 3 * size + 2


def test_the_derivative_follows_the_index():
    x = geometry.awkward(np.random.default_rng(0), (2, 6, 7, 3))
    values, pull = jax.vjp(lambda x: jaxpool.max_pool_with_argmax(x, 3, strides=2)[0], x)
    _, indices = jaxpool.max_pool_with_argmax(x, 3, strides=2)
    cotangent = np.arange(values.size, dtype=np.float32).reshape(values.shape)
    expected = np.zeros((2, 3, 42), np.float32)
    for (image, y, column, channel), amount in np.ndenumerate(cotangent):
        expected[image, channel, indices[image, y, column, channel]] += amount
    expected = np.moveaxis(expected.reshape(2, 3, 6, 7), 1, -1)
    np.testing.assert_array_equal(pull(cotangent)[0], expected)


def test_values_and_indices_of_pytorch():
    torch = pytest.importorskip("torch")
    x = geometry.ties(np.random.default_rng(1), (2, 9, 8, 3))
    options = {"padding": 1, "dilation": 2, "ceil_mode": True}
    values, indices = jaxpool.max_pool_with_argmax(x, 3, strides=2, **options)
    expected = torch.nn.functional.max_pool2d(
        torch.from_numpy(np.moveaxis(x, -1, 1).copy()), 3, 2, return_indices=True, **options
    )
    for ours, theirs in zip((values, indices), expected, strict=True):
        np.testing.assert_array_equal(np.moveaxis(ours, -1, 1), theirs)


def test_integers_and_the_order_of_axes():
    x = np.array([[3, 1], [3, 7], [-5, 7]], np.int8)
    values, indices = jaxpool.max_pool_with_argmax(x, (2, 3), axes=(1, 0))
    assert values.dtype == np.int8
    assert (values.item(), indices.item()) == (7, 3)  # row by row in the plane as it lies
