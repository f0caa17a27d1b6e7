import numpy as np
import pytest

from experiments import boxes
from experiments.data.composition import Scene, compose, labelled, propose

SCALES = (6, 10, 16)


def bar(height, width):
    """An item: a bright block with a dark margin."""
    image = np.zeros((28, 28), np.uint8)
    image[2 : 2 + height, 3 : 3 + width] = 250
    return image


ITEMS = np.stack([bar(20, 10), bar(8, 24), bar(16, 16)])
CLASSES = np.arange(3, dtype=np.uint8)


def scenes(number, size=48, most=4):
    return [
        compose(np.random.default_rng(n), ITEMS, CLASSES, size, most, SCALES) for n in range(number)
    ]


def test_boxes_are_tight_and_of_the_scale_that_they_are_said_to_have():
    for scene in scenes(30):
        extent = scene.boxes[:, 2:] - scene.boxes[:, :2]
        longer = extent.max(1)
        scale = np.array(SCALES)[scene.sizes]
        assert (longer >= np.floor(scale / 1.15)).all()
        assert (longer <= np.ceil(scale * 1.15)).all()
        taller = extent[:, 1] - extent[:, 0]
        np.testing.assert_array_equal(np.sign(taller), np.array([1, -1, 0])[scene.classes])
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= 48).all()


def test_items_stand_out_where_their_boxes_are():
    for scene in scenes(10):
        inside = np.zeros(scene.image.shape, bool)
        for x1, y1, x2, y2 in scene.boxes.astype(int):
            inside[y1:y2, x1:x2] = True
            assert scene.image[y1:y2, x1:x2].mean() > 0.35
        assert 0.02 < scene.image[~inside].std() < 0.25


def test_items_cover_at_most_a_tenth_of_one_another():
    for scene in scenes(60, size=32, most=8):
        a, b = scene.boxes[:, None], scene.boxes
        share = boxes.iou(a, b) / (1 + boxes.iou(a, b)) * (boxes.area(a) + boxes.area(b))
        share = share / np.minimum(boxes.area(a), boxes.area(b))
        assert share[~np.eye(len(share), dtype=bool)].max(initial=0) <= 0.1 + 1e-5


def test_an_item_without_room_is_left_out_and_one_is_always_there():
    found = [len(scene.boxes) for scene in scenes(40, size=19, most=8)]
    assert min(found) >= 1
    assert max(found) < 8


def test_a_blank_item_keeps_its_whole_frame():
    blank = np.zeros((1, 28, 28), np.uint8)
    scene = compose(np.random.default_rng(0), blank, CLASSES[:1], 48, 1, SCALES)
    assert boxes.area(scene.boxes)[0] > 0


@pytest.mark.parametrize("count", [2, 7, 16])
def test_the_first_half_of_the_proposals_is_near_items_the_others_are_not(count):
    for number, scene in enumerate(scenes(20)):
        random = np.random.default_rng(number)
        proposals = propose(random, scene.boxes, count, 48, SCALES)
        assert proposals.shape == (count, 4)
        assert proposals.dtype == np.float32
        assert (boxes.area(proposals) > 0).all()
        near = (count + 1) // 2
        overlap = boxes.iou(proposals[:, None], scene.boxes)
        own = overlap[np.arange(near), np.arange(near) % len(scene.boxes)]
        assert (own >= 0.5).all()
        assert (overlap[near:] < 0.5).all()


def test_a_proposal_is_a_region_of_the_item_that_it_overlaps_most():
    scene = Scene(
        np.zeros((48, 48), np.float32),
        boxes=np.array([[0, 0, 10, 10], [8, 0, 18, 10]], np.float32),
        classes=np.array([4, 9], np.int32),
        sizes=np.array([0, 2], np.int32),
    )
    proposals = np.array(
        [[0, 0, 10, 12], [7, 0, 17, 10], [20, 20, 30, 30], [0, 0, 10, 21]], np.float32
    )
    labels = labelled(proposals, scene)
    np.testing.assert_array_equal(labels["class"], [5, 10, 0, 0])
    np.testing.assert_array_equal(labels["size"], [0, 2, -1, -1])
    np.testing.assert_array_equal(labels["box"], [*scene.boxes, *proposals[2:]])
    np.testing.assert_array_equal(labels["target"][2:], 0)
    np.testing.assert_allclose(
        boxes.decode(proposals, labels["target"], 48), labels["box"], atol=1e-4
    )
