"""The records of a benchmark of sharding: collectives.jsonl, one line per compiled program."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from experiments.bench.case import Dtype
from experiments.bench.records import Timing
from experiments.records import Count, NonNegative, Record, read_lines


class ShardingRecord(Record):
    """The result of compiling one operator whose input is divided along one axis.

    Attributes:
        case: The name of the case or call.
        description: The case or call in words.
        dtype: The dtype of the arrays.
        mode: The computation: `forward` or `gradient`.
        axis: The axis of the input that is divided: `batch`, `channels`, or a spatial axis.
        size: The length of that axis.
        devices: The number of devices.
        contender: `jaxpool`, or `lax` for plain JAX operations.
        group: The name of the process that compiled the program.
        outcome: `compiled`; `left_out`: not applicable; `failed`: JAX or XLA raised an error, or
            the program could not be parsed.
        reason: The reason if it was not compiled.
        input_bytes: Size of the whole input.
        counts: The number of executed collectives per call, by kind.
        received_bytes: Bytes that a device receives per call, by kind; see `collectives.traffic`.
        at_least: Whether a collective in a loop of data-dependent length was counted once.
        temp_bytes: Temporary memory of the program, per device.
        compile_s: Compilation time in seconds.
        timing: Times of jaxpool and lax, which ran in turns; None if one of them was not compiled,
            and in records from before times were measured.
    """

    case: str
    description: str
    dtype: Dtype
    mode: Literal["forward", "gradient"]
    axis: str
    size: Count
    devices: Annotated[int, Field(ge=2)]
    contender: Literal["jaxpool", "lax"]
    group: str
    outcome: Literal["compiled", "left_out", "failed"]
    reason: str = ""
    input_bytes: Count
    counts: dict[str, Count] = Field(default_factory=dict)
    received_bytes: dict[str, NonNegative] = Field(default_factory=dict)
    at_least: bool = False
    temp_bytes: Count | None = None
    compile_s: NonNegative | None = None
    timing: Timing | None = None

    @property
    def received(self) -> float | None:
        """The bytes that a device receives per call; None if nothing was compiled."""
        return sum(self.received_bytes.values()) if self.outcome == "compiled" else None

    @property
    def collectives(self) -> int | None:
        """The number of executed collectives per call; None if nothing was compiled."""
        return sum(self.counts.values()) if self.outcome == "compiled" else None


def read(path: Path) -> list[ShardingRecord]:
    """Reads the valid records: those of the last process of each case and dtype.

    Args:
        path: A collectives.jsonl.

    Returns:
        The records in the file's order.

    Raises:
        RecordError: The file is unreadable, or a complete line is not valid.
    """
    records = read_lines(path, ShardingRecord)
    groups = {(r.case, r.dtype): r.group for r in records}
    return [r for r in records if groups[r.case, r.dtype] == r.group]
