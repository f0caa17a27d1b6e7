import jax
import numpy as np
import pydantic
import pytest

from experiments import boxes
from experiments.data import DataError
from experiments.data.scenes import Scenes

SMALL = {
    "name": "scenes",
    "size": 40,
    "scales": (8, 14, 28),
    "train_scenes": 6,
    "test_scenes": 4,
    "proposals": 5,
}


@pytest.fixture
def options(mnist_like):
    return Scenes(directory=mnist_like[0], **SMALL)


def test_scenes_are_what_describe_says_and_standardised_by_the_training_scenes(options):
    dataset, info = options.load(), options.describe()
    assert (len(dataset.train), len(dataset.test)) == (info.train_size, info.test_size) == (6, 4)
    assert info.classes == dataset.classes == 11
    for split in (dataset.train, dataset.test):
        inputs, labels = info.batch(len(split))
        jax.tree.map(
            lambda array, known: (
                (array.shape, array.dtype) == (known.shape, known.dtype)
                or pytest.fail(f"{array.shape} {array.dtype}, described as {known}")
            ),
            (split.inputs, split.labels),
            (inputs, labels),
        )
    image = dataset.train.inputs["image"]
    assert abs(image.mean(dtype=np.float64)) < 1e-5
    assert abs(image.std(dtype=np.float64) - 1) < 1e-5


def test_training_and_test_items_do_not_mix(mnist_like, write_idx):
    folder, _ = mnist_like
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.full(12, 3))
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", np.full(5, 7))
    dataset = Scenes(directory=folder, **SMALL).load()
    assert set(dataset.train.labels["class"].flat) <= {0, 4}
    assert set(dataset.test.labels["class"].flat) <= {0, 8}


def test_a_scene_depends_on_the_seed_and_its_number_only(options):
    fewer = options.model_copy(update={"train_scenes": 3, "test_scenes": 2}).load()
    again, other = options.load(), options.model_copy(update={"seed": 1}).load()
    for name in ("class", "box", "target", "size"):
        np.testing.assert_array_equal(fewer.train.labels[name], again.train.labels[name][:3])
        np.testing.assert_array_equal(fewer.test.labels[name], again.test.labels[name][:2])
    assert not np.array_equal(again.train.inputs["boxes"], other.train.inputs["boxes"])


def test_baselines_are_the_majority_class_and_the_proposals_themselves(mnist_like, write_idx):
    folder, _ = mnist_like
    write_idx(folder / "train-labels-idx1-ubyte.gz", [2] * 10 + [5] * 2)
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", [2, 2, 5, 5, 5])
    dataset = Scenes(directory=folder, **SMALL).load()
    test = dataset.test
    is_object = test.labels["class"] > 0
    assert dataset.baselines["majority class"]["accuracy"] == pytest.approx(
        (test.labels["class"][is_object] == 3).mean()
    )
    overlap = boxes.iou(test.inputs["boxes"], test.labels["box"])
    assert dataset.baselines["the proposal itself"]["box_iou"] == pytest.approx(
        overlap[is_object].mean()
    )
    for size, metrics in enumerate(("small", "medium", "large")):
        found = dataset.baselines["the proposal itself"].get(f"box_iou_{metrics}")
        of_size = test.labels["size"] == size
        assert (found is not None) == of_size.any()
        if found is not None:
            assert found == pytest.approx(overlap[of_size].mean())


@pytest.mark.parametrize(
    ("changes", "key", "complaint"),
    [
        ({"size": 32}, "size", "must be at least 33, to hold items of scale 28"),
        ({"scales": (14, 8, 28)}, "scales", "small, medium and large"),
        ({"scales": (8, 8, 28)}, "scales", "small, medium and large"),
        ({"scales": (8, 28)}, "scales", "Field required"),
        ({"proposals": 1}, "proposals", "greater than or equal to 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes, key, complaint):
    with pytest.raises(pydantic.ValidationError, match=complaint) as caught:
        Scenes(**{**SMALL, **changes})
    error = caught.value.errors()[0]
    assert key in error["loc"] or error.get("ctx", {}).get("key") == key


def test_missing_and_damaged_files_are_named(options, mnist_like):
    folder, _ = mnist_like
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"no images")
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: found .*; expected "):
        options.load()
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"lacks t10k-images-idx3-ubyte\.gz"):
        options.load()
