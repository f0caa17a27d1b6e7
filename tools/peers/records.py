"""The record of one peer: results/peers/PEER.json."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from experiments.records import Record, Versioned

Verdict = Literal["has", "differs", "lacks"]


class Disagreement(Record):
    """A case in which the result of a peer is not that of jaxpool.

    Attributes:
        topic: The case's topic.
        call: The call of the case, in jaxpool's terms.
        kind: `"differs"`: the peer returns another result. `"refuses"`: it raises an error.
        words: Where and how the results differ, or the message of the error.
    """

    topic: str
    call: str
    kind: Literal["differs", "refuses"]
    words: str


class RowRecord(Record):
    """The cases of one operator with one peer.

    Attributes:
        operator: The row.
        calls: The peer's functions that were called, with the names of their parameters; empty if
            the peer lacks the operator.
        cases: The number of cases.
        differences: The cases in which the peer did not agree.
    """

    operator: str
    calls: tuple[str, ...] = ()
    cases: Annotated[int, Field(ge=0)] = 0
    differences: tuple[Disagreement, ...] = ()

    @model_validator(mode="after")
    def _asked_what_is_called(self) -> Self:
        if bool(self.calls) != bool(self.cases) or len(self.differences) > self.cases:
            raise ValueError(
                f"{self.operator}: {len(self.calls)} calls, {self.cases} cases and "
                f"{len(self.differences)} differences do not go together"
            )
        return self

    @property
    def verdict(self) -> Verdict:
        """`"has"` if all cases agree; `"lacks"` if there is no such function, or it refuses all."""
        refused = sum(difference.kind == "refuses" for difference in self.differences)
        if refused == self.cases:
            return "lacks"
        return "differs" if self.differences else "has"


class PeerRecord(Versioned):
    """All rows of one peer.

    Attributes:
        peer: The peer's module.
        date: The day of the check.
        versions: Version by package, the peer's own first.
        modules: The modules searched.
        patterns: The patterns of the names searched for.
        rows: One record per row of the table that the peer has.
        claimed: The names found that belong to a row, by row.
        extras: The names found that pool and have no counterpart in jaxpool, by description.
        aside: The names found that do not pool, by the reason.
    """

    peer: str
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    versions: dict[str, str]
    modules: tuple[str, ...]
    patterns: tuple[str, ...]
    rows: tuple[RowRecord, ...]
    claimed: dict[str, tuple[str, ...]]
    extras: dict[str, tuple[str, ...]]
    aside: dict[str, tuple[str, ...]]
