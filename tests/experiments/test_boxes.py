import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import boxes


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0, 0, 4, 2], [0, 0, 4, 2], 1),
        ([0, 0, 4, 2], [2, 0, 6, 2], 1 / 3),
        ([0, 0, 4, 2], [4, 0, 6, 2], 0),
        ([0, 0, 4, 4], [1, 1, 3, 3], 1 / 4),
        ([4, 4, 0, 0], [0, 0, 4, 4], 0),
        ([1, 1, 1, 1], [1, 1, 1, 1], 0),
    ],
)
def test_iou_is_the_shared_area_over_the_covered_one(first, second, expected):
    first, second = np.array(first, np.float32), np.array(second, np.float32)
    assert boxes.iou(first, second) == pytest.approx(expected)
    assert jax.jit(boxes.iou)(first, second) == pytest.approx(expected)


def test_deltas_are_those_of_girshick_over_their_usual_spread():
    proposal, box = np.array([10.0, 10, 20, 30]), np.array([12.0, 10, 32, 20])
    expected = [0.7 / 0.1, -0.25 / 0.1, np.log(2) / 0.2, np.log(0.5) / 0.2]
    np.testing.assert_allclose(boxes.encode(proposal, box), expected, rtol=1e-5)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_decode_inverts_encode(array):
    random = np.random.default_rng(0)
    low, extent = random.uniform(5, 30, (2, 6, 2)), random.uniform(4, 20, (2, 6, 2))
    proposals, wanted = np.concatenate([low, low + extent], -1).astype(np.float32)
    found = boxes.decode(array(proposals), boxes.encode(array(proposals), array(wanted)), 96)
    assert type(found) is type(array(proposals))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_decoded_boxes_are_finite_and_end_at_the_edges_of_the_scene():
    proposal = jnp.array([0.0, 0, 8, 8])
    found = boxes.decode(proposal, jnp.array([0.0, 0, 1e9, -1e9]), 16)
    np.testing.assert_allclose(found, [0, 4, 16, 4])
