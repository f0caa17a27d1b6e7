import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry, oracle, quick, uneven
from tests.geometry import examples

SHAPES = [
    ((7, 9), (3, 4)),
    ((8, 6), (4, 2)),  # bins that tile
    ((7, 7), (3, 1)),  # even bins that overlap
    ((6, 7), (3, 5)),  # even bins along one axis only
    ((3, 4), (5, 7)),  # more bins than elements
    ((1, 5), (2, 5)),
]


def bins(sizes, outputs):
    spans = [
        [(math.floor(i * n / o), math.ceil((i + 1) * n / o)) for i in range(o)]
        for n, o in zip(sizes, outputs, strict=True)
    ]
    return lambda image, channel: spans


@examples(7)
@given(
    st.lists(st.tuples(st.integers(1, 7), st.integers(1, 8)), min_size=1, max_size=3),
    st.sampled_from(["float32", "bfloat16"]),
    st.integers(0, 2**31),
)
def test_against_the_oracle(axes, dtype, seed):
    sizes, outputs = zip(*axes, strict=True)
    x = geometry.awkward(np.random.default_rng(seed), (2, *sizes, 2))
    windows = bins(sizes, outputs)

    @quick.jit
    def every(x):
        return (
            jaxpool.adaptive_max_pool(x, outputs),
            *jaxpool.adaptive_max_pool_with_argmax(x, outputs),
            jaxpool.adaptive_avg_pool(x, outputs),
        )

    largest, values, indices, mean = every(jnp.asarray(x, dtype))
    better = oracle.BETTER["max"]
    for result in (largest, values):
        expected = uneven.pool(x, windows, oracle.extreme(better, None))
        np.testing.assert_array_equal(result.astype(jnp.float32), expected)
    np.testing.assert_array_equal(indices, uneven.pool(x, windows, oracle.where_extreme(better)))
    expected = uneven.pool(x, windows, oracle.average())
    assert (largest.dtype, indices.dtype, mean.dtype) == (dtype, "int32", dtype)
    tolerance = 1e-6 if dtype == "float32" else 2**-8
    np.testing.assert_allclose(mean.astype(jnp.float32), expected, rtol=tolerance, atol=1e-7)


@pytest.mark.parametrize(("sizes", "outputs"), SHAPES)
def test_pytorch_agrees_in_value_index_and_gradient(sizes, outputs):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = geometry.ties(np.random.default_rng(0), (2, *sizes, 3))
    theirs = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).requires_grad_()
    values, indices = functional.adaptive_max_pool2d(theirs, outputs, return_indices=True)
    weights = torch.arange(values.numel(), dtype=torch.float32).reshape(values.shape)
    ours, our_indices = jaxpool.adaptive_max_pool_with_argmax(x, outputs)
    np.testing.assert_array_equal(np.moveaxis(ours, -1, 1), values.detach())
    np.testing.assert_array_equal(np.moveaxis(our_indices, -1, 1), indices)
    mean = functional.adaptive_avg_pool2d(theirs, outputs)
    np.testing.assert_allclose(
        np.moveaxis(jaxpool.adaptive_avg_pool(x, outputs), -1, 1), mean.detach(), rtol=1e-6
    )
    for pooled, pool in [(values, jaxpool.adaptive_max_pool), (mean, jaxpool.adaptive_avg_pool)]:
        theirs.grad = None
        (pooled * weights).sum().backward()
        cotangent = np.moveaxis(weights.numpy(), 1, -1)
        (gradient,) = jax.vjp(lambda x, pool=pool: pool(x, outputs), x)[1](jnp.asarray(cotangent))
        np.testing.assert_allclose(np.moveaxis(gradient, -1, 1), theirs.grad, rtol=1e-6)


@pytest.mark.parametrize(("sizes", "outputs"), SHAPES)
def test_masked_elements_do_not_exist(sizes, outputs):
    rng = np.random.default_rng(3)
    x, finite = (build(rng, (2, *sizes, 2)) for build in (geometry.awkward, geometry.ties))
    where = rng.random(x.shape) < 0.4
    better = oracle.BETTER["max"]
    largest = oracle.extreme(better, -np.inf)
    values, indices = jaxpool.adaptive_max_pool_with_argmax(x, outputs, where=where)
    for result, array, function in [
        (values, x, largest),
        (indices, x, oracle.where_extreme(better)),
        (jaxpool.adaptive_max_pool(x, outputs, where=where), x, largest),
        (jaxpool.adaptive_avg_pool(finite, outputs, where=where), finite, oracle.average()),
    ]:
        expected = uneven.pool(array, bins(sizes, outputs), function, where)
        np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool"])
