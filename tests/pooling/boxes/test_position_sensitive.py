import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from tests import boxes as judges
from tests import geometry, quick

OUTPUT = (3, 2)


def case(seed):
    rng = np.random.default_rng(seed)
    build = geometry.awkward if seed == 3 else lambda rng, shape: rng.normal(size=shape)
    features = build(rng, (2, 7, 6, 2 * 3 * 2)).astype(np.float32)
    return features, judges.some(rng, 10, 12, on_grid=seed % 2), rng.integers(0, 2, 10)


def own_channels(array, i, j):
    """The channels (of the last axis) that bin `(i, j)` reads."""
    return array[..., i * OUTPUT[1] + j :: OUTPUT[0] * OUTPUT[1]]


@pytest.mark.parametrize("ratio", [0, 2])
def test_aligned_bins_read_channels_of_their_own(ratio):
    @quick.jit
    def align(features, boxes, image):
        options = {"batch_indices": image, "spatial_scale": 0.5, "sampling_ratio": ratio}
        return jaxpool.ps_roi_align(features, boxes, OUTPUT, **options)

    for seed in range(4):
        features, boxes, image = case(seed)
        options = {"ratio": ratio, "aligned": True, "reduce": "mean", "scale": 0.5}
        every = judges.align(features, image, boxes, OUTPUT, **options)
        expected = np.zeros((10, *OUTPUT, 2))
        for i, j in np.ndindex(*OUTPUT):
            expected[:, i, j] = own_channels(every[:, i, j], i, j)
        np.testing.assert_allclose(align(features, boxes, image), expected, atol=1e-5)


def test_pooled_bins_read_channels_of_their_own():
    def mean(elements, i, j):
        with np.errstate(invalid="ignore"):
            return own_channels(elements, i, j).astype(np.float64).mean((0, 1))

    @quick.jit
    def pool(features, boxes, image):
        return jaxpool.ps_roi_pool(features, boxes, OUTPUT, batch_indices=image, spatial_scale=0.5)

    for seed in range(4):
        features, boxes, image = case(seed)
        expected = judges.pool(features, image, boxes, OUTPUT, mean, extra=0, scale=0.5)
        np.testing.assert_allclose(pool(features, boxes, image), expected, atol=1e-6)


def test_the_last_row_and_column_are_read():
    """Unlike in torchvision's ps_roi_pool."""
    features = jnp.ones((4, 4, 1)) * jnp.arange(1.0, 5)
    y = jaxpool.ps_roi_pool(features, jnp.array([[3, 3, 4, 4]]), 2)
    np.testing.assert_array_equal(y[0, :, :, 0], [[1, 2], [3, 4]])


def test_elements_beside_a_bin_do_not_count():
    """An infinite element outside a bin does not give 0 * inf = NaN."""
    features = np.ones((4, 5, 4), np.float32)
    features[2:], features[:, 3:] = np.inf, np.nan
    y = jaxpool.ps_roi_pool(features, jnp.array([[0, 0, 3, 2]]), 2)
    np.testing.assert_array_equal(y, np.ones((1, 2, 2, 1)))


@pytest.mark.parametrize("operator", [jaxpool.ps_roi_align, jaxpool.ps_roi_pool])
def test_channels_that_cannot_be_dealt_out(operator):
    with pytest.raises(ValueError, match=r"multiple of 6 channels.*\(3, 2\), got 10"):
        operator(jnp.ones((4, 4, 10)), jnp.zeros((1, 4)), OUTPUT)
