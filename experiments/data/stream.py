"""Streamed examples: threads of grain read, decode and batch them ahead of use.

The caller passes the indices of the examples of each batch, and no state is kept between calls. So
a run that is killed and resumed reads the same batches as an uninterrupted run.
"""

import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jax
import numpy as np
from numpy.typing import NDArray

from experiments.data.dataset import DataError, Split

BATCHES_AHEAD = 2
"""Batches that are decoded before they are asked for: this bounds memory, whatever the dataset."""
_THREADS = 16
"""At most so many threads decode; one per core, if there are fewer."""
_READ_TOGETHER = 64
"""Examples read at a time where a whole pass is made."""

Batch = tuple[NDArray[np.float32], NDArray[np.int32]]


class Source(Protocol):
    """Images and classes by index; reads are thread-safe."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], int]:
        """An image (H, W, C) and its class.

        Raises:
            DataError: The image cannot be read; the message names the file.
        """
        ...

    def classes(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """The classes of some examples, without their images."""
        ...


@dataclass(frozen=True)
class Stream:
    """A selection of the examples of a source, in order; the streamed counterpart of `Split`.

    Attributes:
        source: The source of the examples.
        chosen: The indices of the examples in the source (N,).
        mean: The mean to subtract from each channel (C,).
        std: The standard deviation to divide each channel by (C,).
    """

    source: Source
    chosen: NDArray[np.int64]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @classmethod
    def of(cls, source: Source, mean: NDArray[np.float32], std: NDArray[np.float32]) -> "Stream":
        """All examples of a source."""
        return cls(source, np.arange(len(source)), mean, std)

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.chosen)

    @property
    def labels(self) -> NDArray[np.int32]:
        """The class of every example (N,)."""
        return self.source.classes(self.chosen)

    def shapes(self, size: int) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
        """Shapes and dtypes of a batch, from one example."""
        image, _ = self.source[int(self.chosen[0])]
        inputs = jax.ShapeDtypeStruct((size, *image.shape), np.float32)
        return inputs, jax.ShapeDtypeStruct((size,), np.int32)

    def take(self, chosen: slice | NDArray[Any]) -> "Stream":
        """A selection of the examples; no example is read."""
        return replace(self, chosen=self.chosen[chosen])

    def read(self) -> Split:
        """Reads all examples into memory."""
        parts = list(self.batches(np.arange(len(self)), _READ_TOGETHER))
        inputs, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return Split(inputs, labels)

    def batches(self, order: NDArray[np.integer[Any]], size: int) -> Generator[Batch]:
        """Yields batches of examples, which threads read ahead.

        Args:
            order: The indices of the examples of all batches (M,).
            size: Examples per batch; the last batch may have fewer.

        Yields:
            Standardised images (size, H, W, C) and classes.

        Raises:
            DataError: An example cannot be read; the message names its file.
        """
        with closing(_read_ahead(self.source, self.chosen[np.asarray(order)], size)) as read:
            for images, labels in read:
                inputs = images.astype(np.float32)
                inputs -= self.mean
                inputs /= self.std
                yield inputs, labels.astype(np.int32)


def statistics(
    source: Source,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each channel, in one pass over a source.

    Sums of bytes and of their squares are exact, so the mean equals that of `standardised`.

    Args:
        source: The training examples.

    Returns:
        Mean (C,) and standard deviation (C,), 1 for a constant channel.
    """
    total, squares, count = np.zeros(1, np.int64), np.zeros(1, np.int64), 0
    with closing(_read_ahead(source, np.arange(len(source)), _READ_TOGETHER)) as read:
        for images, _ in read:
            total = total + images.sum((0, 1, 2), dtype=np.int64)
            squares = squares + np.square(images, dtype=np.uint16).sum((0, 1, 2), dtype=np.int64)
            count += images[..., 0].size
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean * mean, 0))
    return mean.astype(np.float32), np.where(std > 0, std, 1).astype(np.float32)


def require_grain(asked_by: str) -> None:
    """Checks that the package grain is installed.

    Args:
        asked_by: The key of the config that requires grain.

    Raises:
        DataError: grain is not installed.
    """
    try:
        import grain  # noqa: F401
    except ImportError as error:
        raise DataError(
            f'{asked_by}: needs the package grain: pip install "jaxpool[stream]"'
        ) from error


class _Ordered:
    """A reordered source, in the interface of grain."""

    def __init__(self, source: Source, order: NDArray[np.int64]):
        self._source = source
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], np.int32]:
        image, label = self._source[int(self._order[index])]
        return image, np.int32(label)


def _read_ahead(source: Source, order: NDArray[np.int64], size: int) -> Generator[Any]:
    """Batches of raw images and classes; at most `BATCHES_AHEAD` are decoded ahead."""
    import grain

    ahead = BATCHES_AHEAD * size
    threads = min(_THREADS, len(os.sched_getaffinity(0)), ahead)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
    examples = grain.MapDataset.source(_Ordered(source, order)).to_iter_dataset(options)
    batches = iter(examples.batch(size))
    try:
        yield from batches
    finally:
        batches.close()
