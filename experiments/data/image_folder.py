"""Images of the user: one folder per class, in any format that Pillow reads.

flowers/daisy/1.jpg                        flowers/train/daisy/1.jpg
flowers/tulip/2.png             or         flowers/test/daisy/7.jpg
...                                        ...
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from experiments import register
from experiments.data.cache import cached
from experiments.data.dataset import (
    DataError,
    Dataset,
    DatasetInfo,
    DatasetOptions,
    standardised,
    stratified,
)
from experiments.data.files import remembered, sha256
from experiments.data.images import read_image
from experiments.data.stream import Stream, require_grain, statistics
from experiments.section import Folder, PositiveInt, Seed, Share

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".webp"})

Files = list[tuple[Path, int]]
"""Images and the number of their class."""


@register.dataset("image_folder")
class ImageFolder(DatasetOptions):
    """Your own images, resized: one folder per class, named after the class.

    Attributes:
        path: The folder. It contains one folder per class, or the folders `train` and `test` with
            one folder per class each.
        size: Height and width after resizing.
        channels: 3 for colour, 1 for grey.
        test: Without the folders `train` and `test`: the fraction of each class in the test set.
        test_seed: The random seed of the test split.
        stream: Read images batch by batch when they are needed, instead of all at the start, for
            folders larger than memory. Requires the extra `stream`.
    """

    name: str = "image_folder"
    path: Folder
    size: Annotated[tuple[PositiveInt, PositiveInt], Field(strict=False)]
    channels: Literal[1, 3] = 3
    test: Share = 0.2
    test_seed: Seed = 0
    stream: bool = False

    NOT_DECISIVE = frozenset({"path"})

    def describe(self) -> DatasetInfo:
        """Shapes and sizes, from the file names; no image is read."""
        classes, train, test = self._splits
        return DatasetInfo(
            input_shape=(*self.size, self.channels),
            classes=len(classes),
            train_size=len(train),
            test_size=len(test),
        )

    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by index."""
        return tuple(self._splits[0])

    def load(self) -> Dataset:
        """The images, resized and standardised."""
        classes, train, test = self._splits
        if not self.stream:
            return standardised("image_folder", self._read(train), self._read(test), len(classes))
        require_grain("dataset.stream")
        seen, unseen = (_Images(files, self.size, self.channels) for files in (train, test))
        mean, std = self._statistics(seen)
        return Dataset(
            name="image_folder",
            train=Stream.of(seen, mean, std),
            test=Stream.of(unseen, mean, std),
            classes=len(classes),
        )

    def identity(self) -> dict[str, Any]:
        """The options, with a SHA-256 of all names and contents in place of the path."""
        _, train, test = self._splits
        contents = sorted(
            (file.relative_to(self.path).as_posix(), remembered(file, sha256))
            for file, _ in (*train, *test)
        )
        identity = {**super().identity(), "sha256": _digest(contents)}
        if not self.stream:
            del identity["stream"]  # keeps the fingerprint of older studies
        return identity

    @cached_property
    def _splits(self) -> tuple[list[str], Files, Files]:
        """The names of the classes, and the files for training and testing."""
        parts = {part: self.path / part for part in ("train", "test")}
        present = [part for part, folder in parts.items() if folder.is_dir()]
        if len(present) == 1:
            raise DataError(
                f"{self.path}: found the folder {present[0]} without the other; expected both "
                "train and test, or neither and a folder per class"
            )
        if not present:
            classes, files = _list(self.path)
            apart = stratified(np.array([label for _, label in files]), self.test, self.test_seed)
            train, test = ([files[i] for i in np.flatnonzero(m)] for m in (~apart, apart))
        else:
            classes, train = _list(parts["train"])
            _, test = _list(parts["test"], classes)
        if not test:
            raise DataError(
                f"{self.path}: found no image for testing; expected a larger dataset.test"
            )
        untrained = sorted(set(range(len(classes))) - {label for _, label in train})
        if untrained:
            raise DataError(
                f"{self.path}: found no training image of class {classes[untrained[0]]}; expected "
                "some of each class"
            )
        return classes, train, test

    def _read(self, files: Files) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        images = np.empty((len(files), *self.size, self.channels), np.float32)
        for number, (file, _) in enumerate(files):
            images[number] = read_image(file, str(file), self.size, self.channels)
        return images, np.array([label for _, label in files], np.int32)

    def _statistics(self, images: "_Images") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation per channel, cached after one pass over all images."""

        def compute() -> dict[str, NDArray[np.float32]]:
            mean, std = statistics(images)
            return {"mean": mean, "std": std}

        decisive = {
            key: value
            for key, value in self.identity().items()
            if key in ("sha256", "size", "channels", "test", "test_seed")
        }
        found = cached("image_statistics", _digest(decisive), compute)
        return found["mean"], found["std"]


class _Images:
    """The images of a list of files, each read when it is indexed."""

    def __init__(self, files: Files, size: tuple[int, int], channels: int):
        self._files = files
        self._size = size
        self._channels = channels
        self._classes = np.array([label for _, label in files], np.int32)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], int]:
        file, label = self._files[number]
        return read_image(file, str(file), self._size, self._channels), label

    def classes(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """The classes of some examples."""
        return self._classes[numbers]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _list(folder: Path, classes: list[str] | None = None) -> tuple[list[str], Files]:
    """The classes of a folder, in alphabetical order, and its images."""
    try:
        found = sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be read ({error.strerror}); set dataset.path to a folder that has "
            "one folder of images per class"
        ) from error
    if classes is None:
        classes = found
    if len(classes) < 2:
        raise DataError(
            f"{folder}: found {len(classes) or 'no'} folder{'s' * (len(classes) != 1)}; expected "
            "one per class, at least two"
        )
    if unknown := sorted(set(found) - set(classes)):
        raise DataError(
            f"{folder}: found the class {unknown[0]}; expected those of the training images: "
            f"{', '.join(classes)}"
        )
    files: Files = []
    for label, name in enumerate(classes):
        images = sorted(
            file
            for file in (folder / name).rglob("*")
            if file.suffix.lower() in _SUFFIXES and file.is_file()
        )
        files += [(file, label) for file in images]
        if not images and name in found:
            raise DataError(
                f"{folder / name}: found no image; expected files that end in "
                f"{', '.join(sorted(_SUFFIXES))}"
            )
    return classes, files
