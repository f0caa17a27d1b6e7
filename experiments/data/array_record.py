"""Images in array_record shards, streamed, for datasets larger than memory.

A folder contains `dataset.json` and the shards that it names. A record of a shard is the class
index (4 bytes, little-endian) followed by a PNG or JPEG file. Nothing in a shard is executed.

    {
      "format": "jaxpool-images-1",
      "classes": ["daisy", "tulip"],
      "size": [32, 32],
      "channels": 3,
      "mean": [120.5, 99.0, 80.25],
      "std": [60.0, 61.5, 59.0],
      "train": [{"file": "train-00000.array_record", "examples": 1000, "sha256": "..."}],
      "test": [{"file": "test-00000.array_record", "examples": 200, "sha256": "..."}]
    }

`size` is the height and width of every image. `mean` and `std` are the statistics of each channel
of the training images, in units of brightness from 0 to 255. `python -m experiments pack` writes
such a folder.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from experiments import register
from experiments.data.dataset import DataError, Dataset, DatasetInfo, DatasetOptions
from experiments.data.files import remembered
from experiments.data.images import read_image
from experiments.data.stream import Stream, require_grain
from experiments.records import Record
from experiments.section import Folder

INDEX = "dataset.json"
LABEL_BYTES = 4
_READ_TOGETHER = 1024
"""Records read at a time where only their classes are asked for."""

Positive = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Shard(Record):
    """One file of records.

    Attributes:
        file: The file name in the folder.
        examples: The number of records.
        sha256: The SHA-256 of the file.
    """

    file: Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]
    examples: Positive
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


Shards = Annotated[tuple[Shard, ...], Field(strict=False, min_length=1)]


class Index(Record):
    """`dataset.json`.

    Attributes:
        format: The name of the format.
        classes: The names of the classes, by index.
        size: Height and width of every image.
        channels: 3 for colour, 1 for grey.
        mean: The mean of each channel of the training images.
        std: The standard deviation of each channel of the training images.
        train: The shards for training, in order.
        test: The shards for testing, in order.
    """

    format: Literal["jaxpool-images-1"]
    classes: Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
    size: Annotated[tuple[Positive, Positive], Field(strict=False)]
    channels: Literal[1, 3]
    mean: Annotated[tuple[Finite, ...], Field(strict=False)]
    std: Annotated[tuple[Annotated[Finite, Field(gt=0)], ...], Field(strict=False)]
    train: Shards
    test: Shards

    def model_post_init(self, context: Any) -> None:
        """Refuses statistics with a wrong number of channels."""
        if {len(self.mean), len(self.std)} != {self.channels}:
            raise ValueError(f"mean and std must have {self.channels} numbers, one per channel")


@register.dataset("array_record")
class ArrayRecord(DatasetOptions):
    """Images in array_record shards, always streamed; see `python -m experiments pack`.

    Requires the extra `stream`.

    Attributes:
        path: The folder with `dataset.json` and the shards.
    """

    name: str = "array_record"
    path: Folder

    NOT_DECISIVE = frozenset({"path"})

    def describe(self) -> DatasetInfo:
        """Shapes and sizes, from `dataset.json`; no shard is read."""
        index = self._index
        return DatasetInfo(
            input_shape=(*index.size, index.channels),
            classes=len(index.classes),
            train_size=sum(shard.examples for shard in index.train),
            test_size=sum(shard.examples for shard in index.test),
        )

    def load(self) -> Dataset:
        """The images as streams."""
        require_grain("dataset.name array_record")
        index = self._index
        mean, std = (np.array(values, np.float32) for values in (index.mean, index.std))
        return Dataset(
            name="array_record",
            train=Stream.of(_Records(self.path, index, index.train), mean, std),
            test=Stream.of(_Records(self.path, index, index.test), mean, std),
            classes=len(index.classes),
        )

    def identity(self) -> dict[str, Any]:
        """The options, with the SHA-256 of `dataset.json`, which contains those of the shards."""
        text = self._index.model_dump_json()
        return {**super().identity(), "sha256": hashlib.sha256(text.encode()).hexdigest()}

    @cached_property
    def _index(self) -> Index:
        return remembered(self.path / INDEX, _read_index)


def _read_index(path: Path) -> Index:
    try:
        return Index.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); set dataset.path to a folder that "
            "`python -m experiments pack` has written"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{path}: found a wrong value of {where} ({first['msg']}); expected a file that "
            "`python -m experiments pack` has written"
        ) from error


class _Records:
    """The records of some shards, by index; each is decoded when it is indexed."""

    def __init__(self, folder: Path, index: Index, shards: tuple[Shard, ...]):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._index = index
        self._files = [folder / shard.file for shard in shards]
        self._ends = np.array(list(accumulate(shard.examples for shard in shards)))
        self._readers = []
        for file, shard in zip(self._files, shards, strict=True):
            if not file.is_file():
                raise DataError(f"{file}: not found; expected one of the files that {INDEX} names")
            with _naming(str(file)):
                self._readers.append(ArrayRecordDataSource([str(file)]))
            if (found := len(self._readers[-1])) != shard.examples:
                raise DataError(
                    f"{file}: found {found} records; expected {shard.examples}, as {INDEX} says"
                )

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], int]:
        shard = int(np.searchsorted(self._ends, number, side="right"))
        place = number - (int(self._ends[shard - 1]) if shard else 0)
        where = f"{self._files[shard]}, record {place}"
        with _naming(where):
            record = self._readers[shard][place]
        label = self._label(record, where)
        image = read_image(
            record[LABEL_BYTES:], where, self._index.size, self._index.channels, resize=False
        )
        return image, label

    def classes(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """The classes of some examples, from their shards, which are read part by part."""
        found = np.empty(len(self), np.int32)
        start = 0
        for file, reader in zip(self._files, self._readers, strict=True):
            for first in range(0, len(reader), _READ_TOGETHER):
                places = range(first, min(first + _READ_TOGETHER, len(reader)))
                with _naming(f"{file}, records {first} to {places[-1]}"):
                    records = reader.__getitems__(list(places))
                for place, record in zip(places, records, strict=True):
                    found[start + place] = self._label(record, f"{file}, record {place}")
            start += len(reader)
        return found[numbers]

    def _label(self, record: bytes, where: str) -> int:
        if len(record) <= LABEL_BYTES:
            raise DataError(
                f"{where}: found {len(record)} bytes; expected a class ({LABEL_BYTES} bytes) and "
                "an image"
            )
        label = int.from_bytes(record[:LABEL_BYTES], "little")
        if label >= len(self._index.classes):
            raise DataError(
                f"{where}: found class {label}; expected classes from 0 to "
                f"{len(self._index.classes) - 1}"
            )
        return label


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """A context that turns an error of the shard reader into one line that names the file."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        found = (str(error).splitlines() or ["no valid records"])[0][:200]
        raise DataError(
            f"{where}: found a damaged shard ({found}); expected an intact one. Replace it, or "
            "write the folder anew with `python -m experiments pack`"
        ) from error
