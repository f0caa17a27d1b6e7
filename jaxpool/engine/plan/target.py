"""Kinds of devices that programs are compiled for."""

from __future__ import annotations

import enum

import jax


class Target(enum.Enum):
    """The compiler that reads a program. docs/architecture.md lists the rules of each.

    Other platforms use the rules of GPU. CPUS, GPUS and TPUS are programs that XLA partitions among
    several devices; XLA all-gathers the operands of operations that it cannot partition.
    """

    CPU = enum.auto()
    GPU = enum.auto()
    TPU = enum.auto()
    CPUS = enum.auto()
    GPUS = enum.auto()
    TPUS = enum.auto()

    @property
    def is_divided(self) -> bool:
        """Whether XLA partitions the program among several devices."""
        return self in (Target.CPUS, Target.GPUS, Target.TPUS)


CPU, GPU, TPU, CPUS, GPUS, TPUS = Target

is_portable = jax.make_user_context(default_value=False)
"""Whether programs are lowered to the form that is one for all platforms; its target is TPU."""
