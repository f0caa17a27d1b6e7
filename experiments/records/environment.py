"""Records of software and machine."""

from typing import Annotated

from pydantic import Field

from experiments.records.record import Record, Versioned


class Origin(Record):
    """Environment and code that produced a record, the same for all records of a results folder.

    Attributes:
        device: As in `Measurement.device`.
        versions: Version by package name, Python's included.
        xla_flags: The environment variable ``XLA_FLAGS``, empty if unset.
        git_commit: The checkout's commit; None outside a checkout.
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


class Environment(Versioned):
    """Software and machine of a study's runs, as `experiments.environment.capture` records them.

    Attributes:
        started: UTC time in ISO 8601.
        versions: Version by package name, Python's included.
        platform: Operating system and machine.
        device: As in `Measurement.device`.
        device_kind: JAX's own name for the device.
        devices: How many devices JAX sees.
        cpu_model: The host's processor.
        cores: Number of cores that the process may use.
        xla_flags: The environment variable ``XLA_FLAGS``, empty if unset.
        allocator: Settings of the memory allocator, from environment variables and from `mallopt`.
        git_commit: The checkout's commit; None outside a checkout.
        git_dirty: Whether tracked files differ from that commit; None outside a checkout.
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
        """The part of the environment that every record carries."""
        return Origin(
            device=self.device,
            versions=self.versions,
            xla_flags=self.xla_flags,
            git_commit=self.git_commit,
            plugins=self.plugins,
            mesh=self.mesh,
        )
