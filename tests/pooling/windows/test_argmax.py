import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from jaxpool.axis import Axis
from jaxpool.engine.lower import masked
from jaxpool.window import Window
from tests import geometry, oracle, quick
from tests.geometry import examples


@examples(12)
@given(geometry.poolings(), st.booleans(), st.integers(0, 2**31))
def test_against_the_oracle(pooling, masked, seed):
    rng = np.random.default_rng(seed)
    x = geometry.awkward(rng, pooling.shape)
    where = rng.random(pooling.shape) < 0.5 if masked else None

    @quick.jit
    def both(x):
        found = pooling.apply(jaxpool.max_pool_with_argmax, x, where=where)
        return found, pooling.apply(jaxpool.max_pool, x, where=where)

    (values, indices), largest = both(x)
    assert indices.dtype == jnp.int32
    better = oracle.BETTER["max"]
    np.testing.assert_array_equal(indices, pooling.judge(x, oracle.where_extreme(better), where))
    np.testing.assert_array_equal(values, largest)


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
    assert (values.item(), indices.item()) == (7, 3)  # row-major in the plane


HUGE = {
    "max_pool_with_argmax": (lambda x: jaxpool.max_pool_with_argmax(x, 2), (1, 2**16, 2**16, 1)),
    "several steps": (lambda x: jaxpool.max_pool_with_argmax(x, 9), (1, 2**16, 2**16, 1)),
    "adaptive_max_pool_with_argmax": (
        lambda x: jaxpool.adaptive_max_pool_with_argmax(x, 7),
        (1, 2**16, 2**15, 1),
    ),
}


@pytest.mark.parametrize("case", HUGE)
def test_places_beyond_int32(case):
    function, shape = HUGE[case]
    x = jax.ShapeDtypeStruct(shape, jnp.int8)
    with pytest.raises(ValueError, match=r"x must have at most 2147483647 elements in a plane"):
        jax.eval_shape(function, x)
    with jax.enable_x64(True):
        assert jax.eval_shape(function, x)[1].dtype == jnp.int64


@pytest.mark.parametrize("window", [2, 3, (9, 8)])
def test_places_of_int64_are_those_of_int32(window, monkeypatch):
    x = jnp.asarray(geometry.awkward(np.random.default_rng(5), (2, 20, 18, 2)))

    def pools():
        values, indices = jaxpool.max_pool_with_argmax(x, window, strides=2)
        back = jaxpool.max_unpool(values, indices, (20, 18))
        return indices, jaxpool.adaptive_max_pool_with_argmax(x, (7, 19))[1], back

    narrow = pools()
    jax.clear_caches()
    monkeypatch.setattr("jaxpool.engine.rules.winner.MOST_PLACES", 300)
    with jax.enable_x64(True):
        wide = pools()
    assert [array.dtype for array in wide[:2]] == [jnp.int64] * 2
    for ours, other in zip(wide, narrow, strict=True):
        np.testing.assert_array_equal(ours, other)


def test_windows_of_more_taps_than_an_index_can_count():
    window = Window((-2,), (Axis(2**33, 2**32, 2**32),))
    with pytest.raises(ValueError, match="fewer than"):
        masked.index_dtype(window)
