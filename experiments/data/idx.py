"""Reader of the IDX format of MNIST and its successors, gzip-compressed or plain.

A file consists of the magic number 0x0000TTDD (TT = 8: unsigned bytes; DD: number of dimensions),
DD big-endian 32-bit sizes, and as many bytes as the product of the sizes.
"""

import gzip
import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from experiments.data.dataset import Dataset, DatasetInfo, damaged, standardised

_UNSIGNED_BYTES = 8
_LARGEST = 1 << 29  # bytes; a header with more is corrupt, since MNIST has 47 million
_DENSEST = 1032  # maximum number of bytes that one byte of a gzip stream can expand to
_PIECE = 1 << 20  # bytes per read; memory then grows only with the data that exists


def read_dataset(name: str, info: DatasetInfo, paths: Sequence[Path]) -> Dataset:
    """Reads the four files of an MNIST-like dataset with any number of examples.

    Args:
        name: The dataset's name.
        info: The shape and the number of classes that the files must have.
        paths: Training images, training labels, test images, test labels.

    Returns:
        The dataset, standardised.

    Raises:
        DataError: A file is damaged, or the numbers of images and labels differ.
    """
    train_images, train_labels, test_images, test_labels = paths
    return standardised(
        name,
        train=read_split(train_images, train_labels, info),
        test=read_split(test_images, test_labels, info),
        classes=info.classes,
    )


def read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Reads one IDX file of unsigned bytes.

    Args:
        path: The file.
        dimensions: The required number of dimensions.

    Returns:
        The array.

    Raises:
        DataError: The file is unreadable, is not an IDX file of bytes, or has a wrong length.
    """
    try:
        with path.open("rb") as plain:
            compressed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            size = os.fstat(plain.fileno()).st_size
            if not compressed:
                return _parse(path, plain, dimensions, size)
            with gzip.open(plain) as stream:
                return _parse(path, stream, dimensions, size * _DENSEST)  # type: ignore[arg-type]
    except EOFError as error:
        raise damaged(path, "a gzip stream that ends early", "a complete one") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise damaged(path, f"a broken gzip stream ({error})", "an intact one") from error
    except OSError as error:
        raise damaged(path, f"an unreadable file ({error.strerror})", "an IDX file") from error


def _parse(path: Path, stream: BinaryIO, dimensions: int, most: int) -> NDArray[np.uint8]:
    """Parses a stream that can hold at most `most` bytes."""
    header = stream.read(4 * (dimensions + 1))
    magic = _UNSIGNED_BYTES << 8 | dimensions
    if len(header) < 4 * (dimensions + 1):
        raise damaged(path, f"{len(header)} bytes", f"a header of {4 * (dimensions + 1)}")
    found, *sizes = (int(number) for number in np.frombuffer(header, ">u4"))
    if found != magic:
        raise damaged(path, f"magic number 0x{found:08x}", f"0x{magic:08x}")
    length = math.prod(sizes)
    if not 0 < length <= _LARGEST:
        raise damaged(path, f"sizes {tuple(sizes)}", f"1 to {_LARGEST:,} bytes in all")
    if length > most:
        raise damaged(
            path, f"too short a file for {tuple(sizes)}", f"{length:,} bytes after the header"
        )
    content = bytearray()
    while len(content) <= length and (piece := stream.read(min(_PIECE, length + 1 - len(content)))):
        content += piece
    if len(content) != length:
        found_length = f"{len(content):,}" if len(content) < length else f"more than {length:,}"
        raise damaged(path, f"{found_length} bytes after the header", f"{length:,} {tuple(sizes)}")
    return np.frombuffer(content, np.uint8).reshape(sizes)


def read_split(
    images: Path, labels: Path, info: DatasetInfo
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Reads images and their labels from two files.

    Args:
        images: The file of images.
        labels: The file of labels.
        info: The required shape and number of classes.

    Returns:
        Images (N, H, W, 1) and labels (N,).

    Raises:
        DataError: A file is damaged, or the numbers of images and labels differ.
    """
    pixels = read(images, dimensions=3)
    targets = read(labels, dimensions=1)
    height, width, _ = info.input_shape
    if pixels.shape[1:] != (height, width):
        raise damaged(images, f"images of {pixels.shape[1:]}", f"{(height, width)}")
    if len(targets) != len(pixels):
        raise damaged(
            labels, f"{len(targets):,} labels", f"one for each of the {len(pixels):,} images"
        )
    if targets.max() >= info.classes:
        raise damaged(labels, f"label {targets.max()}", f"labels from 0 to {info.classes - 1}")
    return pixels[..., None], targets
