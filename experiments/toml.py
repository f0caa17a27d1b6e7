"""Reader of TOML that may be damaged or hostile, with limits on size, depth and time."""

import re
import tomllib
from pathlib import Path
from typing import Any

_LARGEST = 1_000_000
"""Maximum size of a config in bytes; the largest published config has 4,000."""
_PART = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*"
_LONG_KEY = re.compile(rf"{_PART}(?:\.[ \t]*{_PART}){{64}}")
"""A key of more than 64 parts; the parser's time grows with the square of the number of parts."""


class TomlError(ValueError):
    """A text is not valid TOML, or exceeds the limits on size and depth."""


def read(path: Path) -> dict[str, Any]:
    """Reads a file.

    Args:
        path: The file.

    Returns:
        The parsed table.

    Raises:
        TomlError: The file is not valid TOML, too large or too deep.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise TomlError(f"larger than {_LARGEST:,} bytes")
    try:
        return parse(content.decode())
    except UnicodeDecodeError as error:
        raise TomlError(str(error)) from error


def parse(text: str) -> dict[str, Any]:
    """Reads a text.

    Args:
        text: The TOML.

    Returns:
        The parsed table.

    Raises:
        TomlError: The text is not valid TOML, or too deep.

    Example:
        >>> parse("a.b = 1")
        {'a': {'b': 1}}
        >>> parse("a = " + 1000 * "[" + 1000 * "]")
        Traceback (most recent call last):
        experiments.toml.TomlError: nested too deeply
    """
    if _LONG_KEY.search(text):
        raise TomlError("a key of more than 64 parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(str(error)) from error
    except RecursionError as error:
        raise TomlError("nested too deeply") from error
