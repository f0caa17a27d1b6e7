"""Bugs of other poolings, one test per bug, and the result of jaxpool.

XLA's CPU backend uses another reduction from about 8,192 elements on, so there are arrays of both
sizes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from jaxpool.window import Window

SHAPES = {"small": (1, 24, 24, 2), "large": (2, 96, 96, 3)}  # 1,152 and 55,296 elements
SAME = {"window_shape": 3, "strides": 2, "padding": "SAME"}
CASES = {
    "2x2": (jaxpool.max_pool, jaxpool.sum_pool, {"window_shape": 2}),
    "4x4": (jaxpool.max_pool, jaxpool.sum_pool, {"window_shape": 4}),
    "3x3 overlapping": (jaxpool.max_pool, jaxpool.sum_pool, SAME),
    "3x3 min": (jaxpool.min_pool, jaxpool.sum_pool, SAME),
    "9x9": (jaxpool.max_pool, jaxpool.sum_pool, {**SAME, "window_shape": 9, "strides": 1}),
    "global": (jaxpool.global_max_pool, jaxpool.global_sum_pool, {}),
    "global min": (jaxpool.global_min_pool, jaxpool.global_sum_pool, {}),
}


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


def first_elements(size):
    """The first element inside the image of each window of `SAME`, along a row."""
    axis = Window.resolve((1, size, 1), **SAME).axes[0]
    return np.maximum(np.arange(axis.output) * axis.stride - axis.low, 0)


@pytest.mark.parametrize("case", CASES)
def test_max_pooling_hides_nan_on_large_arrays(case, shape):
    """`lax.reduce_window`, and so Flax, on CPU. jaxpool returns NaN, with its derivative."""
    pool, count, options = CASES[case]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x[0, 5, 7, 1] = np.nan
    y, pull = jax.vjp(lambda x: pool(x, **options), x)
    holding = count(np.isnan(x).astype(np.float32), **options)
    assert holding.sum() > 0
    np.testing.assert_array_equal(np.isnan(y), holding)
    (gradient,) = pull(jnp.ones_like(y))
    assert gradient[0, 5, 7, 1] == holding.sum()
    assert gradient.sum() == y.size


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_max_pooling_hides_nan_in_half_precision(dtype, shape):
    x = jnp.zeros(shape, dtype).at[0, 5, 7, 1].set(jnp.nan)
    y = jaxpool.max_pool(x, 3, strides=2)
    assert y.dtype == dtype
    assert np.argwhere(np.isnan(y)).tolist() == [[0, 2, 3, 1]]


def test_the_derivative_of_all_minus_infinity_leaks_into_padding(shape):
    """In lax, jacrev differs from jacfwd. In jaxpool, both use the first element in the image."""
    n, h, w, c = shape
    x = jnp.full(shape, -jnp.inf)
    cotangent, tangent = (
        np.random.default_rng(0).integers(-9, 10, size).astype(np.float32)
        for size in ((n, -(-h // 2), -(-w // 2), c), shape)
    )
    y, pull = jax.vjp(lambda x: jaxpool.max_pool(x, **SAME), x)
    assert np.all(y == -np.inf)
    rows, columns = first_elements(h)[:, None], first_elements(w)
    expected = np.zeros(shape, np.float32)
    np.add.at(expected, (slice(None), rows, columns), cotangent)
    np.testing.assert_array_equal(pull(cotangent)[0], expected)
    _, pushed = jax.jvp(lambda x: jaxpool.max_pool(x, **SAME), (x,), (tangent,))
    np.testing.assert_array_equal(pushed, tangent[:, rows, columns])


def test_ties_split_or_double_the_derivative(shape):
    """`jnp.max` splits the derivative among ties; jaxpool gives it to the first."""
    x = jnp.zeros(shape)
    gradient = jax.grad(lambda x: jaxpool.max_pool(x, 2).sum())(x)
    expected = np.zeros(shape)
    expected[:, ::2, ::2] = 1
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_averages_in_half_precision_stop_growing(channels, dtype):
    """64 x 64 elements of 1.01 average to 0.5 in Flax."""
    x = jnp.full((1, 64, 64, channels), 1.01, dtype)
    for y in (jaxpool.avg_pool(x, 64), jaxpool.avg_pool(x, 64, strides=1, padding=0)):
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x[:, :1, :1])


def test_excluding_the_padding_changes_the_dtype(shape):
    """Flax's `count_include_pad=False` returns float32 for bfloat16."""
    x = jnp.ones(shape, jnp.bfloat16)
    y = jaxpool.avg_pool(x, **SAME, count_include_pad=False)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, jnp.ones_like(y))


def test_a_dilated_maximum_has_no_reverse_mode(shape):
    """`select_and_scatter` has no dilation: NotImplementedError (jax#7815)."""
    x = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    y, pull = jax.vjp(lambda x: jaxpool.max_pool(x, 2, strides=1, dilation=3), x)
    corners = [x[:, i : i + y.shape[1], j : j + y.shape[2]] for i in (0, 3) for j in (0, 3)]
    expected = np.zeros(shape, np.float32)
    np.testing.assert_array_equal(y, np.max(corners, 0))
    for corner, (i, j) in zip(corners, [(0, 0), (0, 3), (3, 0), (3, 3)], strict=True):
        expected[:, i : i + y.shape[1], j : j + y.shape[2]] += corner == y
    np.testing.assert_array_equal(pull(jnp.ones_like(y))[0], expected)


def test_channels_are_pooled_silently(shape):
    """`hk.max_pool(x, (2, 2), ...)` pools width and channels."""
    n, h, w, c = shape
    assert jaxpool.max_pool(jnp.zeros(shape), (2, 2)).shape == (n, h // 2, w // 2, c)


def test_the_part_of_a_window_beyond_the_padding_counts_in_the_average(shape):
    """Some runtimes divide by the whole window where `ceil_mode` lets it exceed the padding."""
    y = jaxpool.avg_pool(jnp.ones(shape), 5, ceil_mode=True)
    assert y.shape[1] == -(-shape[1] // 5)
    np.testing.assert_array_equal(y, jnp.ones_like(y))


def test_the_derivative_of_a_sum_is_wrong_if_a_divided_axis_does_not_fit():
    """XLA's partitioner, for `lax.reduce_window`: each of 8 devices has 7 of 56 rows, stride 2."""
    draw = np.random.default_rng(0).normal
    x, dy = np.float32(draw(size=(2, 56, 16, 4))), np.float32(draw(size=(2, 28, 8, 4)))
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "rows"))
    divided = {"in_shardings": (rows, None), "out_shardings": rows}

    def derivative(pool, **shardings):
        return jax.jit(lambda x, dy: jax.vjp(pool, x)[1](dy)[0], **shardings)(x, dy)

    def of_lax(x):
        window = (1, 2, 2, 1)
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, window, "VALID")

    def ours(x):
        return jaxpool.sum_pool(x, 2, strides=2)

    alone = derivative(of_lax)
    assert np.abs(derivative(of_lax, **divided) - alone).max() > 1
    np.testing.assert_array_equal(derivative(ours, **divided), alone)
