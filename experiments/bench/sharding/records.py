"""What a benchmark of sharding leaves on disk: collectives.jsonl, one line per compiled program."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from experiments.bench.case import Dtype
from experiments.records import Count, NonNegative, Record, read_lines


class ShardingRecord(Record):
    """What the compiler made of one operator whose input is divided along one axis.

    Attributes:
        case: The case's or call's name.
        description: It in words.
        dtype: Of the arrays.
        mode: What is computed: `forward` or `gradient`.
        axis: The axis of the input that is divided: `batch`, `channels`, or a spatial axis.
        size: The length of that axis.
        devices: Among how many devices.
        contender: `jaxpool`, or `lax`: the same in JAX's own operations.
        group: Names the process that compiled this.
        outcome: `compiled`; `left_out`: cannot take part; `failed`: JAX or XLA raised an error, or
            the program could not be read.
        reason: Why it was not compiled.
        input_bytes: Size of the whole input.
        counts: How often collectives of each kind run in one call.
        received_bytes: Bytes that a device receives in them, by kind; see `collectives.traffic`.
        at_least: Whether some of them run in a loop whose length depends on the data; they count
            once.
        temp_bytes: Temporary memory of the program, per device.
        compile_s: Seconds to compile.
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

    @property
    def received(self) -> float | None:
        """Bytes that a device receives in one call; None if nothing was compiled."""
        return sum(self.received_bytes.values()) if self.outcome == "compiled" else None

    @property
    def collectives(self) -> int | None:
        """How many collectives run in one call; None if nothing was compiled."""
        return sum(self.counts.values()) if self.outcome == "compiled" else None


def read(path: Path) -> list[ShardingRecord]:
    """Reads the records that count: of each case and dtype those of the last process.

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
