"""The description of a peer: adapters for its functions, and a list of its public names."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from tools.peers.case import Answer, PeerCase

Evaluate = Callable[[Callable[..., Any], PeerCase], Answer]


class Refused(Exception):  # noqa: N818 - what a peer cannot do is no error
    """A peer has no function for a case; the message names the missing function."""


@dataclass(frozen=True)
class Adapter:
    """Translates a call of one of our operators into one call of a peer's public function.

    Attributes:
        function: Takes the operator's arguments, with channels-last arrays of the peer's type, and
            returns the peer's results, channels-last. It passes on arguments that the peer does
            not support, so that the peer itself refuses them.
        calls: The dotted names of the public functions that it calls; `*` matches any text.
        aliases: Other public names of the same operator: layers, other modules.
    """

    function: Callable[..., Any]
    calls: tuple[str, ...]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Library:
    """A peer.

    Attributes:
        name: The module to import, and the name of its record.
        packages: The modules whose versions are recorded, its own first.
        modules: The public modules that are searched for poolings.
        evaluate: Runs a function on a case.
        adapters: The adapters by the name of the row.
        extras: Poolings without a counterpart in jaxpool: public names by description.
        aside: Names that the search finds but that do not pool over positions, by the reason.
    """

    name: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    evaluate: Evaluate
    adapters: Mapping[str, Adapter]
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    aside: Mapping[str, Sequence[str]] = field(default_factory=dict)


def named(module: ModuleType, name: str) -> Any:
    """Returns a public function of a peer.

    Raises:
        Refused: The module has no function of that name.
    """
    found = getattr(module, name, None)
    if found is None:
        raise Refused(f"there is no {module.__name__}.{name}")
    return found


def is_installed(name: str) -> bool:
    """Whether a peer is installed."""
    return importlib.util.find_spec(name) is not None


def load(name: str) -> Library:
    """Loads a peer from the file of its name in `libraries`."""
    return importlib.import_module(f"tools.peers.libraries.{name}").LIBRARY


def per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """One integer per axis."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def pairs(padding: Any, axes: int) -> Any:
    """Padding as one pair per axis; a name such as "SAME" is returned unchanged."""
    if isinstance(padding, str):
        return padding
    each = (padding,) * axes if isinstance(padding, int) else padding
    return [(p, p) if isinstance(p, int) else tuple(p) for p in each]


def as_numpy(results: Any, convert: Callable[[Any], np.ndarray]) -> tuple[np.ndarray, ...]:
    """Converts one result or several to NumPy arrays."""
    several = results if isinstance(results, tuple | list) else (results,)
    return tuple(convert(result) for result in several)
