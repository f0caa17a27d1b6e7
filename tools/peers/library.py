"""What a peer's file says of it: how to ask it, and what of its public names is what."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from tools.peers.case import Answer, Case

Evaluate = Callable[[Callable[..., Any], Case], Answer]


class Refused(Exception):  # noqa: N818 - what a peer cannot do is no error
    """A peer has no function for this; the message names what was looked for."""


@dataclass(frozen=True)
class Adapter:
    """How one of our operators is asked of a peer, in one call of a public function.

    Attributes:
        function: Takes the operator's arguments, arrays as the peer has them but channels-last,
            and returns the peer's results, channels-last. What the peer has no word for it hands
            on all the same, so that the refusal is the peer's own.
        calls: The public functions that it calls, by their dotted names; `*` stands for any text.
        aliases: More public names of the same thing: layers, other modules.
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
        modules: The public modules that are searched for pools.
        evaluate: Asks a function about a case.
        adapters: By the name of the row.
        extras: What pools and has no counterpart here: words, and the public names.
        aside: What a search finds that is no pooling over positions: why, and the public names.
    """

    name: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    evaluate: Evaluate
    adapters: Mapping[str, Adapter]
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    aside: Mapping[str, Sequence[str]] = field(default_factory=dict)


def named(module: ModuleType, name: str) -> Any:
    """A public function of a peer.

    Raises:
        Refused: It has none of that name.
    """
    found = getattr(module, name, None)
    if found is None:
        raise Refused(f"there is no {module.__name__}.{name}")
    return found


def is_installed(name: str) -> bool:
    """Whether a peer can be imported here."""
    return importlib.util.find_spec(name) is not None


def load(name: str) -> Library:
    """The peer of a name, from the file of that name in `libraries`."""
    return importlib.import_module(f"tools.peers.libraries.{name}").LIBRARY


def per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """One integer an axis."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def pairs(padding: Any, axes: int) -> Any:
    """Padding as one pair an axis; a name stays a name."""
    if isinstance(padding, str):
        return padding
    each = (padding,) * axes if isinstance(padding, int) else padding
    return [(p, p) if isinstance(p, int) else tuple(p) for p in each]


def as_numpy(results: Any, convert: Callable[[Any], np.ndarray]) -> tuple[np.ndarray, ...]:
    """One result or several, as NumPy arrays."""
    several = results if isinstance(results, tuple | list) else (results,)
    return tuple(convert(result) for result in several)
