"""The geometry of `lax.reduce_window`: windows over every axis, with base dilation.

With base dilation, tap `t` of output `o` reads an element only if `o * stride + t * dilation - low`
is a multiple of `base`. Outputs at a distance of `period = base / gcd(stride, base)` read elements
with the same, evenly spaced taps. So the outputs of each residue modulo `period` are an ordinary
pooling of the undilated input, and no inserted position is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool import checks
from jaxpool.axis import Axis
from jaxpool.checks import PADDINGS
from jaxpool.engine.lower.row_gather import pad


@dataclass(frozen=True)
class Part:
    """An ordinary pooling of the elements `[begin, end)`; `axis` is None if none is read."""

    output: int
    begin: int = 0
    end: int = 0
    axis: Axis | None = None


@dataclass(frozen=True)
class FullAxis:
    """One axis. Padding counts positions of the dilated input; negative padding crops it."""

    size: int
    window: int
    stride: int
    low: int
    high: int
    base: int
    dilation: int

    @property
    def output(self) -> int:
        """Number of windows."""
        spread = (self.size - 1) * self.base + 1 if self.size else 0
        room = spread + self.low + self.high - (self.dilation * (self.window - 1) + 1)
        return max(room // self.stride + 1, 0)

    @property
    def period(self) -> int:
        """The distance of outputs that read elements with the same taps."""
        return self.base // math.gcd(self.stride, self.base)

    def parts(self) -> list[Part]:
        """The ordinary poolings; part `r` computes the outputs `r`, `r + period`, and so on."""
        return [self._part(r) for r in range(max(1, min(self.period, self.output)))]

    def _part(self, residue: int) -> Part:
        output = -(-(self.output - residue) // self.period)
        start = residue * self.stride - self.low
        common = math.gcd(self.dilation, self.base)
        every = self.base // common  # one of `every` consecutive taps reads an element
        first = -(start // common) * pow(self.dilation // common, -1, every) % every
        if output == 0 or start % common or first >= self.window:
            return Part(output)
        window = (self.window - 1 - first) // every + 1
        stride = self.stride * self.period // self.base if output > 1 else window
        dilation = self.dilation // common
        low = -((start + first * self.dilation) // self.base)
        high = (output - 1) * stride + (window - 1) * dilation + 1 - self.size - low
        begin, end = max(0, -low), self.size - max(0, -high)
        if begin >= end:
            return Part(output)
        axis = Axis(end - begin, window, stride, dilation, max(0, low), max(0, high))
        return Part(output, begin, end, axis)


def interleave(parts: list[jax.Array], position: int, output: int) -> jax.Array:
    """Put element `q` of part `r` at `q * len(parts) + r` of an axis of `output` elements."""
    if len(parts) == 1:
        return parts[0]
    shape = list(parts[0].shape)
    longest, ndim = shape[position], len(shape)
    padded = []
    for part in parts:
        config = [(0, 0, 0)] * ndim
        config[position] = (0, longest - part.shape[position], 0)
        padded.append(pad(part, np.zeros((), part.dtype), config))
    shape[position] = longest * len(parts)
    mixed = jnp.stack(padded, axis=ndim + position + 1).reshape(shape)
    return lax.slice_in_dim(mixed, 0, output, axis=position)


def resolve(
    shape: Sequence[Any],
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
    base_dilation: Any,
    window_dilation: Any,
) -> dict[int, FullAxis]:
    """Validate the arguments of `reduce_window` against the operand's shape.

    Returns:
        The axes with a nontrivial window, stride, dilation or padding, by index from the end. Only
        these must have a static size.
    """
    rank = len(shape)
    if len(checks.sequence("window_dimensions", window_dimensions, scalar=False)) != rank:
        raise ValueError(
            f"operand must have as many axes as window_dimensions={window_dimensions!r} has "
            f"entries, got {rank} axes"
        )
    window, strides, base, dilation = (
        (1,) * rank
        if value is None and name != "window_dimensions"
        else checks.per_axis_ints(name, value, rank, scalar=False, of="axis of operand")
        for name, value in (
            ("window_dimensions", window_dimensions),
            ("window_strides", window_strides),
            ("base_dilation", base_dilation),
            ("window_dilation", window_dilation),
        )
    )
    pads = checks.paddings(padding, rank, pairs_only=True, of="axis of operand")
    result = {}
    for i, size in enumerate(shape):
        given = (window[i], strides[i], base[i], pads if isinstance(pads, str) else pads[i])
        if given in ((1, 1, 1, (0, 0)), *((1, 1, 1, name) for name in PADDINGS)):
            continue
        if not isinstance(size, int):
            raise ValueError(
                f"operand must have a static size along axis {i}, over which the window extends or "
                f"moves in steps, got {size}"
            )
        extent = dilation[i] * (window[i] - 1) + 1
        low, high = (
            checks.named_padding(pads, size, extent, strides[i])
            if isinstance(pads, str)
            else pads[i]
        )
        axis = FullAxis(size, window[i], strides[i], low, high, base[i], dilation[i])
        result[i - rank] = axis
    return result
