"""Records of a benchmark: records.jsonl, one line per contender, and its reader."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from experiments.records import Count, NonNegative, Positive, Record, read_lines

COPY = "copy"
"""The contender that computes `x + 1` into a new array; its time is a lower bound of pooling."""

Outcome = Literal["timed", "same", "left_out", "disagrees", "failed"]


class Timing(Record):
    """Times of one call in seconds.

    Attributes:
        median_s: Median of the samples.
        low_s: Lower end of the median's 95% interval; None if there are too few samples.
        high_s: Upper end of the median's 95% interval.
        min_s: The shortest sample.
        calls: Calls per sample; a sample is their mean.
        samples_s: All samples, in the order of measurement.
    """

    median_s: Positive
    low_s: Positive | None
    high_s: Positive | None
    min_s: Positive
    calls: Annotated[int, Field(ge=1)]
    samples_s: tuple[Positive, ...]


class BenchRecord(Record):
    """The result of one contender in one case, dtype and mode.

    Attributes:
        case: Name of the case or network.
        description: The case in words.
        dtype: Dtype of the arrays.
        mode: The computation, such as forward or gradient.
        contender: Name of the contender.
        allocator: Name of the allocator's setting.
        group: Identifies the process of the timing; only times of one group may be compared.
        outcome: `timed`; `same`: has exactly the program of `same_as` and was not timed again;
            `left_out`: cannot or should not take part; `disagrees`: gave a wrong result and was not
            timed; `failed`: raised an error.
        reason: Why the contender was not timed.
        same_as: The contender with the same program.
        detail: Options selected by the contender: layout, threads.
        busy_cores: Number of cores used by other processes just before the timing.
        input_bytes: Size of the input.
        traffic_bytes: Minimum number of bytes to read and write.
        error: Largest error, relative to the magnitude of the terms.
        device_source: `measured` on this machine, or `estimated` by the compiler for an absent
            device; measured and estimated times are never compared.
        bytes_moved: Estimated traffic to and from the device's memory, in bytes.
        kernels: Number of kernels that the compiled program launches, where estimated.
        compile_s: Seconds to trace and compile.
        temp_bytes: Temporary memory of the compiled program.
        timing: The times; None if not timed.
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
    """Reads the valid records: for each case, dtype and allocator those of the last group.

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
