import gzip
import re
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import data
from experiments.data import fashion_mnist, idx
from tests.experiments.data.loading import load


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_directory_of_idx_files_is_read(mnist_like, name, compressed):
    folder, arrays = mnist_like
    if not compressed:
        for path in list(folder.iterdir()):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    dataset = load(name, folder)
    train = arrays["train-images-idx3-ubyte"]
    test = arrays["t10k-images-idx3-ubyte"]
    assert dataset.name == name
    np.testing.assert_allclose(
        dataset.train.inputs[..., 0], (train - train.mean()) / train.std(), atol=1e-5
    )
    np.testing.assert_allclose(
        dataset.test.inputs[..., 0], (test - train.mean()) / train.std(), atol=1e-5
    )
    np.testing.assert_array_equal(dataset.train.labels, arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(dataset.test.labels, arrays["t10k-labels-idx1-ubyte"])


def test_the_debian_folder_is_used_when_no_directory_is_given(mnist_like, monkeypatch):
    folder, arrays = mnist_like
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", folder)
    dataset = load("fashion_mnist")
    np.testing.assert_array_equal(dataset.train.labels, arrays["train-labels-idx1-ubyte"])


def test_constant_images_are_centred_and_not_divided_by_zero(mnist_like, write_idx):
    folder, _ = mnist_like
    write_idx(folder / "train-images-idx3-ubyte.gz", np.full((12, 28, 28), 7))
    dataset = load("mnist", folder)
    assert (dataset.train.inputs == 0).all()
    assert np.isfinite(dataset.test.inputs).all()


def test_missing_files_are_named_with_what_to_do(mnist_like):
    folder, _ = mnist_like
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(data.DataError) as caught:
        load("fashion_mnist", folder)
    message = str(caught.value)
    assert f"{folder} lacks t10k-labels-idx1-ubyte.gz." in message
    assert "dataset.directory" in message
    assert "apt-get install dataset-fashion-mnist" in message
    assert "https://raw.githubusercontent.com/zalandoresearch" in message


def test_a_directory_that_does_not_exist_is_said(tmp_path):
    with pytest.raises(data.DataError, match="nowhere is not a folder; it should have train-im"):
        load("mnist", tmp_path / "nowhere")


def break_magic(content):
    return b"\0\0\x09" + content[3:]


def drop_last(content):
    return content[:-1]


def add_one(content):
    return content + b"\0"


@pytest.mark.parametrize(
    ("damage", "found", "expected"),
    [
        (break_magic, "magic number 0x00000903", "0x00000803"),
        (drop_last, "9,407 bytes after the header", r"9,408 \(12, 28, 28\)"),
        (add_one, "more than 9,408 bytes", r"9,408 \(12, 28, 28\)"),
        (lambda content: content[:7], "7 bytes", "a header of 16"),
        (lambda content: b"", "0 bytes", "a header of 16"),
        (
            lambda content: content[:4] + struct.pack(">3I", 2**31, 2**31, 2**31),
            r"sizes \(2147483648, 2147483648, 2147483648\)",
            "1 to 536,870,912 bytes in all",
        ),
        (lambda content: content[:4] + struct.pack(">3I", 0, 28, 28), "sizes", "1 to"),
        (lambda content: content[:4] + struct.pack(">3I", 2**31 // 784, 28, 28), "sizes", "1 to"),
        (
            lambda content: content[:4] + struct.pack(">3I", 600_000, 28, 28) + content[16:],
            r"too short a file for \(600000, 28, 28\)",
            "470,400,000 bytes after the header",
        ),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_images_name_file_found_and_expected(
    mnist_like, damage, found, expected, compressed
):
    folder, _ = mnist_like
    path = folder / "train-images-idx3-ubyte.gz"
    content = damage(gzip.decompress(path.read_bytes()))
    path.unlink()
    path = path if compressed else path.with_suffix("")
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(data.DataError, match=rf"found {found}.*expected {expected}") as caught:
        load("mnist", folder)
    assert str(path) in str(caught.value)
    assert "Replace this file" in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda raw: raw[: len(raw) // 2], "a gzip stream that ends early"),
        (lambda raw: raw[:200] + bytes(200) + raw[400:], "a broken gzip stream"),
        (lambda raw: raw[:-8] + bytes(4) + raw[-4:], "a broken gzip stream"),
        (lambda raw: raw[:2] + b"\xff" + raw[3:], "a broken gzip stream"),
    ],
)
def test_damaged_compression_is_said(mnist_like, damage, found):
    folder, _ = mnist_like
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(data.DataError, match=found):
        load("mnist", folder)


def test_what_a_stream_holds_beyond_its_header_takes_no_memory(mnist_like):
    folder, _ = mnist_like
    path = folder / "train-images-idx3-ubyte.gz"
    content = gzip.decompress(path.read_bytes()) + bytes(200_000_000)
    path.write_bytes(gzip.compress(content, compresslevel=1))
    del content
    tracemalloc.start()
    with pytest.raises(data.DataError, match="found more than 9,408 bytes"):
        load("mnist", folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_labels_beyond_the_classes_are_refused(mnist_like, write_idx):
    folder, _ = mnist_like
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", [0, 1, 10, 2, 3])
    with pytest.raises(data.DataError, match="found label 10; expected labels from 0 to 9"):
        load("mnist", folder)


def test_counts_of_images_and_labels_must_agree(mnist_like, write_idx):
    folder, _ = mnist_like
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", [0, 1, 2])
    with pytest.raises(data.DataError, match="found 3 labels; expected one for each of the 5"):
        load("mnist", folder)


def test_images_of_another_size_are_refused(mnist_like, write_idx):
    folder, _ = mnist_like
    write_idx(folder / "t10k-images-idx3-ubyte.gz", np.zeros((5, 32, 32)))
    with pytest.raises(data.DataError, match=r"images of \(32, 32\); expected \(28, 28\)"):
        load("mnist", folder)


LABELS = b"\0\0\x08\x01"


@given(
    content=st.binary(max_size=64)
    | st.builds(
        lambda size, body: LABELS + struct.pack(">I", size) + body,
        st.integers(0, 4),
        st.binary(max_size=4),
    )
)
def test_any_bytes_are_read_exactly_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("idx") / "labels"
    path.write_bytes(content)
    size = int.from_bytes(content[4:8], "big")
    if content.startswith(LABELS) and 0 < size == len(content) - 8:
        assert idx.read(path, dimensions=1).tobytes() == content[8:]
    else:
        with pytest.raises(data.DataError, match=re.escape(str(path))):
            idx.read(path, dimensions=1)
