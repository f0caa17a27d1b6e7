"""Small files in the true formats."""

import gzip
import io
import struct
import tarfile

import numpy as np
import pytest


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def write_idx():
    """Writes an array as IDX, compressed if the path ends in .gz; returns the path."""

    def write(path, array):
        content = idx_bytes(np.asarray(array))
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return path

    return write


@pytest.fixture
def mnist_like(tmp_path, write_idx):
    """A folder with the four files (12 training and 5 test images), and their arrays."""
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (12, 28, 28)),
        "train-labels-idx1-ubyte": rng.integers(0, 10, 12),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (5, 28, 28)),
        "t10k-labels-idx1-ubyte": rng.integers(0, 10, 5),
    }
    for name, array in arrays.items():
        write_idx(tmp_path / f"{name}.gz", array)
    return tmp_path, arrays


def write_archive(folder, members):
    """Writes cifar-10-binary.tar.gz from {member name: bytes or TarInfo}; returns the path."""
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def write_cifar():
    """`write_archive`, for tests in this folder."""
    return write_archive


@pytest.fixture
def cifar_members():
    """Six batches of three records each, as arrays: labels (3,) and planes (3, 3, 32, 32)."""
    rng = np.random.default_rng(1)
    names = [f"cifar-10-batches-bin/data_batch_{n}.bin" for n in range(1, 6)]
    names.append("cifar-10-batches-bin/test_batch.bin")
    return {
        name: (
            rng.integers(0, 10, 3).astype(np.uint8),
            rng.integers(0, 256, (3, 3, 32, 32)).astype(np.uint8),
        )
        for name in names
    }


@pytest.fixture
def cifar_bytes():
    """The bytes of one batch."""

    def encode(labels, planes):
        return b"".join(
            bytes([label]) + plane.tobytes() for label, plane in zip(labels, planes, strict=True)
        )

    return encode
