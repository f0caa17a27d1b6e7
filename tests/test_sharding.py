"""Programs that XLA partitions: the result of one device, and no exchange beyond halos."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxpool
from experiments.bench.contenders import Operands
from experiments.bench.sharding.program import divide

SHAPE = (8, 40, 40, 8)

OPERATORS = {
    "max, stride 1": lambda x: jaxpool.max_pool(x, 3, strides=1, padding="SAME"),
    "max, stride 2": lambda x: jaxpool.max_pool(x, 3, strides=2, padding=1),
    "max, tiles": lambda x: jaxpool.max_pool(x, 2),
    "max, wider than a shard": lambda x: jaxpool.max_pool(x, 17, strides=1, padding="SAME"),
    "max, dilated": lambda x: jaxpool.max_pool(x, 3, strides=1, dilation=2),
    "mean, stride 1": lambda x: jaxpool.avg_pool(x, 3, strides=1, padding="SAME"),
    "mean, uneven": lambda x: jaxpool.avg_pool(x, 4, strides=3, padding=1, ceil_mode=True),
    "global max": jaxpool.global_max_pool,
    "global mean": jaxpool.global_avg_pool,
    "adaptive max": lambda x: jaxpool.adaptive_max_pool(x, 7),
    "adaptive mean": lambda x: jaxpool.adaptive_avg_pool(x, 7),
    "pyramid": lambda x: jaxpool.spatial_pyramid_pool(x, (1, 2, 3)),
    "blur": jaxpool.blur_pool,
    "soft": lambda x: jaxpool.soft_pool(x, 3, strides=2, padding=1),
    "norm": lambda x: jaxpool.lp_pool(x, 3, strides=2),
    "median": lambda x: jaxpool.median_pool(x, 3, strides=2),
    "top k": lambda x: jaxpool.top_k_pool(x, 3, 2, strides=2),
}

SPECS = {
    "height": P(None, "b"),
    "height and width": P(None, "a", "b"),
    "batch and height": P("a", "b"),
    "batch and channels": P("a", None, None, "b"),
}


@pytest.mark.usefixtures("compile_quickly")
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", OPERATORS)
def test_only_halos_are_exchanged(name, spec):
    function = OPERATORS[name]
    mesh = jax.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    sharding = NamedSharding(mesh, SPECS[spec])
    x = jnp.asarray(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32))
    x = x.at[3, 5, 7].set(np.nan).at[4, 39, 39].set(-np.inf)

    def value_and_gradient(x):
        y, pull_back = jax.vjp(function, x)
        return y, pull_back(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))[0]

    program = jax.jit(value_and_gradient, in_shardings=sharding, out_shardings=(None, sharding))
    compiled = program.lower(x).compile()
    # A local shape has the whole height and width only if these axes were gathered.
    gathered = re.findall(r"= f32\[(\d+),40,40,\d+\]\S* all-gather", compiled.as_text())
    assert not gathered
    result = compiled(jax.device_put(x, sharding))
    for ours, expected in zip(result, jax.jit(value_and_gradient)(x), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def _slid(operator, identity):
    """lax's own windows of 3x3 at every place."""
    window, padding = (1, 3, 3, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    return lambda x: jax.lax.reduce_window(x, identity, operator, window, (1, 1, 1, 1), padding)


# The most bytes relative to lax, forward and with the gradient. A global maximum exchanges one
# byte more, whether it is NaN; with the gradient also the place of the winner.
AGAINST_LAX = {
    "max, stride 1": (OPERATORS["max, stride 1"], _slid(jax.lax.max, -np.inf), 1.0, 1.2),
    "mean, stride 1": (OPERATORS["mean, stride 1"], _slid(jax.lax.add, 0.0), 1.0, 1.0),
    "global max": (jaxpool.global_max_pool, lambda x: x.max((1, 2)), 1.25, 1.5),
    "global min": (jaxpool.global_min_pool, lambda x: x.min((1, 2)), 1.25, 1.5),
}


def figures(function, operands, axis):
    return divide(function, operands, axis, 8).figures(8)


@pytest.mark.usefixtures("compile_quickly")
@pytest.mark.parametrize("mode", ["forward", "gradient"])
@pytest.mark.parametrize("axis", [1, 2], ids=["height", "width"])
@pytest.mark.parametrize("name", AGAINST_LAX)
def test_few_more_bytes_are_exchanged_than_by_lax(name, axis, mode):
    ours, of_lax, forward, gradient = AGAINST_LAX[name]
    x = np.broadcast_to(np.float32(0), SHAPE)
    y = np.broadcast_to(np.float32(0), jax.eval_shape(ours, x).shape)
    received = [
        sum(figures(f, Operands(mode, x, y, x, others=()), axis)["received_bytes"].values())
        for f in (ours, of_lax)
    ]
    assert 0 < received[0] <= received[1] * {"forward": forward, "gradient": gradient}[mode]


def _pooled_with_places(x):
    y, places = jaxpool.adaptive_max_pool_with_argmax(x, 7)
    return y + places


def _unpooled(x):
    return jaxpool.max_unpool(*jaxpool.max_pool_with_argmax(x, 3, strides=2), 24)


@pytest.mark.usefixtures("compile_quickly")
@pytest.mark.parametrize("axis", [0, 3], ids=["batch", "channels"])
@pytest.mark.parametrize("function", [_pooled_with_places, _unpooled])
def test_computed_places_need_no_exchange_of_images_or_channels(function, axis):
    x = np.broadcast_to(np.float32(0), (8, 24, 24, 8))
    y = np.broadcast_to(np.float32(0), jax.eval_shape(function, x).shape)
    operands = Operands("gradient", x, y, x, others=())
    assert figures(function, operands, axis)["counts"] == {}


@pytest.mark.usefixtures("compile_quickly")
@pytest.mark.parametrize("reduction", [jaxpool.global_max_pool, jaxpool.global_min_pool])
def test_a_nan_of_a_large_divided_plane_is_kept(reduction):
    """XLA:CPU's own reductions of large arrays lose NaN, and so may an all-reduce."""
    x = np.random.default_rng(0).normal(size=(2, 64, 256, 4)).astype(np.float32)
    x[0, 11, 200, 1] = np.nan
    x[1, :, :, 2] = -np.inf
    mesh = jax.make_mesh((8,), ("a",), axis_types=(AxisType.Auto,))
    expected = jax.jit(reduction)(x)
    for spec in (P(None, "a"), P(None, None, "a")):
        divided = jax.device_put(x, NamedSharding(mesh, spec))
        np.testing.assert_array_equal(jax.jit(reduction)(divided), expected)
    assert np.isnan(expected).sum() == 1


@pytest.mark.usefixtures("compile_quickly")
def test_indices_and_gradients_of_maxima_are_those_of_one_device():
    """Ties, NaN, infinities and windows of padding only: the winners are the same."""
    x = np.random.default_rng(0).integers(-2, 3, (2, 16, 16, 3)).astype(np.float32)
    x[0, 5, 7, 1], x[1, 3, 3], x[1, :, :, 2] = np.nan, np.inf, -np.inf

    def function(x):
        y, pull_back, places = jax.vjp(
            lambda x: jaxpool.max_pool_with_argmax(x, 3, strides=2, padding=((1, 4), (3, 1))),
            x,
            has_aux=True,
        )
        _, tangent = jax.jvp(lambda x: jaxpool.max_pool(x, 3, strides=1), (x,), (jnp.cos(x),))
        unpooled = jaxpool.max_unpool(y, places, 16)
        return y, places, pull_back(jnp.ones_like(y)), tangent, unpooled

    mesh = jax.make_mesh((8,), ("a",), axis_types=(AxisType.Auto,))
    expected = jax.jit(function)(x)
    for spec in (P(None, "a"), P(None, None, "a")):
        found = jax.jit(function)(jax.device_put(x, NamedSharding(mesh, spec)))
        for ours, one in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, one)
    assert (expected[1] == -1).any()


