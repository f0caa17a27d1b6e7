"""What a study leaves on disk: the types, how they are written, how they are read back.

Every whole file is replaced atomically, so a process killed at any moment leaves either the old
file or the new one. The one file that grows, metrics.jsonl, may end in a torn line; readers ignore
it and the next append removes it. Where each file lies is `experiments.folder`'s business.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from experiments.writing import RecordError, write_atomically, writing

SCHEMA_VERSION = 1
VARIANT_PATTERN = r"[a-z0-9_.-]*[a-z0-9_][a-z0-9_.-]*"
"""Variants name folders: lower case, no separators, and never only dots."""

Accuracy = Annotated[float, Field(ge=0, le=1)]
Loss = Annotated[float, Field(strict=False)]
"""Any float: a run that diverged reports NaN or infinity, which JSON carries as strings."""
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
VariantName = Annotated[str, Field(pattern=rf"^{VARIANT_PATTERN}$")]


class Record(BaseModel):
    """A frozen, strict line or file of results."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", ser_json_inf_nan="strings")


class Versioned(Record):
    """A record that is a file of its own and says which schema it follows."""

    schema_version: Literal[1] = SCHEMA_VERSION


class EpochMetrics(Record):
    """One epoch of one run (or one round of `training.steps`): how good, and how long it took.

    Attributes:
        epoch: Its number, from 1.
        step: Optimiser steps taken by its end.
        train_loss: Mean loss of its training steps.
        validation_loss: Mean loss on the validation split at its end; None without one.
        validation_accuracy: Share of validation examples answered correctly, likewise.
        learning_rate: Of its last step.
        seconds: Wall-clock seconds of training.
        examples_per_s: Training examples per second.
    """

    epoch: Count
    step: Count
    train_loss: Loss
    validation_loss: Loss | None = None
    validation_accuracy: Accuracy | None = None
    learning_rate: float
    seconds: NonNegative
    examples_per_s: NonNegative


class Origin(Record):
    """What made a record; records of one results folder have one origin.

    Attributes:
        device: As in `Measurement.device`.
        versions: Version by package name, Python's included.
        xla_flags: The environment variable ``XLA_FLAGS``, empty if unset.
        git_commit: The checkout's commit, or None outside one.
        plugins: SHA-256 of every plug-in's source, by the name of its file.
        mesh: Among what data-parallel training divided each batch, for example
            ``"8 devices of 2 processes"``; empty without it.
    """

    device: str
    versions: dict[str, str]
    xla_flags: str
    git_commit: str | None
    plugins: dict[str, str]
    mesh: str = ""


class RunRecord(Versioned):
    """One finished run: a variant trained from one seed.

    Attributes:
        variant: The variant's name.
        seed: The training seed; runs of different variants with equal seeds are paired.
        cell: The cell of a sweep that it belongs to; empty without a sweep.
        fingerprint: SHA-256 of the part of the resolved config that decides this run's result.
        epochs: Epochs trained.
        steps: Optimiser steps taken.
        diverged: Whether the loss ceased to be finite, which ended the run.
        test_accuracy: Share of test examples answered correctly after the last step.
        test_loss: Mean loss on the test set after the last step.
        train_loss: Mean loss over the last epoch's training steps.
        validation_accuracy: Share of validation examples answered correctly; None without any.
        metrics: The task's other metrics on the test set, by name.
        test_correct: Test examples answered correctly.
        test_size: Test examples (of detection: objects).
        train_seconds: Wall-clock seconds of training.
        origin: What made it.
    """

    variant: VariantName
    seed: int
    cell: str = ""
    fingerprint: Fingerprint
    epochs: Count
    steps: Count
    diverged: bool = False
    test_accuracy: Accuracy
    test_loss: Loss
    train_loss: Loss
    validation_accuracy: Accuracy | None = None
    metrics: dict[str, Loss] = Field(default_factory=dict)
    test_correct: Count
    test_size: Annotated[int, Field(ge=1)]
    train_seconds: NonNegative
    origin: Origin | None = None

    @model_validator(mode="after")
    def _accuracy_is_the_share(self) -> Self:
        share = self.test_correct / self.test_size
        if abs(self.test_accuracy - share) > 1e-5:
            raise ValueError(
                f"test_accuracy {self.test_accuracy} is not test_correct / test_size, "
                f"{self.test_correct} / {self.test_size}"
            )
        return self


