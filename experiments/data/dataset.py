"""What every dataset becomes: standardised float images, integer labels, a fixed split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class DataError(Exception):
    """A dataset is missing or damaged; the message says what was found and what to do."""


def damaged(path: Path, found: str, expected: str) -> DataError:
    """The error for a file that does not hold what it should.

    Args:
        path: The file.
        found: What it holds.
        expected: What it should hold.

    Returns:
        The error, to raise.
    """
    return DataError(
        f"{path}: found {found}; expected {expected}. Replace this file with an intact one, or "
        f"remove it and unset dataset.directory to let a checksummed copy be downloaded."
    )


@dataclass(frozen=True)
class Split:
    """Inputs and labels in the dataset's own order.

    Attributes:
        inputs: float32 (N, H, W, C), standardised per channel.
        labels: int32 (N,), from 0 to classes - 1.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int32]


@dataclass(frozen=True)
class Dataset:
    """A training and a test split that never mix."""

    name: str
    train: Split
    test: Split
    classes: int


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before it is loaded.

    Attributes:
        input_shape: (H, W, C) of one example.
        classes: How many classes it has.
        train_size: Training examples.
        test_size: Test examples.
    """

    input_shape: tuple[int, int, int]
    classes: int
    train_size: int
    test_size: int


def standardised(
    name: str,
    train: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    test: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    classes: int,
) -> Dataset:
    """Builds a dataset from raw images and labels.

    The mean and the standard deviation of each channel come from the training images alone, so
    nothing of the test set reaches training.

    Args:
        name: The dataset's name.
        train: Training images (N, H, W, C) and labels (N,).
        test: Test images and labels, likewise.
        classes: How many classes there are.

    Returns:
        The dataset.
    """
    inputs, held_out = (images.astype(np.float32, order="C") for images, _ in (train, test))
    for channel in range(inputs.shape[-1]):
        mean = inputs[..., channel].mean(dtype=np.float64)
        std = inputs[..., channel].std(dtype=np.float64) or 1.0
        for images in (inputs, held_out):
            images[..., channel] -= np.float32(mean)
            images[..., channel] /= np.float32(std)
    return Dataset(
        name=name,
        train=Split(inputs, train[1].astype(np.int32)),
        test=Split(held_out, test[1].astype(np.int32)),
        classes=classes,
    )
