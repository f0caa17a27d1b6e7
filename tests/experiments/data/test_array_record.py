"""Shards that `pack` writes, read back; and shards that are refused."""

import json

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from typer.testing import CliRunner

from experiments.__main__ import app
from experiments.data import DataError
from experiments.data.array_record import ArrayRecord
from experiments.data.image_folder import ImageFolder
from experiments.data.pack import pack
from tests.experiments.tiny import TINY

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noise of two classes, 12 images each, in two formats and several sizes."""
    path, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number, name in enumerate(["daisy", "tulip"]):
        (path / name).mkdir()
        for i in range(12):
            image = random.integers(0, 200, (8 + i % 3, 9, 3)) + 40 * number
            suffix = "jpg" if i % 2 else "png"
            Image.fromarray(image.astype(np.uint8)).save(path / name / f"{i}.{suffix}")
    return ImageFolder(path=path, size=(6, 7))


@pytest.fixture
def packed(folder, tmp_path):
    """The folder as shards of 8, and the dataset that reads them."""
    pack(folder, tmp_path / "shards", per_shard=8)
    return ArrayRecord(path=tmp_path / "shards")


def read_all(options):
    data = options.load()
    return data.train.labels, data.test.read(), data.train.read()


def refusal(options):
    with pytest.raises(DataError) as caught:
        read_all(options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(packed, **values):
    file = packed.path / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return ArrayRecord(path=packed.path)


@pytest.mark.parametrize("channels", [1, 3])
def test_shards_and_a_streamed_folder_hold_what_the_folder_in_memory_holds(
    folder, tmp_path, channels
):
    folder = folder.model_copy(update={"channels": channels})
    pack(folder, tmp_path / "shards", per_shard=8)
    records = ArrayRecord(path=tmp_path / "shards")
    memory = folder.load()
    for options in (records, folder.model_copy(update={"stream": True})):
        assert options.describe() == folder.describe()
        data = options.load()
        assert (data.classes, len(data.train), len(data.test)) == (2, 19, 5)
        for found, expected in ((data.train, memory.train), (data.test, memory.test)):
            np.testing.assert_array_equal(found.labels, expected.labels)
            np.testing.assert_array_equal(found.read().labels, expected.labels)
            np.testing.assert_array_equal(found.read().inputs, expected.inputs)
    names = sorted(file.name for file in records.path.iterdir())
    assert names == [
        "dataset.json",
        "test-00000.array_record",
        *(f"train-{n:05}.array_record" for n in range(3)),
    ]


def test_limits_and_validation_take_the_same_examples(folder, packed):
    options = {"train_limit": 16, "test_limit": 3, "validation": 0.25}
    memory = folder.model_copy(update=options).limited()
    data = packed.model_copy(update=options).limited()
    for part, size in (("train", 12), ("validation", 4), ("test", 3)):
        found, expected = getattr(data, part).read(), getattr(memory, part)
        assert len(expected) == size
        np.testing.assert_array_equal(found.inputs, expected.inputs)
        np.testing.assert_array_equal(found.labels, expected.labels)


def test_contents_decide_and_not_the_path(packed, tmp_path):
    before = packed.identity()
    moved = ArrayRecord(path=packed.path.rename(tmp_path / "moved"))
    assert moved.identity() == before
    assert change(moved, mean=[1.0, 2.0, 3.0]).identity() != before


def test_stream_changes_the_identity_and_its_absence_does_not(folder):
    assert "stream" not in folder.identity()
    assert folder.model_copy(update={"stream": True}).identity() != folder.identity()


def rewrite(packed, contents):
    """The first training shard with other records."""
    writer = ArrayRecordWriter(str(packed.path / "train-00000.array_record"), "group_size:1")
    for content in contents:
        writer.write(content)
    writer.close()
    return ArrayRecord(path=packed.path)


def good(packed):
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    with ArrayRecordDataSource([str(packed.path / "train-00000.array_record")]) as records:
        return [records[place] for place in range(8)]


def test_a_damaged_record_is_named(packed):
    contents, file = good(packed), packed.path / "train-00000.array_record"
    for place, record, complaint in (
        (3, contents[3][:-30], "found a broken image ("),
        (4, contents[4][:4] + b"no image at all", "found a file that is no image; expected a PNG"),
        (5, contents[5][:4], "found 4 bytes; expected a class (4 bytes) and an image"),
        (6, b"\x09\0\0\0" + contents[6][4:], "found class 9; expected classes from 0 to 1"),
    ):
        options = rewrite(packed, [*contents[:place], record, *contents[place + 1 :]])
        assert refusal(options).startswith(f"{file}, record {place}: {complaint}")
    gif = packed.path / "image.gif"
    Image.new("RGB", (7, 6)).save(gif)
    options = rewrite(packed, [contents[0][:4] + gif.read_bytes(), *contents[1:]])
    assert "no image; expected a PNG or JPEG image" in refusal(options)
    assert "found an image of 6x7; expected 7x7" in refusal(change(packed, size=[7, 7]))


def test_a_damaged_shard_is_named(packed):
    file = packed.path / "train-00001.array_record"
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no shard", b"\xff" * len(whole)):
        file.write_bytes(damaged)
        assert refusal(packed).startswith(f"{file}: found a damaged shard (")
    file.write_bytes(whole[:200] + bytes(b ^ 255 for b in whole[200:260]) + whole[260:])
    assert str(file) in refusal(packed)
    assert "found a damaged shard (" in refusal(packed)
    file.write_bytes((packed.path / "train-00002.array_record").read_bytes())
    assert refusal(packed) == f"{file}: found 3 records; expected 8, as dataset.json says"
    file.unlink()
    assert refusal(packed).startswith(f"{file}: not found; expected one of the files")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"format": "other"}, "found a wrong value of format (Input should be"),
        ({"classes": ["one"]}, "found a wrong value of classes"),
        ({"std": [1.0, 0.0, 1.0]}, "found a wrong value of std.1"),
        ({"mean": [1.0]}, "mean and std must have 3 numbers, one per channel"),
        ({"train": []}, "found a wrong value of train"),
        ({"more": 1}, "found a wrong value of more"),
        (
            {"train": [{"file": "../x.array_record", "examples": 1, "sha256": "0" * 64}]},
            "found a wrong value of train.0.file",
        ),
    ],
)
def test_an_index_that_is_wrong_is_refused(packed, values, complaint):
    found = refusal(change(packed, **values))
    assert found.startswith(f"{packed.path / 'dataset.json'}: ")
    assert complaint in found


def test_a_folder_without_an_index_is_refused(packed):
    (packed.path / "dataset.json").write_text("no JSON")
    assert "found a wrong value of the file" in refusal(ArrayRecord(path=packed.path))
    (packed.path / "dataset.json").unlink()
    assert "dataset.json: cannot be read (No such file" in refusal(ArrayRecord(path=packed.path))


def test_the_command_packs_a_study_s_folder_once(folder, tmp_path):
    config = tmp_path / "flowers.toml"
    table = f'[dataset]\nname = "image_folder"\npath = "{folder.path}"\nsize = [6, 7]\n'
    config.write_text(TINY.replace('[dataset]\nname = "digits"\n', table))
    command = ["pack", str(config), "--out", str(tmp_path / "out"), "--per-shard", "10"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    assert answer.output.strip() == f"24 images in 3 shards: {tmp_path / 'out'}"
    assert len(ArrayRecord(path=tmp_path / "out").load().train) == 19
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 2
    assert "holds dataset.json already; expected a new folder" in answer.output
    config.write_text(TINY)
    answer = CliRunner().invoke(app, command)
    assert "dataset.name is digits; expected image_folder" in answer.output
