"""All methods give the same value, index and derivative, bit for bit."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxpool import engine
from jaxpool.engine.plan import planner
from jaxpool.monoid import MAX, MIN, SUM
from jaxpool.window import Window
from tests import geometry, oracle
from tests.geometry import Pooling, examples


@functools.partial(jax.jit, static_argnames=("monoid", "window"))
def by_every_method(x, where, cotangent, monoid, window):
    """Value, index and cotangent of the input, per method with a distinct plan."""
    plans = {planner.steps(window, method): method for method in planner.METHODS}
    results = {}
    for method in plans.values():
        value, pull = jax.vjp(
            lambda x, method=method: engine.reduce(x, monoid, window, where=where, method=method), x
        )
        again, index = engine.arg_reduce(x, monoid, window, where=where, method=method)
        results[method] = (value, again, index, *pull(cotangent))
    return results


def check(pooling, monoid, x, where, rng):
    """Compares all methods with the oracle; integer cotangents make sums exact."""
    better = oracle.BETTER[monoid.name]
    identity = monoid.identity(x.dtype)
    value = pooling.judge(x, oracle.extreme(better, identity), where)
    index = pooling.judge(x, oracle.where_extreme(better), where).astype(np.int64)
    cotangent = rng.integers(-9, 10, value.shape).astype(np.float32)
    pulled = scatter(cotangent, index, pooling)
    results = by_every_method(x, where, cotangent, monoid, pooling.resolved())
    for method, (*values, indices, cotangents) in results.items():
        for given_value in values:
            np.testing.assert_array_equal(given_value, value.astype(x.dtype), method)
            assert given_value.dtype == x.dtype
        assert indices.dtype == np.int32
        np.testing.assert_array_equal(indices, index, method)
        np.testing.assert_array_equal(cotangents, pulled, method)


def scatter(cotangent, index, pooling):
    """The transposed Jacobian of a maximum, computed from its winners."""
    d = len(pooling.axes)
    last = range(-d, 0)
    cotangent, index = (np.moveaxis(a, pooling.axes, last) for a in (cotangent, index))
    plane = tuple(pooling.shape[axis] for axis in pooling.axes)
    result = np.zeros((*cotangent.shape[:-d], int(np.prod(plane))), np.float32)
    for at in np.ndindex(index.shape):
        if index[at] >= 0:
            result[(*at[:-d], index[at])] += cotangent[at]
    return np.moveaxis(result.reshape(cotangent.shape[:-d] + plane), last, pooling.axes)


@examples(12)
@given(
    geometry.poolings(),
    st.sampled_from([MAX, MIN]),
    st.sampled_from([geometry.ties, geometry.awkward, geometry.distinct]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_methods_agree_on_random_geometries(pooling, monoid, build, masked, seed):
    rng = np.random.default_rng(seed)
    x = build(rng, pooling.shape)
    check(pooling, monoid, x, rng.random(pooling.shape) < 0.6 if masked else None, rng)


NAMED = {
    "padding wider than the window": Pooling((2, 3, 1), (1,), (2,), (1,), ((4, 5),), (1,)),
    "padding wider than the image": Pooling((1, 2, 1), (1,), (5,), (1,), ((0, 7),), (1,)),
    "dilation wider than the image": Pooling((1, 3, 2), (1,), (3,), (1,), ((5, 5),), (4,)),
    "a tiling with gaps": Pooling((2, 17, 9, 1), (1, 2), (3, 3), (5, 3), ((2, 1), (0, 0)), (1, 1)),
    "a tiling that begins in the padding": Pooling((1, 5, 1), (1,), (9,), (12,), ((40, 0),), (1,)),
    "one tap, wide gaps": Pooling((2, 9, 2), (1,), (1,), (4,), ((1, 3),), (1,)),
    "wide": Pooling((2, 30, 1), (1,), (9,), (1,), ((4, 4),), (1,)),
    "wide, strided, dilated": Pooling((1, 40, 2), (1,), (8,), (3,), ((9, 4),), (2,)),
    "wide on both axes": Pooling((1, 7, 6, 1), (1, 2), (4, 3), (1, 1), ((2, 2), (1, 2)), (1, 1)),
    "hanging over": Pooling((1, 20, 1), (1,), (8,), (3,), ((3, 2),), (1,), True),
    "as wide as the map": Pooling((2, 3, 4, 2), (1, 2), (3, 4), (3, 4), ((0, 0),) * 2, (1, 1)),
    "more taps than a byte counts": Pooling((2, 300, 1), (1,), (280,), (300,), ((0, 0),), (1,)),
    "no window": Pooling((2, 3, 4, 1), (1, 2), (4, 2), (1, 1), ((0, 0),) * 2, (1, 1)),
    "no element": Pooling((2, 0, 1), (1,), (2,), (1,), ((1, 2),), (1,)),
}


@pytest.mark.parametrize("name", NAMED)
def test_methods_agree_on_chosen_geometries(name):
    rng = np.random.default_rng(len(name))
    pooling = NAMED[name]
    check(pooling, MAX, geometry.awkward(rng, pooling.shape), None, rng)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int8, bool, np.float16, "bfloat16"])
@pytest.mark.parametrize("monoid", [MAX, MIN], ids=["max", "min"])
def test_methods_agree_for_every_dtype(dtype, monoid):
    """The extreme values of a dtype equal the identities, but elements still win over padding."""
    rng = np.random.default_rng(1)
    pooling = Pooling((2, 11, 2), (1,), (3,), (2,), ((4, 1),), (1,), True)
    dtype = jax.numpy.dtype(dtype)
    identities = [MAX.identity(dtype), MIN.identity(dtype)]
    x = rng.choice(np.array([*identities, 0, 1]).astype(dtype), pooling.shape)
    better = oracle.BETTER[monoid.name]
    value = pooling.judge(x, oracle.extreme(better, monoid.identity(dtype))).astype(dtype)
    index = pooling.judge(x, oracle.where_extreme(better))
    for method in planner.METHODS:
        values, indices = engine.arg_reduce(x, monoid, pooling.resolved(), method=method)
        assert values.dtype == dtype
        np.testing.assert_array_equal(values, value)
        np.testing.assert_array_equal(indices, index)


@pytest.mark.parametrize("monoid", [MAX, SUM], ids=lambda monoid: monoid.name)
def test_an_unknown_method_is_refused(monoid):
    x = np.ones((1, 4, 1), np.float32)
    with pytest.raises(ValueError, match=r"method must be one of .*'auto'.* got 'fast'"):
        engine.reduce(x, monoid, Window.resolve(x.shape, 2), method="fast")
