"""Which method computes what: one table over kinds of devices and of windows.

Two families of methods compute a windowed reduction and its adjoint. OURS reads what each tap
reads, by slices or numbered rows, in the steps that `planner` finds (`winner`, `sums`, `masked`).
NATIVE takes XLA's own windowed operations (`native`). docs/architecture.md says what was measured.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from jaxpool.axis import Filtered, Uneven
from jaxpool.engine import native
from jaxpool.engine.target import CPU, CPUS, GPU, GPUS, TPU, TPUS, Target
from jaxpool.window import Window


class Method(enum.Enum):
    """A family of methods."""

    OURS = enum.auto()
    NATIVE = enum.auto()


class Shape(enum.Enum):
    """A class of windows: evenly spaced, bins of uneven sizes, or a filter with mirrored ends."""

    EVEN = enum.auto()
    BINS = enum.auto()
    FILTER = enum.auto()


@dataclass(frozen=True)
class Rule:
    """Methods for one kind of device and one class of windows.

    Attributes:
        extreme: Of a maximum or minimum.
        returned: Of its gradient.
        total: Of a sum or mean.
        spread: Of its gradient.
    """

    extreme: Method
    returned: Method
    total: Method
    spread: Method


OURS, NATIVE = Method
EVEN, BINS, FILTER = Shape

_BY_US = Rule(OURS, OURS, OURS, OURS)
_BY_XLA = Rule(NATIVE, NATIVE, NATIVE, NATIVE)

RULES: dict[tuple[Target, Shape], Rule] = {
    (CPU, EVEN): _BY_US,
    (CPU, BINS): _BY_US,
    (CPU, FILTER): _BY_US,
    (GPU, EVEN): _BY_US,
    # Gradient of the adaptive mean of 32x45x45x128 to 7x7 on H100, as XLA estimates it: 22 us by
    # reading rows, 17 by slices.
    (GPU, BINS): Rule(OURS, OURS, OURS, NATIVE),
    (GPU, FILTER): _BY_US,
    # Max of 32x112x112x64, k3 s2, on v5e, likewise: 2.4 ms and with its gradient 6.4 by slices, 0.8
    # and 1.6 natively.
    (TPU, EVEN): _BY_XLA,
    (TPU, BINS): _BY_XLA,
    (TPU, FILTER): _BY_XLA,
    # Rows read by number are gathered whole from all devices.
    (CPUS, EVEN): _BY_US,
    (CPUS, BINS): _BY_XLA,
    (CPUS, FILTER): _BY_XLA,
    (GPUS, EVEN): _BY_US,
    (GPUS, BINS): _BY_XLA,
    (GPUS, FILTER): _BY_XLA,
    (TPUS, EVEN): _BY_XLA,
    (TPUS, BINS): _BY_XLA,
    (TPUS, FILTER): _BY_XLA,
}


def rule(target: Target, window: Window) -> Rule:
    """The methods for these windows on this kind of device."""
    if not native.serves(window):
        return _BY_US
    return RULES[target, _shape(window)]


def _shape(window: Window) -> Shape:
    if any(isinstance(axis, Filtered) for axis in window.axes):
        return FILTER
    return BINS if any(isinstance(axis, Uneven) for axis in window.axes) else EVEN
