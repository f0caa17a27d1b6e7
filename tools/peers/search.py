"""Finds a peer's poolings by name, and checks the lists of the peer's file against them.

Every name found must belong to a row, to the extras, or to the names set aside with a reason.
Every name in these lists must exist. Otherwise the search raises an error.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from experiments.records import RecordError
from tools.peers.library import Library

PATTERNS = (
    r"pool",
    r"(^|_)(ps_?)?roi(_|[A-Z])|RoI",
    r"crop_?and_?resize",
    r"blur",
    r"median",
    r"logsumexp",
    r"pyramid",
    r"erosion|dilation2d|morpholog",
    r"reduce_?window",
    r"segment",
    r"embedding_?bag",
)
"""Patterns of the names of poolings; upper and lower case match alike."""


@dataclass(frozen=True)
class Found:
    """The names of a peer's poolings.

    Attributes:
        claimed: Names that belong to a row, by row.
        extras: Names of poolings that jaxpool lacks, by description.
        aside: Names that are not poolings, by the reason.
    """

    claimed: dict[str, tuple[str, ...]]
    extras: dict[str, tuple[str, ...]]
    aside: dict[str, tuple[str, ...]]


def search(library: Library) -> Found:
    """Searches the public names of a peer's modules.

    Args:
        library: The peer.

    Returns:
        Every name found, by the list to which it belongs.

    Raises:
        RecordError: A name belongs to no list, or a listed name does not exist.
    """
    names = public_names(library.modules)
    claims = {row: (*a.calls, *a.aliases) for row, a in library.adapters.items()}
    found = Found(
        *(
            {label: _matching(patterns, names) for label, patterns in kind.items()}
            for kind in (claims, library.extras, library.aside)
        )
    )
    accounted = {name for kind in vars(found).values() for some in kind.values() for name in some}
    if unclaimed := sorted(set(names) - accounted):
        raise RecordError(f"{library.name}: no row claims {', '.join(unclaimed)}")
    for kind in (claims, library.extras, library.aside):
        for pattern in (pattern for patterns in kind.values() for pattern in patterns):
            if not _matching([pattern], names) and not _exists(pattern):
                raise RecordError(f"{library.name}: there is no {pattern}")
    return found


def public_names(modules: Iterable[str]) -> tuple[str, ...]:
    """The dotted names of callables in some modules that match `PATTERNS`."""
    wanted = re.compile("|".join(PATTERNS), re.IGNORECASE)
    found = []
    for path in modules:
        module = importlib.import_module(path)
        for name in dir(module):
            matches = not name.startswith("_") and wanted.search(name)
            if matches and callable(getattr(module, name)):
                found.append(f"{path}.{name}")
    return tuple(sorted(found))


def _matching(patterns: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    patterns = tuple(patterns)
    return tuple(n for n in names if any(fnmatchcase(n, pattern) for pattern in patterns))


def _exists(name: str) -> bool:
    """Whether a function exists; its name need not match `PATTERNS`, such as a plain sum."""
    return callable(resolved(name))


def resolved(name: str) -> Any:
    """The object of a dotted name; None if there is none."""
    path, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(path), last, None)
    except ImportError:
        return None


def signature(pattern: str, modules: Iterable[str]) -> str:
    """The name of a function with its parameters, if Python can inspect them.

    Example:
        >>> signature("tools.peers.search.public_names", ())
        'tools.peers.search.public_names(modules)'
    """
    example = next(iter(_matching([pattern], public_names(modules))), pattern)
    try:
        parameters = inspect.signature(resolved(example)).parameters.values()
    except (TypeError, ValueError):
        return pattern
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return pattern
    return f"{pattern}({', '.join(p.name for p in parameters)})"
