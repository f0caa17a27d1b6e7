"""One call that jaxpool and a peer both compute, in jaxpool's terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tools.peers.arrays import Array


@dataclass(frozen=True, kw_only=True, eq=False)
class PeerCase:
    """A call `operator(*operands, *args, **options)`, whose results and derivative are compared.

    Attributes:
        topic: The feature that the case tests; the table names it if a peer differs.
        operands: The arrays, channels-last.
        args: The positional arguments after the operands.
        options: The keyword arguments; arrays among them are `Array`s too.
        wrt: The operand with respect to which the derivative is taken; None compares results only.
        tolerance: The relative and absolute tolerance of results. Derivatives are sums, so their
            tolerance is at least 1e-5.
        draws: Whether the operator draws random numbers. The peer then returns its draws after its
            results, and jaxpool takes them as `samples`.
        needs: The feature that a peer lacks if it refuses the case, where that is not the topic.
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
        """Builds the operands."""
        return tuple(operand.build() for operand in self.operands)

    def arguments(self) -> dict[str, Any]:
        """Builds the options."""
        return {n: v.build() if isinstance(v, Array) else v for n, v in self.options.items()}

    def call(self, operator: str) -> str:
        """The call as a line of code, with its arrays described.

        Example:
            >>> from tools.peers.arrays import normal
            >>> case = PeerCase(topic="2-D", operands=(normal(4, 4, 1),), args=(2,))
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
    """The results of an operator.

    Attributes:
        results: The results, channels-last.
        gradient: The derivative of the first result for the cotangent that `cotangent` returns;
            None if the case compares results only.
    """

    results: tuple[np.ndarray, ...]
    gradient: np.ndarray | None = None


def cotangent(shape: tuple[int, ...]) -> np.ndarray:
    """A cotangent with a different number for every element of a result."""
    return np.cos(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


def difference(case: PeerCase, ours: Answer, theirs: Answer) -> str | None:
    """Describes how two answers to a case differ; None if they agree.

    Float results must have the same dtype. Integer results need only the same values, since
    libraries return indices in int32 or int64.
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
    case: PeerCase, ours: Answer, theirs: Answer
) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    names = ("value", "index")[: len(ours.results)]
    for name, a, b in zip(names, ours.results, theirs.results, strict=True):
        yield name, a, b, case.tolerance
    if ours.gradient is not None and theirs.gradient is not None:
        yield "gradient", ours.gradient, theirs.gradient, max(case.tolerance, 1e-5)


def _text(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)
