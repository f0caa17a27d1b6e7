"""What kind of device a program is for."""

from __future__ import annotations

import enum


class Target(enum.Enum):
    """Whose compiler reads a program. Each has rules of its own (see docs/architecture.md).

    GPU is also the form for devices that have no rules. CPUS, GPUS and TPUS are for programs that
    XLA divides among several devices: what it cannot divide, it gathers whole from all of them.
    """

    CPU = enum.auto()
    GPU = enum.auto()
    TPU = enum.auto()
    CPUS = enum.auto()
    GPUS = enum.auto()
    TPUS = enum.auto()

    @property
    def is_divided(self) -> bool:
        """Whether the program is for several devices, among which XLA divides it."""
        return self in (Target.CPUS, Target.GPUS, Target.TPUS)


CPU, GPU, TPU, CPUS, GPUS, TPUS = Target
