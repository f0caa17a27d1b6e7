"""The cost of each operator relative to max pooling, from the benchmark's records."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from experiments.bench import records
from experiments.bench.calls import Call
from experiments.bench.config import Bench
from experiments.bench.contenders import YARDSTICK
from experiments.bench.results import CaseRecords, entries
from experiments.config import load
from experiments.records import Environment, read

MODES = {"forward": "forward", "gradient": "forward + backward"}


@dataclass(frozen=True)
class Cost:
    """The time of one call divided by that of max pooling, in one mode.

    Attributes:
        ratio: The quotient.
        even: Whether the two times cannot be told apart.
    """

    ratio: float
    even: bool

    def __str__(self) -> str:
        digits = f"{self.ratio:.2f}" if self.ratio < 10 else f"{self.ratio:.0f}"
        return f"≈ {digits}" if self.even else digits


@dataclass(frozen=True)
class Costs:
    """All costs in a results folder.

    Attributes:
        calls: The benchmark's calls.
        environment: Where the calls were timed; None if there are no records.
        timed: The costs, by the name of the call and the mode.
    """

    calls: tuple[Call, ...]
    environment: Environment | None
    timed: dict[tuple[str, str], Cost]

    @classmethod
    def read(cls, config: Path, folder: Path) -> Self:
        """Reads the costs.

        Args:
            config: The benchmark's TOML file.
            folder: Its results folder, which may be incomplete or missing.
        """
        calls = tuple(p for p in load(config, (), Bench).problems if isinstance(p, Call))
        if not (folder / "records.jsonl").is_file():
            return cls(calls, None, {})
        found = entries(records.read(folder / "records.jsonl"))
        timed = {(e.any.case, e.any.mode): cost for e in found if (cost := _cost(e))}
        return cls(calls, read(folder / "environment.json", Environment), timed)

    def of(self, operator: str) -> list[Call]:
        """The calls of a public operator."""
        return [call for call in self.calls if call.operator.partition(".")[0] == operator]

    def text(self, call: Call, mode: str) -> str:
        """The cost of a call as text, for the page."""
        cost = self.timed.get((call.name, mode))
        return "not measured" if cost is None else str(cost)


def _cost(entry: CaseRecords) -> Cost | None:
    ratio = entry.ratio(YARDSTICK)
    return None if ratio is None else Cost(1 / ratio, entry.verdict(YARDSTICK) == "even")
