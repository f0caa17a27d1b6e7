import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from jaxpool.engine.plan.target import CPU, TPU
from jaxpool.pooling.boxes import _picks, _search
from tests import geometry, quick


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("seed", range(5))
def test_a_search_by_axis_finds_what_a_search_by_element_finds(seed, dtype):
    rng = np.random.default_rng(seed)
    height, width, bins, boxes = 5, 7, 3, 6
    maps = jnp.asarray(geometry.awkward(rng, (2, 1, height, width, 4))).astype(dtype)
    image = jnp.asarray(rng.integers(0, 2, boxes), jnp.int32)
    spans = []
    for size in (height, width):
        first = rng.integers(0, size + 1, (boxes, bins))
        count = rng.integers(0, size - first + 1)  # 0: an empty bin
        spans += [jnp.asarray(first, jnp.int32), jnp.asarray(count, jnp.int32)]
    by_element, by_axis = (
        quick.jit(functools.partial(_search._largest_element_code, target=target))(
            maps, image, *spans
        )
        for target in (CPU, TPU)
    )
    np.testing.assert_array_equal(by_axis, by_element)
    assert (np.asarray(by_element) == _search.NONE).any()
    chosen = np.asarray(maps, np.float32)[np.asarray(image), 0].reshape(boxes, -1, 4)
    assert np.isnan(
        np.take_along_axis(chosen, np.asarray(by_element).reshape(boxes, -1, 4), 1)
    ).any()


def test_picks_by_comparison_are_the_elements_of_the_gather():
    rng = np.random.default_rng(0)
    maps = jnp.asarray(geometry.awkward(rng, (2, 1, 5, 7, 4)))
    image = jnp.asarray([1, 0, 1], jnp.int32)
    row, column = (jnp.asarray(rng.integers(0, n, (3, 2, 3, 4)), jnp.int32) for n in (5, 7))
    by_gather, by_comparison = (
        _picks._code(maps, image, row, column, shape=maps.shape, transposed=False, target=target)
        for target in (CPU, TPU)
    )
    np.testing.assert_array_equal(by_comparison, by_gather)


def test_tpu_programs_of_roi_pooling_gather_nothing():
    x = jax.ShapeDtypeStruct((2, 8, 8, 3), np.float32)
    boxes = jax.ShapeDtypeStruct((4, 4), np.float32)
    image = jax.ShapeDtypeStruct((4,), np.int32)
    pool = jax.jit(lambda x, boxes, image: jaxpool.roi_pool(x, boxes, 2, batch_indices=image))
    text = pool.trace(x, boxes, image).lower(lowering_platforms=("tpu",)).as_text()
    assert "stablehlo.gather" not in text
