"""A user's own images: one folder per class, with images in the formats that Pillow reads.

flowers/daisy/1.jpg                        flowers/train/daisy/1.jpg
flowers/tulip/2.png             or         flowers/test/daisy/7.jpg
...                                        ...
"""

import hashlib
import json
import warnings
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from experiments import register
from experiments.data.dataset import (
    DataError,
    Dataset,
    DatasetInfo,
    DatasetOptions,
    standardised,
    stratified,
)
from experiments.data.files import remembered, sha256
from experiments.section import Folder, PositiveInt, Seed, Share

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".webp"})

Files = list[tuple[Path, int]]
"""Images and the number of their class."""


@register.dataset("image_folder")
class ImageFolder(DatasetOptions):
    """Your own images: one folder per class, named after the class; resized.

    Attributes:
        path: The folder. It has one folder per class; or the folders `train` and `test`, each with
            one folder per class.
        size: Height and width to which every image is resized.
        channels: 3 for colour, 1 for grey.
        test: Without `train` and `test`: the share of each class that is the test set.
        test_seed: Which images these are.
    """

    name: str = "image_folder"
    path: Folder
    size: Annotated[tuple[PositiveInt, PositiveInt], Field(strict=False)]
    channels: Literal[1, 3] = 3
    test: Share = 0.2
    test_seed: Seed = 0

    NOT_DECISIVE = frozenset({"path"})

    def describe(self) -> DatasetInfo:
        """Shapes and sizes; the names of the files are read for them, not the images."""
        classes, train, test = self._splits
        return DatasetInfo(
            input_shape=(*self.size, self.channels),
            classes=len(classes),
            train_size=len(train),
            test_size=len(test),
        )

    def load(self) -> Dataset:
        """The images, resized and standardised."""
        classes, train, test = self._splits
        return standardised("image_folder", self._read(train), self._read(test), len(classes))

    def identity(self) -> dict[str, Any]:
        """The options, with a SHA-256 of all names and contents in place of the path."""
        _, train, test = self._splits
        contents = sorted(
            (file.relative_to(self.path).as_posix(), remembered(file, sha256))
            for file, _ in (*train, *test)
        )
        digest = hashlib.sha256(json.dumps(contents).encode()).hexdigest()
        return {**super().identity(), "sha256": digest}

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
            images[number] = self._read_one(file)
        return images, np.array([label for _, label in files], np.int32)

    def _read_one(self, file: Path) -> NDArray[np.uint8]:
        height, width = self.size
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(file) as image:
                    resized = image.convert("L" if self.channels == 1 else "RGB").resize(
                        (width, height), Image.Resampling.BILINEAR
                    )
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DataError(
                f"{file}: found a larger image than is read; expected at most "
                f"{Image.MAX_IMAGE_PIXELS:,} pixels. Remove it, or make it smaller"
            ) from error
        except UnidentifiedImageError as error:
            raise DataError(
                f"{file}: found a file that is no image; expected one that Pillow can read. "
                "Remove it, or replace it"
            ) from error
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(
                f"{file}: found a broken image ({error}); expected an intact one. Remove it, or "
                "replace it"
            ) from error
        return np.asarray(resized, np.uint8).reshape(height, width, self.channels)


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
