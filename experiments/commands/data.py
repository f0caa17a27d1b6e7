"""The command `pack`."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.plain_errors import plain_errors


def pack(
    config: Annotated[Path, typer.Argument(help="A study's TOML file, of an image_folder.")],
    out: Annotated[Path, typer.Option(help="The folder to write, which is new.")],
    per_shard: Annotated[int, typer.Option(min=1, help="The most images per shard.")] = 1000,
) -> None:
    """Write a study's image folder as array_record shards, to stream: dataset.name array_record."""
    from experiments.config import ConfigError, load
    from experiments.data import image_folder
    from experiments.data.pack import pack

    with plain_errors():
        dataset = load(config).dataset
        if not isinstance(dataset, image_folder.ImageFolder):
            raise ConfigError(f"{config}: dataset.name is {dataset.name}; expected image_folder")
        index = pack(dataset, out, per_shard)
        shards = (*index.train, *index.test)
        print(f"{sum(s.examples for s in shards)} images in {len(shards)} shards: {out}")
