import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry, oracle, quick
from tests.geometry import examples

IDENTITY = {"max": -np.inf, "min": np.inf}


@examples(14)
@given(
    geometry.poolings(),
    st.sampled_from(["float32", "float16", "bfloat16"]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_against_the_oracle(pooling, dtype, masked, seed):
    rng = np.random.default_rng(seed)
    x = geometry.awkward(rng, pooling.shape)
    where = rng.random(pooling.shape) < 0.5 if masked else None

    @quick.jit
    def both(x):
        return {
            "max": pooling.apply(jaxpool.max_pool, x, where=where),
            "min": pooling.apply(jaxpool.min_pool, x, where=where),
        }

    for name, value in both(jnp.asarray(x, dtype)).items():
        assert value.dtype == dtype
        choose = oracle.extreme(oracle.BETTER[name], IDENTITY[name])
        # In float64, because NumPy does not compare NaN of bfloat16.
        np.testing.assert_array_equal(np.float64(value), pooling.judge(x, choose, where))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "bool"])
def test_integers_and_bools_keep_their_dtype(dtype):
    """The extremes of the dtype are ordinary elements, unlike padding and masked elements."""
    dtype = np.dtype(dtype)
    low, high = (False, True) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x = np.array([low, low, high, high, low, high], dtype).reshape(1, 6, 1)
    where = np.array([1, 1, 0, 0, 0, 0], bool).reshape(1, 6, 1)
    for function, padded, masked in [
        (jaxpool.max_pool, [low, high, high, high], [low, low]),
        (jaxpool.min_pool, [low, low, low, high], [low, high]),
    ]:
        y = function(x, 2, padding=1)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y[0, :, 0], padded)
        np.testing.assert_array_equal(function(x, 3, where=where)[0, :, 0], masked)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "int4"])
def test_dtypes_without_infinity_or_of_few_bits(dtype):
    x = jnp.array([-1.0, 1.0, 0.0, -1.0]).reshape(1, 4, 1).astype(dtype)
    y = jaxpool.max_pool(x, 3, strides=1, padding=1)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y[0, :, 0].astype(jnp.float32), [1, 1, 1, 0])
    y = jaxpool.min_pool(x, 3, strides=1, padding=1)
    np.testing.assert_array_equal(y[0, :, 0].astype(jnp.float32), [-1, -1, -1, -1])


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (2, 1, 3)])
def test_any_batch_axes(batch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(*batch, 6, 5, 2)).astype(np.float32)
    expected = x.reshape(-1, 3, 2, 5, 2)[:, :, :, :4].reshape(-1, 3, 2, 2, 2, 2).max((2, 4))
    y = jaxpool.max_pool(x, (2, 2))
    np.testing.assert_array_equal(y, expected.reshape(*batch, 3, 2, 2))


def test_channels_first():
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 5)).astype(np.float32)
    last = jaxpool.max_pool(np.moveaxis(x, 1, -1), (3, 2), strides=1)
    first = jaxpool.max_pool(x, (3, 2), strides=1, axes=(2, 3))
    np.testing.assert_array_equal(first, np.moveaxis(last, -1, 1))
    swapped = jaxpool.max_pool(x, (2, 3), strides=1, axes=(-1, -2))
    np.testing.assert_array_equal(swapped, first)


@pytest.mark.parametrize("shape", [(1, 6, 1), (6, 1), (4, 1, 1), (1, 1, 3), (4, 6, 3), ()])
def test_a_mask_broadcasts(shape):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 6, 3)).astype(np.float32)
    where = rng.random(shape) < 0.5
    full = np.broadcast_to(where, x.shape).copy()
    expected = np.where(full, x, -np.inf).reshape(4, 2, 3, 3).max(2)
    np.testing.assert_array_equal(jaxpool.max_pool(x, 3, where=where), expected)
    np.testing.assert_array_equal(jaxpool.max_pool(x, 3, where=full.tolist()), expected)


def test_an_empty_batch():
    assert jaxpool.max_pool(jnp.zeros((0, 6, 6, 3)), 2).shape == (0, 3, 3, 3)
    assert jaxpool.avg_pool(jnp.zeros((2, 6, 6, 0)), 2).shape == (2, 3, 3, 0)


@pytest.mark.parametrize(
    ("size", "channels", "window", "pads"),
    [(200, 2, 70, (5, 5)), (16, 24, 2, (0, 0))],
    ids=["reduced tiles that padding completes", "rows that LLVM would unroll"],
)
def test_gradients_of_tiles(size, channels, window, pads):
    x = -1 - np.random.default_rng(0).random((1, size, channels), np.float32)

    def plain(x):
        padded = jnp.pad(x, ((0, 0), pads, (0, 0)), constant_values=-jnp.inf)
        return padded.reshape(1, -1, window, channels).max(2)

    def pooled(x):
        return jaxpool.max_pool(x, window, padding=(pads,))

    def gradient(function):
        return jax.jit(jax.grad(lambda x: jnp.sin(function(x)).sum()))(x)

    np.testing.assert_allclose(gradient(pooled), gradient(plain), rtol=1e-6)
