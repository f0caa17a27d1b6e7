"""Merging of short last axes with adjacent axes, for long inner loops on XLA:CPU.

The inner loop of XLA:CPU runs over the last axis. A loop over 8 channels fills one or two vector
registers and costs less than the address computation per row. LLVM may unroll a loop over up to 32
channels and then not vectorise it. Merging axes is a reshape and exact:

- axes that are not pooled can be merged into one axis;
- with stride 1, axes `(W, C)` can be merged into one axis `W * C`, with `C` times the dilation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from jaxpool.axis import Axis
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import CPU, Target
from jaxpool.window import Window


@dataclass(frozen=True)
class Layout:
    """Which axes of an array to merge before pooling, and the same pooling of the result.

    Attributes:
        window: The pooling of the merged array.
        trailing: Sizes of the axes that are merged into the last one; empty if none is merged.
        into_pooled: Whether the last pooled axis is merged with the trailing axes.
    """

    window: Window
    trailing: tuple[int, ...] = ()
    into_pooled: bool = False

    @property
    def row(self) -> int:
        """Elements per position of the last pooled axis."""
        return math.prod(self.trailing) if self.into_pooled else 1

    def merge(self, x: jax.Array) -> jax.Array:
        """Merge the axes of an array."""
        if not self.trailing:
            return x
        kept = x.shape[: x.ndim - len(self.trailing) - self.into_pooled]
        return x.reshape(*kept, math.prod(x.shape[len(kept) :]))

    def split(self, x: jax.Array) -> jax.Array:
        """The inverse of `merge`."""
        if not self.trailing:
            return x
        pooled = (x.shape[-1] // self.row,) if self.into_pooled else ()
        return x.reshape(*x.shape[:-1], *pooled, *self.trailing)


def merged(window: Window, shape: Sequence[Any], *, target: Target) -> Layout:
    """The layout in which to pool an array of this shape."""
    trailing, row = _trailing(window, shape), _static_row(window, shape)
    if not (target is CPU and window.is_even and trailing and row):
        return Layout(window)
    if trailing[-1] > tuning.MERGED_ROW:
        return Layout(window)
    *others, last = window.even_axes
    limit = tuning.MERGED_ROW if last.reach == (0, 0) else tuning.MERGED_ROW_PADDED
    if last.stride == 1 and row <= limit and last.size * row <= tuning.MERGED_AXIS:
        positions = tuple(position + len(trailing) for position in window.positions)
        return Layout(Window(positions, (*others, _times(last, row))), trailing, True)
    if len(trailing) > 1:
        positions = tuple(position + len(trailing) - 1 for position in window.positions)
        return Layout(Window(positions, window.axes), trailing)
    return Layout(window)


def stride_one(window: Window, shape: Sequence[Any], *, target: Target) -> Window | None:
    """The stride-1 pooling that contains the outputs of `window`, or None if it is not faster.

    Outputs of a larger stride can be merged with short rows after interior padding.
    """
    row = _static_row(window, shape)
    if not (target is CPU and window.is_even and not window.is_tiling and row is not None):
        return None
    *others, last = window.even_axes
    short = row <= tuning.MERGED_ROW_PADDED and last.size * row <= tuning.MERGED_AXIS
    if last.stride == 1 or last.output == 0 or not short:
        return None
    every = Axis(last.size, last.window, 1, last.dilation, *last.reach)
    return Window(window.positions, (*others, every))


def _trailing(window: Window, shape: Sequence[Any]) -> tuple[Any, ...]:
    """Sizes of the axes after the last pooled axis."""
    return tuple(shape[len(shape) + window.positions[-1] + 1 :])


def _static_row(window: Window, shape: Sequence[Any]) -> int | None:
    """Elements per position of the last pooled axis; None if that is symbolic."""
    trailing = _trailing(window, shape)
    return math.prod(trailing) if all(isinstance(size, int) for size in trailing) else None


def _times(axis: Axis, row: int) -> Axis:
    """An axis of stride 1 over elements instead of rows."""
    low, high = axis.reach
    dilation = axis.dilation * row if axis.window > 1 else 1
    return Axis(axis.size * row, axis.window, 1, dilation, low * row, high * row)
