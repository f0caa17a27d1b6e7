"""What a benchmark leaves on disk: records.jsonl, one line a contender, and how it is read back."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from experiments.records import Count, NonNegative, Positive, Record, read_lines

COPY = "copy"
"""The contender that is no pooling: `x + 1` into a new array, the floor under everything."""

Outcome = Literal["timed", "same", "left_out", "disagrees", "failed"]


class Timing(Record):
    """Seconds of one call.

    Attributes:
        median_s: Of the samples.
        low_s: Lower end of the median's 95% interval; None if the samples are too few for one.
        high_s: Upper end of it.
        min_s: The shortest sample.
        calls: Calls in a sample, which is their mean.
        samples_s: All samples, in the order taken.
    """

    median_s: Positive
    low_s: Positive | None
    high_s: Positive | None
    min_s: Positive
    calls: Annotated[int, Field(ge=1)]
    samples_s: tuple[Positive, ...]


class BenchRecord(Record):
    """What became of one contender in one case, dtype and mode.

    Attributes:
        case: The case's or network's name.
        description: The case in words.
        dtype: Of the arrays.
        mode: What was computed.
        contender: Who computed it.
        allocator: The allocator's setting.
        group: Names the process that timed this; only times of one group may be compared.
        outcome: `timed`; `same`: has the very program of `same_as` and was not timed again;
            `left_out`: cannot or should not take part; `disagrees`: gave a wrong answer, and was
            therefore not timed; `failed`: raised an error.
        reason: Why not timed.
        same_as: The contender with the same program.
        detail: What the contender chose: layout, threads.
        busy_cores: Cores that other processes kept busy just before.
        input_bytes: Size of the input.
        traffic_bytes: What must be read and written at least.
        error: Largest error, relative to the terms' magnitudes.
        device_source: `measured` on the machine at hand, or `estimated` by the compiler for a
            device that is absent; measured and estimated times are never compared.
        bytes_moved: Estimated traffic to and from the device's memory, in bytes.
        kernels: Number of kernels that the compiled program launches, where estimated.
        compile_s: Seconds to trace and compile.
        temp_bytes: Temporary memory of the compiled program.
        timing: The times.
    """

    case: str
    description: str
    dtype: str
    mode: str
    contender: str
    allocator: str
    group: str
    outcome: Outcome
    reason: str = ""
    same_as: str | None = None
    detail: str = ""
    busy_cores: NonNegative | None = None
    input_bytes: Count
    traffic_bytes: Count
    error: NonNegative | None = None
    device_source: Literal["measured", "estimated"] = "measured"
    bytes_moved: Count | None = None
    kernels: Count | None = None
    compile_s: NonNegative | None = None
    temp_bytes: Count | None = None
    timing: Timing | None = None


def read(path: Path) -> list[BenchRecord]:
    """Reads the records that count: of each case, dtype and allocator the last group.

    Args:
        path: A records.jsonl.

    Returns:
        The records in the file's order.

    Raises:
        RecordError: The file is unreadable, or a complete line is not valid.
    """
    records = read_lines(path, BenchRecord)
    groups = {(r.case, r.dtype, r.allocator): r.group for r in records}
    return [r for r in records if groups[r.case, r.dtype, r.allocator] == r.group]
