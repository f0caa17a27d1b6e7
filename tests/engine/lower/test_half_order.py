"""Order-preserving integers of all 65,536 16-bit floats: order, and conversion back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from jaxpool.engine.lower import half_order
from jaxpool.monoid import MAX, MIN

HALVES = [jnp.float16, jnp.bfloat16]


def every_float(dtype):
    """All bit patterns, and their values."""
    bits = np.arange(2**16, dtype=np.uint16).view(np.int16)
    with np.errstate(invalid="ignore"):
        return bits, bits.view(dtype).astype(np.float32)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("monoid", [MAX, MIN])
def test_order_preserving_integers_sort_like_floats_and_convert_back(dtype, monoid):
    bits, floats = every_float(dtype)
    dtype = np.dtype(dtype)
    found = np.asarray(half_order.to_keys(jnp.asarray(bits), dtype, monoid))
    number = ~np.isnan(floats)
    ordered = floats[number][np.argsort(found[number])]
    assert (np.diff(ordered[np.isfinite(ordered)]) >= 0).all()
    assert ordered[0] == -np.inf
    assert ordered[-1] == np.inf
    assert len(np.unique(found[number])) == number.sum()
    if monoid is MAX:
        assert found[~number].min() > found[number].max()
    else:
        assert found[~number].max() < found[number].min()
    again = np.asarray(half_order.from_keys(jnp.asarray(found), dtype))
    np.testing.assert_array_equal(again[number].view(np.int16), bits[number])
    assert np.isnan(again[~number].astype(np.float32)).all()


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("monoid", [MAX, MIN])
def test_order_preserving_integers_are_equal_where_the_floats_are(dtype, monoid):
    bits, floats = every_float(dtype)
    dtype = np.dtype(dtype)
    found = half_order.comparable(
        half_order.to_keys(jnp.asarray(bits), dtype, monoid), dtype, monoid
    )
    found, number = np.asarray(found), ~np.isnan(floats)
    assert len(np.unique(found[~number])) == 1
    assert found[floats == 0].tolist() == [0, 0]
    assert len(np.unique(found)) == len(np.unique(floats[number])) + 1


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("pool", [jaxpool.max_pool, jaxpool.min_pool])
@pytest.mark.parametrize("window", [2, 3, 9, 16])
def test_subnormal_numbers_and_nan_are_kept(dtype, pool, window):
    """XLA:CPU flushes float32 subnormals, and so those of bfloat16, to zero."""
    bits, floats = every_float(dtype)
    subnormal = (np.abs(floats) < float(jnp.finfo(dtype).tiny)) & (floats != 0)
    sparse_nan = np.where(np.arange(2**16) % 5 == 0, bits, bits[3])
    for chosen in (bits[subnormal], sparse_nan):
        x = chosen[: len(chosen) // window * window].view(dtype).reshape(1, -1, 1)
        got = np.asarray(jax.jit(lambda x: pool(x, window))(jnp.asarray(x)))
        with np.errstate(invalid="ignore"):
            pick = np.max if pool is jaxpool.max_pool else np.min
            expected = pick(x.astype(np.float32).reshape(1, -1, window, 1), axis=2)
            np.testing.assert_array_equal(got.astype(np.float32), expected)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("pool", [jaxpool.max_pool, jaxpool.min_pool])
@pytest.mark.parametrize("window", [2, 3])
def test_the_first_of_equals_wins(dtype, pool, window):
    bits, floats = every_float(dtype)
    nan = bits[np.isnan(floats)].view(dtype)
    zeros = np.array([-0.0, 0.0, 0.0, -0.0], dtype)
    for ties in (nan[:4], nan[-4:], nan[[0, -1, 5, -5]], nan[[-1, 0, -5, 5]], zeros):
        x = jnp.asarray(np.tile(ties, 3).reshape(1, 12, 1))
        gradient = jax.grad(lambda x: pool(x, window, padding=window - 2).astype("float32").sum())
        winners = {2: [0, 2, 4, 6, 8, 10], 3: [0, 2, 5, 8]}[window]
        first = np.isin(np.arange(12), winners)
        np.testing.assert_array_equal(np.asarray(gradient(x))[0, :, 0].astype(np.float32), first)
