"""One question that jaxpool and a peer are both asked, in jaxpool's own terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tools.peers.arrays import Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A call `operator(*operands, *args, **options)`, whose results and derivative are compared.

    Attributes:
        topic: What the case is about: what a cell of the table says if a peer differs here.
        operands: The arrays, channels-last.
        args: What follows them by position.
        options: What follows by name; arrays among them are `Array`s too.
        wrt: Which operand the derivative is taken of; None compares results only.
        tolerance: How far results may be apart, relative and absolute. Derivatives are sums, and
            may be apart by 1e-5 at least.
        draws: Whether the operator draws random numbers: the peer then returns its draws after its
            results, and jaxpool is given those as `samples`.
        needs: What a peer that refuses the case is without, if that is not the topic.
    """

    topic: str
    operands: tuple[Array, ...]
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    wrt: int | None = 0
    tolerance: float = 0.0
    draws: bool = False
    needs: str | None = None

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The operands, built."""
        return tuple(operand.build() for operand in self.operands)

    def arguments(self) -> dict[str, Any]:
        """The options, built."""
        return {n: v.build() if isinstance(v, Array) else v for n, v in self.options.items()}

    def call(self, operator: str) -> str:
        """The call as one would write it.

        Example:
            >>> from tools.peers.arrays import normal
            >>> case = Case(topic="2-D", operands=(normal(4, 4, 1),), args=(2,))
            >>> case.call("max_pool")
            'max_pool(x, 2), x: normal float32 (4, 4, 1)'
        """
        names = "xyz"[: len(self.operands)]
        words = dict(zip(names, (operand.words for operand in self.operands), strict=True))
        parts = [*names, *(_text(argument) for argument in self.args)]
        for name, value in self.options.items():
            if isinstance(value, Array):
                words[name] = value.words
                parts.append(f"{name}={name}")
            else:
                parts.append(f"{name}={_text(value)}")
        described = "; ".join(f"{name}: {text}" for name, text in words.items())
        compared = {None: "; values only", 0: ""}.get(self.wrt, f"; derivative of {names[-1]}")
        return f"{operator}({', '.join(parts)}), {described}{compared}"


@dataclass(frozen=True)
class Answer:
    """What an operator gave.

    Attributes:
        results: Its results, channels-last.
        gradient: The derivative of the first, for the cotangent that `cotangent` makes; None if
            the case has none.
    """

    results: tuple[np.ndarray, ...]
    gradient: np.ndarray | None = None


def cotangent(shape: tuple[int, ...]) -> np.ndarray:
    """Another number for every element of a result."""
    return np.cos(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


def difference(case: Case, ours: Answer, theirs: Answer) -> str | None:
    """How the answers to a case differ, in words; None if they agree.

    A float result must have the same dtype; integers only the same values, since libraries
    number places in int32 or int64.
    """
    for part, a, b, tolerance in _parts(case, ours, theirs):
        if a.shape != b.shape:
            return f"{part}: shape {a.shape}, peer {b.shape}"
        if a.dtype != b.dtype and not all(np.issubdtype(c.dtype, np.integer) for c in (a, b)):
            return f"{part}: {a.dtype}, peer {b.dtype}"
        wide = np.int64 if np.issubdtype(a.dtype, np.integer) else np.float64
        wrong = ~np.isclose(
            a.astype(wide), b.astype(wide), rtol=tolerance, atol=tolerance, equal_nan=True
        )
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            return (
                f"{part} at {place}: {a[place]:.6g}, peer {b[place]:.6g} "
                f"({wrong.sum()} of {wrong.size} differ)"
            )
    return None


def _parts(
    case: Case, ours: Answer, theirs: Answer
) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    names = ("value", "index")[: len(ours.results)]
    for name, a, b in zip(names, ours.results, theirs.results, strict=True):
        yield name, a, b, case.tolerance
    if ours.gradient is not None and theirs.gradient is not None:
        yield "gradient", ours.gradient, theirs.gradient, max(case.tolerance, 1e-5)


def _text(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)
