"""Finds a peer's pools by their names, and sees that each is accounted for.

A name that no row claims, and that is neither listed as an extra nor set aside with a reason, is
an error: so is one that is claimed and not there. Nothing is overlooked in either direction.
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
"""What to look for, whatever the case of letters: the words that pools go by."""


@dataclass(frozen=True)
class Found:
    """The names of a peer's pools.

    Attributes:
        claimed: By row.
        extras: By what they do, which nothing here does.
        aside: By the reason why they are no pools.
    """

    claimed: dict[str, tuple[str, ...]]
    extras: dict[str, tuple[str, ...]]
    aside: dict[str, tuple[str, ...]]


def search(library: Library) -> Found:
    """Looks through the public names of a peer's modules.

    Args:
        library: The peer.

    Returns:
        Every name found, under what it belongs to.

    Raises:
        RecordError: A name belongs to nothing, or something that was named is not there.
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
    """The dotted names of what can be called in some modules, and goes by a pool's name."""
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
    """Whether a function is there that does not go by a pool's name, such as a plain sum."""
    return callable(resolved(name))


def resolved(name: str) -> Any:
    """What a dotted name stands for; None if it stands for nothing."""
    path, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(path), last, None)
    except ImportError:
        return None


def signature(pattern: str, modules: Iterable[str]) -> str:
    """A call as a reader may look it up: the name, and the parameters if Python knows them.

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
