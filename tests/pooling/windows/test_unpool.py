import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from tests import geometry, quick
from tests.geometry import examples


def judge(values, indices, plane):
    """Writes values in order, so that the last one at an index remains."""
    result = np.zeros((*values.shape[:-1], plane), values.dtype)
    for place in np.ndindex(values.shape):
        if 0 <= indices[place] < plane:
            result[(*place[:-1], indices[place])] = values[place]
    return result


@examples(6)
@given(
    st.integers(1, 3),
    st.sampled_from(["float32", "bfloat16", "int8", "bool"]),
    st.sampled_from(["int32", "uint8", "int8"]),
    st.integers(0, 2**31),
)
def test_the_last_of_a_repeated_index_wins(d, dtype, index_dtype, seed):
    rng = np.random.default_rng(seed)
    sizes, outputs = rng.integers(1, 4, d), rng.integers(1, 5, d)
    values = geometry.awkward(rng, (2, 2, sizes.prod()))
    values = np.asarray(jnp.asarray(np.nan_to_num(values)).astype(dtype))
    indices = rng.integers(0, outputs.prod(), values.shape).astype(index_dtype)
    expected = judge(values, indices, outputs.prod()).reshape(2, 2, *outputs)
    first = [a.reshape(2, 2, *sizes) for a in (values, indices)]
    axes = tuple(range(2, 2 + d))
    shape = tuple(int(n) for n in outputs)

    @quick.jit
    def both(values, indices):
        last = (jnp.moveaxis(a, 1, -1) for a in (values, indices))
        return (
            jaxpool.max_unpool(values, indices, shape, axes=axes),
            jnp.moveaxis(jaxpool.max_unpool(*last, shape), -1, 1),
        )

    for y in both(*first):
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, expected)


def test_a_max_pooling_is_undone():
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype(np.float32)
    values, indices = jaxpool.max_pool_with_argmax(x, 2)
    y = jaxpool.max_unpool(values, indices, (6, 8))
    np.testing.assert_array_equal(y, np.where(y == 0, 0, x))
    np.testing.assert_array_equal(jaxpool.max_pool_with_argmax(np.abs(y), 2)[1], indices)


def test_only_the_value_that_stays_has_a_derivative():
    indices = jnp.array([[[0], [3], [0], [1], [3]]])
    values = jnp.arange(1.0, 6).reshape(1, 5, 1)

    def unpool(values):
        return jaxpool.max_unpool(values, indices, 4)

    modes = quick.jit(lambda values: (jax.jacfwd(unpool)(values), jax.jacrev(unpool)(values)))
    forward, reverse = modes(values)
    expected = np.zeros((4, 5))
    expected[0, 2] = expected[1, 3] = expected[3, 4] = 1
    np.testing.assert_array_equal(forward.reshape(4, 5), expected)
    np.testing.assert_array_equal(reverse, forward)


def test_windows_without_an_element_name_no_place():
    values, indices = jaxpool.max_pool_with_argmax(jnp.ones((1, 2, 1)), 2, padding=4)
    assert indices.min() == -1
    np.testing.assert_array_equal(jaxpool.max_unpool(values, indices, 2)[0, :, 0], [1, 0])


def test_traced_indices_out_of_the_plane_are_left_out():
    values = jnp.arange(1.0, 5).reshape(1, 4, 1)
    indices = jnp.array([[[0], [4], [-2], [2]]])
    unpool = jax.jit(lambda v, i: jaxpool.max_unpool(v, i, 4))
    np.testing.assert_array_equal(unpool(values, indices)[0, :, 0], [1, 0, 4, 0])
    with jax.enable_x64(True):
        far = jnp.array([[[0], [2**32 + 1], [-(2**32)], [2]]])
        np.testing.assert_array_equal(unpool(values, far)[0, :, 0], [1, 0, 4, 0])


def test_pytorch_agrees():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(2).normal(size=(2, 3, 7, 5)).astype(np.float32)
    values, indices = jaxpool.max_pool_with_argmax(x, 2, axes=(2, 3))
    ours = jaxpool.max_unpool(values, indices, (7, 5), axes=(2, 3))
    pair = torch.from_numpy(np.array(values)), torch.from_numpy(np.array(indices, np.int64))
    theirs = torch.nn.functional.max_unpool2d(*pair, 2, output_size=(7, 5))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        (np.array([0, 4, 1]), ValueError, r"indices must lie in .* \[0, 4\).* got 4"),
        (np.array([0, -2, 1]), ValueError, "got -2"),
        (np.array([0, 2**32, 1]), ValueError, f"got {2**32}"),
        (np.float32([0, 1, 2]), TypeError, "indices must be of an integer dtype, got float32"),
        (np.array([0, 1]), ValueError, r"shape of values, \(1, 3, 1\), got \(1, 2, 1\)"),
    ],
)
def test_bad_indices(indices, error, message):
    with pytest.raises(error, match=message):
        jaxpool.max_unpool(jnp.ones((1, 3, 1)), indices.reshape(1, -1, 1), 4)
    with pytest.raises(TypeError, match="indices must be an array, got list"):
        jaxpool.max_unpool(jnp.ones((1, 3, 1)), indices.tolist(), 4)


def test_pooled_axes_may_lie_apart():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 4, 2, 5)).astype(np.float32)
    indices = rng.integers(-1, 7 * 6, values.shape).astype(np.int32)
    between = jaxpool.max_unpool(values, indices, (7, 6), axes=(1, 3))
    side_by_side = jaxpool.max_unpool(
        np.swapaxes(values, 2, 3), np.swapaxes(indices, 2, 3), (7, 6), axes=(1, 2)
    )
    np.testing.assert_array_equal(between, np.swapaxes(side_by_side, 2, 3))


@pytest.mark.parametrize("shape", [(0, 3, 2, 4), (2, 3, 2, 0)])
def test_no_planes_remain_none(shape):
    values, indices = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    assert jaxpool.max_unpool(values, indices, (6, 4)).shape == (shape[0], 6, 4, shape[-1])
