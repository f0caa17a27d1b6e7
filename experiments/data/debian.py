"""Reader of Debian's package descriptions from apt's lists, split into sentences."""

import functools
import hashlib
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.data.dataset import DataError
from experiments.data.text import stamp

LISTS = Path("/var/lib/apt/lists")
"""The folder into which `apt-get update` downloads lists."""
_HELPER = Path("/usr/lib/apt/apt-helper")
_PATTERN = "*_main_i18n_Translation-en*"
_UPDATE = "apt-get -o Acquire::Languages=en update"
_EXPECTED = "a Translation-en file of Debian"
_COMPRESSED = frozenset({".lz4", ".xz", ".gz", ".bz2", ".zst"})

_DESCRIPTION = re.compile(r"^Description-en:(.*)((?:\n .*)*)", re.MULTILINE)
_BULLET = re.compile(r"^\s*(?:[*+•o-]|\d+[.)])\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z0-9\"'(\u2018\u201c])")
_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Package:
    """The description of one package.

    Attributes:
        synopsis: The first line of the description.
        sentences: The sentences and list items of the long description.
    """

    synopsis: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Descriptions:
    """The entries of a file, and the SHA-256 of its text."""

    path: Path
    entries: Sequence[Package]
    sha256: str


def installed() -> Path:
    """The largest file of descriptions in apt's lists, which is that of the release's main section.

    Raises:
        DataError: There is no such file.
    """
    found = [path for path in LISTS.glob(_PATTERN) if path.is_file()]
    if not found:
        raise DataError(
            f"descriptions: no file {_PATTERN} in {LISTS}. On Debian and Ubuntu: {_UPDATE}; or set "
            f"dataset.path to {_EXPECTED}"
        )
    return max(sorted(found), key=lambda path: path.stat().st_size)


def read(path: Path) -> Descriptions:
    """Reads a file of descriptions, once per process.

    Args:
        path: The file. A compressed file is unpacked by apt's helper, as apt's own lists require.

    Returns:
        The file's entries.

    Raises:
        DataError: The file is missing, cannot be unpacked, or contains no description.
    """
    return _read(*stamp(path, _EXPECTED))


def parse(text: str) -> list[Package]:
    """Parses the entries of a file's text: paragraphs with a field `Description-en`.

    Args:
        text: The text. The first line of a description is the synopsis; ` .` ends a paragraph.

    Returns:
        The entries, in the file's order.
    """
    found = (_DESCRIPTION.search(paragraph) for paragraph in text.split("\n\n"))
    return [
        Package(match[1].strip(), tuple(_sentences(match[2].split("\n")[1:])))
        for match in found
        if match
    ]


def _sentences(lines: Sequence[str]) -> list[str]:
    units: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == ".":
            units.append([])
        elif _BULLET.match(line[1:]):
            units.append([_BULLET.sub("", line[1:])])
        else:
            units[-1].append(line)
    flowing = (" ".join(" ".join(unit).split()) for unit in units)
    sentences = (sentence for unit in flowing for sentence in _SENTENCE_END.split(unit))
    return [sentence for sentence in sentences if _WORD.search(sentence)]


@functools.lru_cache(maxsize=2)
def _read(path: Path, size: int, changed: int) -> Descriptions:
    del size, changed
    content = _unpacked(path) if path.suffix in _COMPRESSED else _bytes(path)
    try:
        entries = parse(content.decode())
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: found a byte that is not UTF-8 at position {error.start}; expected "
            f"{_EXPECTED}. Download it again: {_UPDATE}"
        ) from error
    if not entries:
        raise DataError(
            f"{path}: found no field Description-en; expected {_EXPECTED}. Renew it: {_UPDATE}"
        )
    return Descriptions(path, entries, hashlib.sha256(content).hexdigest())


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; expected {_EXPECTED}. Check the path"
        ) from error


def _unpacked(path: Path) -> bytes:
    try:
        process = subprocess.run(
            [_HELPER, "cat-file", path.absolute()], capture_output=True, check=True
        )
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: is compressed, and apt's helper {_HELPER} is missing. Unpack "
            "it, and set dataset.path to the result"
        ) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise DataError(
            f"{path}: cannot be unpacked; apt's helper reports: {said[0]}; expected {_EXPECTED}. "
            f"Download it again: {_UPDATE}"
        ) from error
    return process.stdout