def test_integers_keep_their_dtype_and_means_are_float32(dtype):
    dtype = np.dtype(dtype)
    low = False if dtype.kind == "b" else np.iinfo(dtype).min
    x = np.array([low, low, low, 1, 0], dtype).reshape(1, 5, 1)
    values, indices = jaxpool.adaptive_max_pool_with_argmax(x, 3)
    assert values.dtype == dtype
    np.testing.assert_array_equal(values[0, :, 0], [low, 1, 1])
    np.testing.assert_array_equal(indices[0, :, 0], [0, 3, 3])
    mean = jaxpool.adaptive_avg_pool(x, 3)
    assert mean.dtype == np.float32
    expected = [low, (2 * float(low) + 1) / 3, 0.5]
    np.testing.assert_allclose(mean[0, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("size", [20, 130])  # fewer and more than 8,192 elements
def test_nan_is_kept(size):
    x = np.ones((1, size, size, 1), np.float32)
    x[0, 1, 1] = np.nan
    y = jaxpool.adaptive_max_pool(x, 7)
    assert np.isnan(y[0, 0, 0, 0])
    assert np.isnan(y).sum() == 1


def test_half_precision_is_summed_in_float32():
    x = jnp.full((1, 65, 65, 1), 1.01, jnp.bfloat16)
    y = jaxpool.adaptive_avg_pool(x, 2)
    np.testing.assert_array_equal(y, np.full((1, 2, 2, 1), x[0, 0, 0, 0]))


@pytest.mark.parametrize(("output", "read"), [((4, 11), True), ((5, 8), True), ((5, 3), False)])
def test_known_bins_are_read_as_they_are(output, read):
    """Blocks are gathered only if bins are long and uneven."""
    x = jnp.ones((1, 12, 209, 2))
    program = str(jax.make_jaxpr(lambda x: jaxpool.adaptive_max_pool(x, output))(x))
    assert ("gather" not in program) == read


@pytest.mark.parametrize("pool", [jaxpool.adaptive_max_pool, jaxpool.adaptive_avg_pool])
def test_long_bins_agree_with_short_ones(monkeypatch, pool):
    """Both methods for uneven bins give the same values and derivatives."""
    x = jnp.asarray(np.random.default_rng(0).integers(0, 9, (2, 13, 11, 3)).astype(np.float32))

    def results(x):
        y, vjp = jax.vjp(lambda x: pool(x, (4, 3)), x)
        return y, *vjp(jnp.cos(y))

    as_they_are = results(x)
    monkeypatch.setattr("jaxpool.pooling.bins._layout.MOST", 0)
    for one, other in zip(as_they_are, results(x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_axes_in_any_order():
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 5)).astype(np.float32)
    expected = jaxpool.adaptive_max_pool(np.moveaxis(x, 1, -1), (4, 2))
    for axes, outputs in [((2, 3), (4, 2)), ((-1, -2), (2, 4))]:
        y = jaxpool.adaptive_max_pool(x, outputs, axes=axes)
        np.testing.assert_array_equal(np.moveaxis(y, 1, -1), expected)


def test_an_empty_axis():
    with pytest.raises(ValueError, match=r"x must not be empty .* got shape \(1, 0, 2\)"):
        jaxpool.adaptive_avg_pool(np.ones((1, 0, 2)), 2)
    assert jaxpool.adaptive_max_pool(jnp.ones((0, 5, 5, 2)), 3).shape == (0, 3, 3, 2)


def test_portable_gradients_of_even_bins_beside_uneven_ones():
    x = np.random.default_rng(0).normal(size=(1, 10, 8, 2)).astype(np.float32)

    def gradient(x):
        return jax.grad(lambda x: jnp.sin(jaxpool.adaptive_avg_pool(x, (4, 4))).sum())(x)

    expected = jax.jit(gradient)(x)
    with jaxpool.portable():
        np.testing.assert_allclose(jax.jit(gradient)(x), expected, rtol=1e-6)


def test_none_for_another_number_of_axes():
    with pytest.raises(ValueError, match="output_shape"):
        jaxpool.adaptive_max_pool(np.zeros((1, 4, 4, 1), np.float32), (None, 2), axes=(1,))
