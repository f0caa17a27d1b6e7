import numpy as np
import pytest
from PIL import Image

from experiments.checks import refuse_impossible
from experiments.config import load
from experiments.data import DataError
from experiments.data.image_folder import ImageFolder
from tests.experiments.tiny import write_tiny


def save(path, colour, size=(9, 7), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def flowers(tmp_path):
    """Red daisies and blue tulips, five each, in several formats and sizes; and other files."""
    folder = tmp_path / "flowers"
    for number, suffix in enumerate(["png", "jpg", "bmp", "gif", "PNG"]):
        save(folder / "daisy" / f"{number}.{suffix}", (250, 10, 10), (9 + number, 7))
        save(folder / "tulip" / "more" / f"{number}.{suffix}", (10, 10, 250))
    (folder / "tulip" / "notes.txt").write_text("no image")
    (folder / ".cache").mkdir()
    return folder


def refusal(options):
    with pytest.raises(DataError) as caught:
        options.load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folders_are_classes_in_alphabetical_order(flowers):
    options = ImageFolder(path=flowers, size=(6, 4), test=0.4)
    info, dataset = options.describe(), options.load()
    assert (info.input_shape, info.classes, info.kind) == ((6, 4, 3), 2, "image")
    assert (info.train_size, info.test_size) == (len(dataset.train), len(dataset.test)) == (6, 4)
    assert dataset.train.inputs.shape == (6, 6, 4, 3)
    assert dataset.train.inputs.dtype == np.float32
    assert list(np.bincount(dataset.train.labels)) == [3, 3]
    for split in (dataset.train, dataset.test):
        red, blue = split.inputs[..., 0].mean((1, 2)), split.inputs[..., 2].mean((1, 2))
        np.testing.assert_array_equal(split.labels, (blue > red).astype(int))


def test_grey_images_have_one_channel(flowers):
    save(flowers / "daisy" / "alpha.png", (9, 9, 9, 0), mode="RGBA")
    options = ImageFolder(path=flowers, size=(5, 8), channels=1)
    assert options.load().train.inputs.shape[1:] == options.describe().input_shape == (5, 8, 1)


def test_train_and_test_folders_are_kept(tmp_path):
    for part, count in (("train", 3), ("test", 1)):
        for name, colour in (("a", "red"), ("b", "blue")):
            for number in range(count):
                save(tmp_path / part / name / f"{number}.png", colour)
    options = ImageFolder(path=tmp_path, size=(4, 4))
    assert (options.describe().train_size, options.describe().test_size) == (6, 2)
    np.testing.assert_array_equal(options.load().test.labels, [0, 1])
    save(tmp_path / "test" / "c" / "0.png", "green")
    assert "found the class c; expected those of the training" in refusal(
        ImageFolder(path=tmp_path, size=(4, 4))
    )
    (tmp_path / "train").rename(tmp_path / "tain")
    assert "found the folder test without the other" in refusal(
        ImageFolder(path=tmp_path, size=(4, 4))
    )


def test_broken_images_and_other_files_are_named(flowers):
    path = flowers / "daisy" / "0.png"
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    options = ImageFolder(path=flowers, size=(4, 4))
    assert refusal(options).startswith(f"{path}: found a broken image (")
    path.write_bytes(b"no image at all")
    assert refusal(options).startswith(f"{path}: found a file that is no image")


def test_a_decompression_bomb_is_not_unpacked(flowers, monkeypatch):
    options = ImageFolder(path=flowers, size=(4, 4))
    for limit in (60, 10):  # Pillow warns above its limit, and refuses above twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert f"found a larger image than is read; expected at most {limit} pixels" in refusal(
            options
        )


@pytest.mark.parametrize(
    ("make", "options", "complaint"),
    [
        (lambda _: None, {}, "cannot be read (No such file or directory); set dataset.path"),
        (lambda f: f.mkdir(), {}, "found no folders; expected one per class, at least two"),
        (lambda f: save(f / "one" / "1.png", "red"), {}, "found 1 folder; expected one per class"),
        (
            lambda f: (save(f / "a" / "1.png", "red"), (f / "b").mkdir()),
            {},
            "b: found no image; expected files that end in .bmp",
        ),
        (
            lambda f: [save(f / c / f"{i}.png", "red") for c in "ab" for i in range(3)],
            {"test": 0.0},
            "found no image for testing; expected a larger dataset.test",
        ),
        (
            lambda f: [save(f / c / f"{i}.png", "red") for c in "ab" for i in range(2)],
            {"test": 0.9},
            "found no training image of class a",
        ),
    ],
)
def test_folders_that_cannot_be_used_are_refused(tmp_path, make, options, complaint):
    make(tmp_path / "folder")
    assert complaint in refusal(ImageFolder(path=tmp_path / "folder", size=(4, 4), **options))


def test_names_and_contents_decide_and_not_the_path(flowers, tmp_path):
    options = ImageFolder(path=flowers, size=(4, 4))
    before = options.identity()
    assert str(tmp_path) not in str(before)
    moved = flowers.rename(tmp_path / "moved")
    assert ImageFolder(path=moved, size=(4, 4)).identity() == before
    assert ImageFolder(path=moved, size=(4, 5)).identity() != before
    save(moved / "daisy" / "0.png", "green")
    changed = ImageFolder(path=moved, size=(4, 4)).identity()
    assert changed != before
    (moved / "daisy" / "0.png").rename(moved / "daisy" / "7.png")
    assert ImageFolder(path=moved, size=(4, 4)).identity() != changed


def test_a_study_is_checked_on_such_a_folder(flowers, tmp_path):
    dataset = f"dataset={{name='image_folder', path='{flowers}', size=[8, 8]}}"
    study = load(write_tiny(tmp_path), [dataset, "training.batch_size=2"])
    assert study.dataset.size == (8, 8)
    refuse_impossible(study)
