"""Records of costs: throughput, latency, memory and operations of one variant on one device."""

from typing import Annotated, Literal

from pydantic import Field

from experiments.records.environment import Origin
from experiments.records.record import (
    Count,
    Fingerprint,
    NonNegative,
    Positive,
    Record,
    VariantName,
    Versioned,
)


class Throughput(Record):
    """Examples per second: the median of the samples and the 95% interval of the median."""

    median: Positive
    low: Positive
    high: Positive
    samples: tuple[Positive, ...]


class Latency(Record):
    """Percentiles of the time of one batch-1 inference, in milliseconds.

    Attributes:
        p50: The median.
        p95: The 95th percentile.
        p99: The 99th percentile.
        samples: How many inferences were timed.
        p99_low: Lower end of the 95% interval of p99, by order statistics; None if there are too
            few samples, and in records of older versions.
        p99_high: Upper end of the 95% interval of p99.
    """

    p50: Positive
    p95: Positive
    p99: Positive
    samples: Annotated[int, Field(ge=1)]
    p99_low: Positive | None = None
    p99_high: Positive | None = None


class Measurement(Versioned):
    """Costs of one variant on one device.

    Attributes:
        variant: The variant's name.
        cell: Name of the sweep cell; empty without a sweep.
        fingerprint: SHA-256 of the part of the resolved config that decides the costs.
        origin: Environment and code that produced the measurement.
        device: The device, for example ``"cpu: AMD EPYC 7B13, 2 cores"``.
        device_source: ``"measured"`` on the device, or ``"estimated"`` from a compiled program.
        batch_size: Examples per batch in both throughputs.
        parameters: Trainable parameters.
        flops_per_example: Floating-point operations of one example's forward pass.
        peak_memory_mb: Memory of the compiled training step, in 10^6 bytes: arguments, outputs and
            temporaries, less the memory that outputs share with arguments.
        compile_s: Seconds to compile the training step.
        train_examples_per_s: Throughput of the training step.
        infer_examples_per_s: Throughput of inference.
        latency_ms: Latency of batch-1 inference.
    """

    variant: VariantName
    cell: str = ""
    fingerprint: Fingerprint | None = None
    origin: Origin | None = None
    device: str
    device_source: Literal["measured", "estimated"]
    batch_size: Annotated[int, Field(ge=1)]
    parameters: Count
    flops_per_example: NonNegative
    peak_memory_mb: NonNegative
    compile_s: NonNegative
    train_examples_per_s: Throughput
    infer_examples_per_s: Throughput
    latency_ms: Latency
