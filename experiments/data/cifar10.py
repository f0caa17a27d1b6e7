"""CIFAR-10: 60,000 photographs, 32x32, colour (Krizhevsky, 2009), from its binary archive.

The archive is a gzip-compressed tar of six files. Each file is a sequence of records: 3,073 bytes
with a label, then the red, green and blue planes of one image. The files are read from the archive
by their exact names. Nothing is extracted to disk or unpickled, and links are not followed.
"""

import gzip
import tarfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments import register
from experiments.data.dataset import (
    Dataset,
    DatasetInfo,
    FileDatasetOptions,
    damaged,
    standardised,
)
from experiments.data.sources import RemoteFile, locate

INFO = DatasetInfo(input_shape=(32, 32, 3), classes=10, train_size=50_000, test_size=10_000)

ARCHIVE = RemoteFile(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
_FOLDER = "cifar-10-batches-bin"
TRAIN_MEMBERS = tuple(f"{_FOLDER}/data_batch_{number}.bin" for number in range(1, 6))
TEST_MEMBER = f"{_FOLDER}/test_batch.bin"
_RECORD = 1 + 3 * 32 * 32
_LARGEST = 10_000 * _RECORD


@register.dataset("cifar10")
class Cifar10(FileDatasetOptions):
    """CIFAR-10: 60,000 photographs, 32x32, from cifar-10-binary.tar.gz, downloaded if missing."""

    def describe(self) -> DatasetInfo:
        """Shapes and sizes."""
        return INFO

    def load(self) -> Dataset:
        """The images, standardised per colour channel."""
        (archive,) = locate("cifar10", [ARCHIVE], self.directory)
        members = _read_members(archive, {*TRAIN_MEMBERS, TEST_MEMBER})
        batches = [_parse(archive, name, members[name]) for name in TRAIN_MEMBERS]
        return standardised(
            "cifar10",
            train=(
                np.concatenate([images for images, _ in batches]),
                np.concatenate([labels for _, labels in batches]),
            ),
            test=_parse(archive, TEST_MEMBER, members[TEST_MEMBER]),
            classes=INFO.classes,
        )


def _read_members(archive: Path, wanted: set[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    try:
        with gzip.open(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for member in tar:
                if member.name not in wanted:
                    continue
                stream = tar.extractfile(member) if member.isreg() else None
                if stream is None:
                    raise damaged(archive, f"{member.name} as a link or device", "a regular file")
                if member.size > _LARGEST:
                    raise damaged(
                        archive, f"{member.name} of {member.size:,} bytes", f"at most {_LARGEST:,}"
                    )
                contents[member.name] = stream.read()
            while unpacked.read(1 << 20):
                pass  # gzip checks its checksum only at its end, behind the end of the tar
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise damaged(archive, f"a broken archive ({error})", "an intact tar.gz") from error
    if missing := sorted(wanted - contents.keys()):
        raise damaged(archive, f"no {', '.join(missing)}", f"{len(wanted)} batches")
    return contents


def _parse(archive: Path, name: str, content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if not content or len(content) % _RECORD:
        raise damaged(
            archive, f"{name} of {len(content):,} bytes", f"a multiple of {_RECORD:,} bytes"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0]
    if labels.max() >= INFO.classes:
        raise damaged(
            archive, f"label {labels.max()} in {name}", f"labels from 0 to {INFO.classes - 1}"
        )
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels
