"""What kind of device a program is for."""

from __future__ import annotations

import enum


class Target(enum.Enum):
    """Whose compiler reads a program. Each has rules of its own (see docs/architecture.md).

    GPU is also the form for devices that have no rules. CPUS and GPUS are for programs that XLA
    divides among several devices: rows read by number it would gather whole from all of them.
    """

    CPU = enum.auto()
    GPU = enum.auto()
    TPU = enum.auto()
    CPUS = enum.auto()
    GPUS = enum.auto()

    @property
    def is_divided(self) -> bool:
        """Whether the program is for several CPUs or GPUs."""
        return self in (Target.CPUS, Target.GPUS)


CPU, GPU, TPU, CPUS, GPUS = Target
