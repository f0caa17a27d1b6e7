import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool


@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_levels_bins_and_channels_in_this_order(reduce):
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)
    y = jaxpool.spatial_pyramid_pool(x, (1, 3, 2), reduce=reduce)
    expected = []
    for image in x:
        for level in (1, 3, 2):
            for i, j in np.ndindex(level, level):
                rows = slice(i * 5 // level, -(-(i + 1) * 5 // level))
                columns = slice(j * 6 // level, -(-(j + 1) * 6 // level))
                expected += getattr(image[rows, columns], reduce)((0, 1)).tolist()
    assert y.shape == (2, (1 + 9 + 4) * 3)
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-5)


def test_one_length_for_maps_of_any_size():
    for shape in [(3, 11, 4), (3, 2, 4), (3, 1, 4)]:
        assert jaxpool.spatial_pyramid_pool(jnp.ones(shape)).shape == (3, 7 * 4)


def test_other_layouts():
    x = np.random.default_rng(1).normal(size=(2, 3, 5, 4)).astype(np.float32)
    last = jaxpool.spatial_pyramid_pool(np.moveaxis(x, 1, -1), (2, 3))
    np.testing.assert_array_equal(jaxpool.spatial_pyramid_pool(x, (2, 3), axes=(2, 3)), last)
    batches = jaxpool.spatial_pyramid_pool(x, [2], axes=2)
    assert batches.shape == (2, 3, 2 * 4)
    np.testing.assert_array_equal(
        batches[1, 2], jaxpool.adaptive_max_pool(x, 2, axes=2)[1, 2].ravel()
    )


def test_masked_elements_do_not_exist():
    x = jnp.arange(8.0).reshape(1, 8, 1)
    where = jnp.arange(8).reshape(1, 8, 1) < 3
    y = jaxpool.spatial_pyramid_pool(x, (1, 2), where=where, reduce="mean")
    np.testing.assert_array_equal(y, [[1, 1, 0]])


@pytest.mark.parametrize(
    ("levels", "error", "message"),
    [
        (3, TypeError, "levels must be a sequence of ints, got 3"),
        ("124", TypeError, "levels must be a sequence of ints, got '124'"),
        ((), ValueError, r"levels must name at least one level, got \(\)"),
        ((1, 0), ValueError, "levels must be integers of at least 1, got 0"),
        ((1, 2.0), TypeError, "levels must be .*, got 2.0"),
        ((1, True), TypeError, "levels must be .*, got True"),
        (((1, 2),), TypeError, r"levels must be a sequence of ints, got \(\(1, 2\),\)"),
    ],
)
def test_bad_levels(levels, error, message):
    with pytest.raises(error, match=message):
        jaxpool.spatial_pyramid_pool(np.ones((1, 4, 4, 2)), levels)


def test_other_bad_arguments():
    with pytest.raises(ValueError, match=r"reduce must be one of \('max', 'mean'\), got 'avg'"):
        jaxpool.spatial_pyramid_pool(np.ones((1, 4, 2)), reduce="avg")
    with pytest.raises(ValueError, match=r"axes must leave .* channels, got \(0, 1\) of 2 axes"):
        jaxpool.spatial_pyramid_pool(np.ones((4, 2)), axes=(0, 1))