class Throughput(Record):
    """Examples per second: the median of the samples and the median's 95% interval."""

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
            few samples for one, and in records of older versions.
        p99_high: Upper end of it.
    """

    p50: Positive
    p95: Positive
    p99: Positive
    samples: Annotated[int, Field(ge=1)]
    p99_low: Positive | None = None
    p99_high: Positive | None = None


class Measurement(Versioned):
    """What one variant costs on one device.

    Attributes:
        variant: The variant's name.
        cell: The cell of a sweep that it belongs to; empty without a sweep.
        fingerprint: SHA-256 of the part of the resolved config that decides what is measured.
        origin: What made it.
        device: What it ran on, for example ``"cpu: AMD EPYC 7B13, 2 cores"``.
        device_source: ``"measured"`` on the device itself, ``"estimated"`` from a compiled program.
        batch_size: Examples a batch in both throughputs.
        parameters: Trainable parameters.
        flops_per_example: Floating-point operations of one example's forward pass.
        peak_memory_mb: Of the compiled training step: arguments, outputs and temporaries, less
            what outputs share with arguments, in 10^6 bytes.
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


class Baselines(Versioned):
    """Metrics of methods that need no training, on the test split.

    Attributes:
        cells: By cell of a sweep (an empty name without one), by method, by metric.
    """

    cells: dict[str, dict[str, dict[str, float]]]


class Environment(Versioned):
    """Where a study ran; `experiments.environment.capture` fills it in.

    Attributes:
        started: UTC time in ISO 8601.
        versions: Version by package name, Python's included.
        platform: Operating system and machine.
        device: As in `Measurement.device`.
        device_kind: JAX's own name for the device.
        devices: How many devices JAX sees.
        cpu_model: The host's processor.
        cores: The cores this process may use.
        xla_flags: The environment variable ``XLA_FLAGS``, empty if unset.
        allocator: The settings of the memory allocator, in the environment and by `mallopt`.
        git_commit: The checkout's commit, or None outside one.
        git_dirty: Whether tracked files differ from that commit, or None outside a checkout.
        plugins: SHA-256 of every plug-in's source, by the name of its file.
        mesh: As in `Origin.mesh`.
    """

    started: str
    versions: dict[str, str]
    platform: str
    device: str
    device_kind: str
    devices: Annotated[int, Field(ge=1)]
    cpu_model: str
    cores: Annotated[int, Field(ge=1)]
    xla_flags: str
    allocator: dict[str, str]
    git_commit: str | None
    git_dirty: bool | None
    plugins: dict[str, str] = Field(default_factory=dict)
    mesh: str = ""

    @property
    def origin(self) -> Origin:
        """The part of it that every record carries."""
        return Origin(
            device=self.device,
            versions=self.versions,
            xla_flags=self.xla_flags,
            git_commit=self.git_commit,
            plugins=self.plugins,
            mesh=self.mesh,
        )


def write(path: Path, record: Record) -> None:
    """Writes one record as indented JSON, atomically."""
    write_atomically(path, record.model_dump_json(indent=2) + "\n")


R = TypeVar("R", bound=Record)


def read(path: Path, kind: type[R]) -> R:
    """Reads one JSON record.

    Args:
        path: The file.
        kind: The record type it must hold.

    Returns:
        The record.

    Raises:
        RecordError: The file is missing, unreadable, or not such a record.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise RecordError(
            f"{path}: not a valid {kind.__name__}: {complaint(error)}; remove it, and the command "
            "that wrote it writes it anew"
        ) from error


def append_lines(path: Path, records: Iterable[Record]) -> None:
    """Adds one JSON line a record, first removing a line that a kill left torn.

    Raises:
        RecordError: The file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, records)


def _append(path: Path, records: Iterable[Record]) -> None:
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(b"".join(record.model_dump_json().encode() + b"\n" for record in records))
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path, kind: type[R]) -> list[R]:
    """Reads a file of JSON lines; a missing file holds none, a torn last line is ignored.

    Args:
        path: The file.
        kind: The record type that every line must hold.

    Returns:
        The records in the file's order.

    Raises:
        RecordError: The file is unreadable, or a complete line is not valid.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise RecordError(
                f"{path}, line {number}: {complaint(error)}; remove the folder {path.parent}, and "
                "the same command does its work again"
            ) from error
    return records


def append_metrics(path: Path, metrics: EpochMetrics) -> None:
    """Adds one epoch to a metrics.jsonl."""
    append_lines(path, [metrics])


def write_metrics(path: Path, metrics: list[EpochMetrics]) -> None:
    """Replaces a metrics.jsonl, as a run does that goes on from an earlier checkpoint."""
    write_atomically(path, "".join(m.model_dump_json() + "\n" for m in metrics))


def read_metrics(path: Path) -> list[EpochMetrics]:
    """Reads a metrics.jsonl, as `read_lines` does."""
    return read_lines(path, EpochMetrics)


def complaint(error: ValidationError) -> str:
    """The first complaint of a ValidationError, on one line: place, reason, value."""
    detail = error.errors(include_url=False, include_input=True)[0]
    place = ".".join(str(part) for part in detail["loc"])
    given = (
        "" if detail["type"] in ("missing", "json_invalid") else f", got {detail['input']!r:.80}"
    )
    return f"{place + ': ' if place else ''}{detail['msg']}{given}"
