import tarfile

import numpy as np
import pytest

from experiments import data
from tests.experiments.data.loading import load

TEST_BATCH = "cifar-10-batches-bin/test_batch.bin"


@pytest.fixture
def encoded(cifar_members, cifar_bytes):
    return {name: cifar_bytes(*batch) for name, batch in cifar_members.items()}


def test_the_archive_is_read_in_order_with_channels_last(
    tmp_path, write_cifar, cifar_members, encoded
):
    shuffled = dict(sorted(encoded.items(), reverse=True))
    write_cifar(tmp_path, {"cifar-10-batches-bin/readme.html": b"<p>", **shuffled})
    dataset = load("cifar10", tmp_path)

    *train, test = cifar_members.values()
    planes = np.concatenate([batch[1] for batch in train]).astype(np.float64)
    mean = planes.mean((0, 2, 3), keepdims=True)
    std = planes.std((0, 2, 3), keepdims=True)
    expected = np.moveaxis((planes - mean) / std, 1, -1)
    np.testing.assert_allclose(dataset.train.inputs, expected, atol=1e-5)
    np.testing.assert_allclose(
        dataset.test.inputs, np.moveaxis((test[1] - mean) / std, 1, -1), atol=1e-5
    )
    np.testing.assert_array_equal(dataset.train.labels, np.concatenate([b[0] for b in train]))
    np.testing.assert_array_equal(dataset.test.labels, test[0])
    assert dataset.train.inputs.flags.c_contiguous


def test_a_missing_archive_is_named_with_where_to_get_it(tmp_path):
    with pytest.raises(data.DataError, match=r"lacks cifar-10-binary\.tar\.gz.*cs\.toronto\.edu"):
        load("cifar10", tmp_path)


def test_a_missing_batch_is_named(tmp_path, write_cifar, encoded):
    del encoded[TEST_BATCH]
    write_cifar(tmp_path, encoded)
    with pytest.raises(data.DataError, match=rf"found no {TEST_BATCH}; expected 6 batches"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda content: content[:-1], "test_batch.bin of 9,218 bytes; expected a multiple"),
        (lambda content: b"", "test_batch.bin of 0 bytes"),
        (lambda content: b"\x0a" + content[1:], "label 10 in .*; expected labels from 0 to 9"),
        (lambda content: bytes(3073 * 10_001), "of 30,733,073 bytes; expected at most 30,730,000"),
    ],
)
def test_a_batch_of_wrong_size_or_label_is_refused(tmp_path, write_cifar, encoded, change, found):
    encoded[TEST_BATCH] = change(encoded[TEST_BATCH])
    write_cifar(tmp_path, encoded)
    with pytest.raises(data.DataError, match=found):
        load("cifar10", tmp_path)


def test_a_link_in_place_of_a_batch_is_not_followed(tmp_path, write_cifar, encoded):
    link = tarfile.TarInfo(TEST_BATCH)
    link.type = tarfile.SYMTYPE
    link.linkname = "data_batch_1.bin"
    write_cifar(tmp_path, {**encoded, TEST_BATCH: link})
    with pytest.raises(data.DataError, match="as a link or device; expected a regular file"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"not an archive",
        lambda raw: raw[:1000] + bytes(1000) + raw[2000:],
        lambda raw: b"",
    ],
)
def test_a_broken_archive_is_refused_by_name(tmp_path, write_cifar, encoded, damage):
    path = write_cifar(tmp_path, encoded)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(data.DataError, match="a broken archive") as caught:
        load("cifar10", tmp_path)
    assert str(path) in str(caught.value)