def test_a_slice_of_one_element_is_lowered_without_a_stride():
    """XLA partitions a strided slice of one element wrongly: it returns another element."""
    x = jax.ShapeDtypeStruct((1, 64, 4), np.float32)
    text = jax.jit(jaxpool.global_max_pool).trace(x).lower(lowering_platforms=("cuda",)).as_text()
    single = re.findall(r"stablehlo.slice .*\[(.*)\] .*-> tensor<1x1x4xf32>", text)
    assert single
    assert not any(re.search(r":\d+:\d+", part) for part in single)


@pytest.mark.usefixtures("compile_quickly")
def test_a_divided_plane_of_integers():
    x = np.random.default_rng(0).integers(-99, 99, (2, 16, 8, 3)).astype(np.int32)
    mesh = jax.make_mesh((8,), ("a",), axis_types=(AxisType.Auto,))
    divided = jax.device_put(x, NamedSharding(mesh, P(None, "a")))
    np.testing.assert_array_equal(jax.jit(jaxpool.global_max_pool)(divided), x.max((1, 2)))


def test_axes_that_are_kept_with_size_1_are_not_divided():
    mesh = jax.make_mesh((8,), ("a",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(np.zeros((8, 8, 4, 2), np.float32), P("a"))
        y = jaxpool.global_max_pool(x, keepdims=True)
    assert y.shape == (8, 1, 1, 2)
    assert jax.typeof(y).sharding.spec == P("a", None, None, None)
