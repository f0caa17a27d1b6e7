"""Record types of a study's results folder, and the functions that write and read them.

record.py       base classes, and the types of fields
runs.py         epochs, finished runs, and methods that need no training
costs.py        throughput, latency, memory
environment.py  software and machine
files.py        the files: JSON of one record, or JSON lines

`experiments.folder` defines the paths of all files.
"""

from experiments.records.costs import Latency, Measurement, Throughput
from experiments.records.environment import Environment, Origin
from experiments.records.files import (
    append_lines,
    append_metrics,
    complaint,
    read,
    read_lines,
    read_metrics,
    write,
    write_metrics,
)
from experiments.records.record import (
    SCHEMA_VERSION,
    VARIANT_PATTERN,
    Accuracy,
    Count,
    Fingerprint,
    Loss,
    NonNegative,
    Positive,
    Record,
    VariantName,
    Versioned,
)
from experiments.records.runs import Baselines, EpochMetrics, RunRecord
from experiments.writing import RecordError, write_atomically, writing

__all__ = [
    "SCHEMA_VERSION",
    "VARIANT_PATTERN",
    "Accuracy",
    "Baselines",
    "Count",
    "Environment",
    "EpochMetrics",
    "Fingerprint",
    "Latency",
    "Loss",
    "Measurement",
    "NonNegative",
    "Origin",
    "Positive",
    "Record",
    "RecordError",
    "RunRecord",
    "Throughput",
    "VariantName",
    "Versioned",
    "append_lines",
    "append_metrics",
    "complaint",
    "read",
    "read_lines",
    "read_metrics",
    "write",
    "write_atomically",
    "write_metrics",
    "writing",
]
