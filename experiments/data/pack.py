"""Writes an image folder as array_record shards, which `array_record` streams."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.data.array_record import INDEX, LABEL_BYTES, Index, Shard
from experiments.data.dataset import DataError, Dataset
from experiments.data.image_folder import ImageFolder
from experiments.data.stream import Stream, require_grain
from experiments.records import write, writing


def pack(options: ImageFolder, out: Path, per_shard: int) -> Index:
    """Writes the resized images of a folder as PNG, which is lossless.

    `dataset.json` is written last, so a folder without it is incomplete.

    Args:
        options: The dataset, whose `size`, `channels` and split the shards have.
        out: The folder to write; it must not contain `dataset.json`.
        per_shard: Largest number of images per shard.

    Returns:
        The content of `dataset.json`.

    Raises:
        DataError: An image is damaged, or the folder is already written.
        RecordError: The folder cannot be written.
    """
    require_grain("pack")
    if (out / INDEX).exists():
        raise DataError(f"{out}: holds {INDEX} already; expected a new folder")
    streamed = options.model_copy(update={"stream": True})
    dataset: Dataset = streamed.load()
    train, test = dataset.train, dataset.test
    if not isinstance(train, Stream) or not isinstance(test, Stream):
        raise TypeError("an image folder with stream = true gives streams")
    shards = {
        name: tuple(_write(split, out, name, per_shard))
        for name, split in (("train", train), ("test", test))
    }
    index = Index(
        format="jaxpool-images-1",
        classes=streamed.classes(),
        size=options.size,
        channels=options.channels,
        mean=tuple(map(float, train.mean)),
        std=tuple(map(float, train.std)),
        train=shards["train"],
        test=shards["test"],
    )
    write(out / INDEX, index)
    return index


def _write(split: Stream, out: Path, name: str, per_shard: int) -> Iterator[Shard]:
    """Writes the shards of one split."""
    from array_record.python.array_record_module import ArrayRecordWriter

    for number, first in enumerate(range(0, len(split), per_shard)):
        file = out / f"{name}-{number:05}.array_record"
        examples = split.chosen[first : first + per_shard]
        with writing(file):
            out.mkdir(parents=True, exist_ok=True)
            # One record per group, so that a record is read without adjacent records.
            writer = ArrayRecordWriter(str(file), "group_size:1")
            try:
                for example in examples:
                    image, label = split.source[int(example)]
                    writer.write(label.to_bytes(LABEL_BYTES, "little") + _png(image))
            finally:
                writer.close()
            with file.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
        yield Shard(file=file.name, examples=len(examples), sha256=digest)


def _png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(content, format="PNG")
    return content.getvalue()
