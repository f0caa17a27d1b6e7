"""Where a dataset's files come from: a given folder, a system package, a checksummed download."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.data.dataset import DataError


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    Attributes:
        url: Where to download it; the last part is its name.
        sha256: The checksum of the file as published.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, and its name on disk."""
        return self.url.rpartition("/")[2]


def locate(
    dataset: str,
    files: Sequence[RemoteFile],
    directory: Path | None = None,
    system: Path | None = None,
    advice: str = "",
) -> list[Path]:
    """Finds all the files of a dataset, or downloads them to the user's cache.

    Args:
        dataset: The dataset's name, for messages and the cache.
        files: What is needed. A file whose name ends in .gz may lie on disk decompressed.
        directory: Where the files must be; None allows the system's folder and a download.
        system: A folder that an operating system's package installs.
        advice: One more way to get the files, for messages.

    Returns:
        A path a file, in the order of `files`.

    Raises:
        DataError: The directory lacks a file, or a download failed or had the wrong checksum.
    """
    if directory is not None:
        found = [_on_disk(directory, file) for file in files]
        missing = [file.name for file, path in zip(files, found, strict=True) if path is None]
        if missing:
            where = "lacks" if directory.is_dir() else "is not a folder; it should have"
            raise DataError(
                f"{dataset}: the directory {directory} {where} {', '.join(missing)}. "
                f"Put the files there, or unset dataset.directory. {_ways(files, advice)}"
            )
        return [path for path in found if path is not None]
    if system is not None:
        installed = [path for file in files if (path := _on_disk(system, file))]
        if len(installed) == len(files):
            return installed
    return [_download(dataset, file, _ways(files, advice)) for file in files]


def _on_disk(folder: Path, file: RemoteFile) -> Path | None:
    candidates = (folder / file.name, folder / file.name.removesuffix(".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _ways(files: Sequence[RemoteFile], advice: str) -> str:
    bases = dict.fromkeys(file.url.rpartition("/")[0] + "/" for file in files)
    return f"They are published at {', '.join(bases)}. {advice}".rstrip()


def _download(dataset: str, file: RemoteFile, ways: str) -> Path:
    """Fetches one file into the cache, unless it is there with the right checksum."""
    import pooch  # pulls in requests, so only on use

    cache = pooch.os_cache("jaxpool") / dataset
    try:
        return Path(pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=file.name, path=cache))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; ValueError: checksum
        raise DataError(
            f"{dataset}: {file.name} could not be downloaded from {file.url}: {error}. "
            f"Download the files yourself and set dataset.directory to their folder. {ways}"
        ) from error
