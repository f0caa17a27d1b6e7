import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.__main__ import app
from experiments.checks import refuse_impossible
from experiments.config import load
from experiments.data import DataError, datasets
from experiments.data.npz import Npz
from tests.experiments.tiny import write_tiny

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(3, 2, (40, 6, 5, 2))
CLASSES = np.arange(40) % 4


@pytest.fixture
def write(tmp_path):
    """Writes arrays to a file; returns a function that makes options for it."""

    def make(_options=None, **arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return Npz(path=path, **(_options or {}))

    return make


def refusal(options):
    with pytest.raises(DataError) as caught:
        options.describe()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(options.path))
    return message


def test_x_and_y_are_split_by_class_and_standardised(write):
    options = write({"test": 0.25}, x=IMAGES, y=CLASSES, names=np.array(["left", "alone"]))
    info, dataset = options.describe(), options.load()
    assert datasets()["npz"] is Npz
    assert (info.kind, info.input_shape, info.classes) == ("image", (6, 5, 2), 4)
    assert (info.train_size, info.test_size) == (len(dataset.train), len(dataset.test)) == (30, 10)
    assert set(np.bincount(dataset.test.labels)) <= {2, 3}
    assert dataset.train.inputs.dtype == np.float32
    np.testing.assert_allclose(dataset.train.inputs.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(dataset.train.inputs.std((0, 1, 2)), 1, atol=1e-5)


def test_every_example_is_in_one_split_with_its_own_class(write):
    x = np.arange(40.0).reshape(40, 1, 1) * np.ones((40, 7, 1))
    dataset = write({"standardise": False}, x=x, y=CLASSES).load()
    seen = np.concatenate([part.inputs[:, 0, 0] for part in (dataset.train, dataset.test)])
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    assert sorted(seen) == list(range(40))
    np.testing.assert_array_equal(labels, seen.astype(int) % 4)


def test_a_split_of_the_users_is_kept(write):
    dataset = write(
        {"standardise": False},
        x_train=IMAGES[:32].astype(np.float16),
        y_train=CLASSES[:32].astype(np.uint8),
        x_test=IMAGES[32:].astype(np.float16),
        y_test=CLASSES[32:].astype(np.uint8),
    ).load()
    np.testing.assert_array_equal(dataset.test.inputs, IMAGES[32:].astype(np.float16))
    np.testing.assert_array_equal(dataset.test.labels, CLASSES[32:])
    assert dataset.train.labels.dtype == np.int32


@pytest.mark.parametrize(
    ("shape", "last", "kind", "expected"),
    [
        ((40, 9, 3), True, "signal", (9, 3)),
        ((40, 9), False, "signal", (9, 1)),
        ((40, 9, 3), False, "image", (9, 3, 1)),
    ],
)
def test_the_rank_tells_images_from_signals(write, shape, last, kind, expected):
    options = write({"channels_last": last}, x=np.ones(shape, bool), y=CLASSES)
    assert options.describe().kind == kind
    assert options.describe().input_shape == expected
    assert options.load().train.inputs.shape[1:] == expected


def with_value(value):
    x = IMAGES.copy()
    x[7, 0, 0, 0] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "options", "complaint"),
    [
        ({"x": IMAGES}, {}, "found arrays x; expected x and y, or x_train, y_train"),
        ({}, {}, "found arrays none; expected"),
        ({"x": IMAGES, "y": CLASSES[:-1]}, {}, "y of shape (39,) for x of shape (40, 6, 5, 2)"),
        ({"x": IMAGES, "y": CLASSES[:, None]}, {}, "found y of shape (40, 1)"),
        ({"x": IMAGES, "y": CLASSES * 1.0}, {}, "y of dtype float64; expected integers, from 0"),
        ({"x": IMAGES * 1j, "y": CLASSES}, {}, "found x of dtype complex128"),
        ({"x": IMAGES, "y": CLASSES - 1}, {}, "found class -1 in y"),
        ({"x": IMAGES, "y": CLASSES * 2}, {}, "found no training example of class 1"),
        ({"x": IMAGES, "y": CLASSES + 2**40}, {}, "found class 1099511627776 in y"),
        ({"x": with_value(np.nan), "y": CLASSES}, {}, "found NaN or infinity in example 7 of x"),
        ({"x": with_value(1e300), "y": CLASSES}, {}, "expected numbers that float32 can hold"),
        ({"x": IMAGES[:, 0, 0], "y": CLASSES}, {}, "found x of shape (40, 2); expected (N, H, W"),
        ({"x": IMAGES[:, :0], "y": CLASSES}, {}, "found x of shape (40, 0, 5, 2)"),
        ({"x": IMAGES, "y": CLASSES}, {"channels_last": False}, "channels_last = false"),
        ({"x": IMAGES, "y": CLASSES}, {"test": 0.0}, "no example for testing; expected a larger"),
        (
            {"x_train": IMAGES, "y_train": CLASSES, "x_test": IMAGES[:, 1:], "y_test": CLASSES},
            {},
            "found examples of (5, 5, 2) in x_test; expected (6, 5, 2) as in x_train",
        ),
        (
            {"x_train": IMAGES, "y_train": CLASSES, "x_test": IMAGES, "y_test": CLASSES + 1},
            {},
            "found class 4 in the test set; expected classes from 0 to 3",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(write, arrays, options, complaint):
    assert complaint in refusal(write(options, **arrays))


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("trap"),)


def test_npz_files_with_pickles_are_refused(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = write(x=np.array([Trap()] * 40, object), y=CLASSES)
    assert "an array of Python objects, which is never unpickled" in refusal(options)
    options.path.write_bytes(pickle.dumps(Trap()))
    assert "numpy.load cannot read" in refusal(Npz(path=options.path))
    assert not Path("trap").exists()


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "data.npz"
    assert "not found; set dataset.path" in refusal(Npz(path=path))
    for content in (b"", b"text", b"PK\x03\x04 and no more"):
        path.write_bytes(content)
        assert "numpy.load cannot read; expected a .npz file" in refusal(Npz(path=path))
    single = io.BytesIO()
    np.save(single, IMAGES)
    path.write_bytes(single.getvalue())
    assert "found a single array; expected a .npz file" in refusal(Npz(path=path))
    np.savez(path, x=IMAGES, y=CLASSES)
    path.write_bytes(path.read_bytes()[:3000])
    assert "numpy.load cannot read" in refusal(Npz(path=path))


def test_the_content_decides_and_not_the_path(write, tmp_path):
    one = write(x=IMAGES, y=CLASSES)
    before = one.identity()
    assert str(tmp_path) not in str(before)
    moved = one.path.rename(tmp_path / "elsewhere.npz")
    assert Npz(path=moved).identity() == before
    assert write(x=IMAGES + 1, y=CLASSES).identity() != before
    assert Npz(path=moved, test=0.3).identity() != before


def test_the_command_line_refuses_it_in_one_line(write, tmp_path):
    options = write(x=IMAGES, y=CLASSES * 2)
    change = f"dataset={{name='npz', path='{options.path}'}}"
    ended = CliRunner().invoke(app, ["run", str(write_tiny(tmp_path)), "--set", change])
    assert ended.exit_code == 2
    assert "dataset = " in ended.stderr
    assert "found no training example of class 1" in ended.stderr


def test_a_study_is_checked_on_signals_of_a_file(write, tmp_path):
    options = write(x=RANDOM.normal(size=(40, 9, 3)), y=CLASSES)
    change = f"dataset={{name='npz', path='{options.path}'}}"
    study = load(write_tiny(tmp_path), [change, "training.batch_size=8"])
    refuse_impossible(study)
    other = load(write_tiny(tmp_path), [change, "training.batch_size=8", "dataset.test=0.3"])
    assert study.fingerprint("max") != other.fingerprint("max")
