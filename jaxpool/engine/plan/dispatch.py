"""The method of each operation: a table over targets and classes of windows.

OURS: slices or gathered rows per tap, in the steps of `planner`. NATIVE: XLA's windowed operations
(`lower.native`). docs/architecture.md has the measurements.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from jaxpool.axis import Filtered, Uneven
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import CPU, CPUS, GPU, GPUS, TPU, TPUS, Target
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
    """The methods for one target and one class of windows.

    Attributes:
        extreme: Method for maxima and minima.
        extreme_gradient: Method for the gradients of maxima and minima.
        total: Method for sums and means.
        total_gradient: Method for the gradients of sums and means.
    """

    extreme: Method
    extreme_gradient: Method
    total: Method
    total_gradient: Method


OURS, NATIVE = Method
EVEN, BINS, FILTER = Shape

_ALL_OURS = Rule(OURS, OURS, OURS, OURS)
_ALL_NATIVE = Rule(NATIVE, NATIVE, NATIVE, NATIVE)

# Gradient of the adaptive mean of 32x45x45x128 to 7x7 on H100, XLA's estimate: 22 (rows) -> 17 us.
_NATIVE_GRADIENT = Rule(OURS, OURS, OURS, NATIVE)

# Max k3 s2 of 32x112x112x64 on v5e, XLA's estimate: 2.4 (ours) -> 0.8 ms. Programs for several
# devices: XLA all-gathers inputs whose rows are gathered, so bins and filters are native.
_TABLE: dict[Target, tuple[Rule, Rule, Rule]] = {
    # even windows, uneven bins, filters
    CPU: (_ALL_OURS, _ALL_OURS, _ALL_OURS),
    GPU: (_ALL_OURS, _NATIVE_GRADIENT, _ALL_OURS),
    TPU: (_ALL_NATIVE, _ALL_NATIVE, _ALL_NATIVE),
    CPUS: (_ALL_OURS, _ALL_NATIVE, _ALL_NATIVE),
    GPUS: (_ALL_OURS, _ALL_NATIVE, _ALL_NATIVE),
    TPUS: (_ALL_NATIVE, _ALL_NATIVE, _ALL_NATIVE),
}
RULES = {
    (target, shape): rule
    for target in Target
    for shape, rule in zip(Shape, _TABLE[target], strict=True)
}


def rule(target: Target, window: Window) -> Rule:
    """The methods for these windows on this target."""
    return RULES[target, _shape(window)] if _is_small_natively(window) else _ALL_OURS


def scatters_natively(target: Target, window: Window) -> bool:
    """Whether `select_and_scatter`, which has no dilation, computes the gradient of a maximum."""
    native = rule(target, window).extreme_gradient is NATIVE
    return native and all(axis.dilation == 1 for axis in window.axes)


def _is_small_natively(window: Window) -> bool:
    """Whether the number of native operations is small: each uneven bin is one."""
    uneven = (axis for axis in window.axes if isinstance(axis, Uneven))
    return all(axis.output <= tuning.NATIVE_BINS for axis in uneven)


def _shape(window: Window) -> Shape:
    if any(isinstance(axis, Filtered) for axis in window.axes):
        return FILTER
    return BINS if any(isinstance(axis, Uneven) for axis in window.axes) else EVEN
