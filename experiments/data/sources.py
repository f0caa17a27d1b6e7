"""Lookup of a dataset's files in a given folder, in a system package, or by a checked download."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.data.dataset import DataError


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    Attributes:
        url: The download address; its last part is the file's name.
        sha256: Checksum of the published file.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, also on disk."""
        return self.url.rpartition("/")[2]


def locate(
    dataset: str,
    files: Sequence[RemoteFile],
    directory: Path | None = None,
    system: Path | None = None,
    advice: str = "",
) -> list[Path]:
    """Finds all files of a dataset, or downloads them to the user's cache.

    Args:
        dataset: The dataset's name, for messages and the cache.
        files: The required files. A file whose name ends in .gz may exist on disk decompressed.
        directory: The folder of the files; None allows the system's folder and a download.
        system: A folder that a package of the operating system installs.
        advice: Another way to get the files, for error messages.

    Returns:
        One path per file, in the order of `files`.

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
    """Downloads one file to the cache, unless the cache has it with the right checksum."""
    import pooch  # imported here because it loads requests

    cache = pooch.os_cache("jaxpool") / dataset
    try:
        return Path(pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=file.name, path=cache))
    except (OSError, ValueError) as error:  # requests raises OSErrors; a wrong checksum ValueError
        raise DataError(
            f"{dataset}: {file.name} could not be downloaded from {file.url}: {error}. "
            f"Download the files yourself and set dataset.directory to their folder. {ways}"
        ) from error
