"""Windows over short rows: the axes after them merged, so that XLA:CPU's inner loop is long.

Its inner loop is the last axis. Over 8 channels that is one vector register or two, and all that is
worked out for each row costs more than the row; up to 32, LLVM may unroll the loop whole and then
not vectorise it. Merging axes costs nothing, and is exact:

- axes that are not pooled are one axis;
- with stride 1, `C` channels along `W` are no channels along `W * C`, with `C` times the dilation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxpool.axis import Axis
from jaxpool.engine.target import CPU, Target
from jaxpool.window import Window

# Up to so many elements a row is short. If it lies in a padded axis, merging the two costs a copy
# (see `rows.source`), which pays for shorter ones only: k3 s1 on 8x256x256xC with its derivative,
# as it is and merged, in ms: C = 3, 29 and 7; 8, 73 and 18; 16, 29 and 31; 32, 43 and 65.
SHORT, SHORTER = 32, 15

# The longest axis to merge into. What exists along it is a constant of its length for every tap:
# at 65,536 times 8 elements, k1025 with its derivative compiled for 8.5 s instead of 2.1.
LONGEST = 16_384


@dataclass(frozen=True)
class Layout:
    """How to lay arrays out before pooling, and the same pooling on what results.

    Attributes:
        window: The pooling on arrays laid out.
        trailing: The sizes of the axes that were merged into the last one; none if left alone.
        into_pooled: Whether the last pooled axis was merged with them.
    """

    window: Window
    trailing: tuple[int, ...] = ()
    into_pooled: bool = False

    @property
    def row(self) -> int:
        """How many elements make one position of the last pooled axis."""
        return math.prod(self.trailing) if self.into_pooled else 1

    def lay(self, x: jax.Array) -> jax.Array:
        """Merge axes."""
        if not self.trailing:
            return x
        ndim = x.ndim - len(self.trailing)
        kept = x.shape[: ndim - self.into_pooled]
        return x.reshape(*kept, math.prod(x.shape[len(kept) :]))

    def restore(self, x: jax.Array) -> jax.Array:
        """Split them again."""
        if not self.trailing:
            return x
        pooled = (x.shape[-1] // self.row,) if self.into_pooled else ()
        return x.reshape(*x.shape[:-1], *pooled, *self.trailing)


def of(window: Window, shape: Sequence[Any], *, target: Target) -> Layout:
    """The layout in which to pool an array of this shape."""
    after = -window.positions[-1] - 1
    trailing = tuple(shape[len(shape) - after :])
    known = all(isinstance(size, int) for size in trailing)
    if not (target is CPU and window.is_even and trailing and known):
        return Layout(window)
    row = math.prod(trailing)
    if trailing[-1] > SHORT or row == 0:
        return Layout(window)
    last = window.axes[-1]
    most = SHORT if last.reach == (0, 0) else SHORTER
    if last.stride == 1 and row <= most and last.size * row <= LONGEST:
        positions = tuple(position + after for position in window.positions)
        return Layout(Window(positions, (*window.axes[:-1], _times(last, row))), trailing, True)
    if after > 1:
        positions = tuple(position + after - 1 for position in window.positions)
        return Layout(Window(positions, window.axes), trailing)
    return Layout(window)


def holes(window: Window, shape: Sequence[Any], *, target: Target) -> Window | None:
    """The stride-1 pooling that `window` is part of, where it is worth laying out its outputs so.

    Written with holes between them, outputs of a stride along short rows can be merged with these.
    """
    after = -window.positions[-1] - 1
    trailing = shape[len(shape) - after :]
    last = window.axes[-1]
    strided = window.is_even and not window.is_tiling and last.stride > 1 and last.output > 0
    if not (target is CPU and strided):
        return None
    if not all(isinstance(size, int) for size in trailing):
        return None
    row = math.prod(trailing)
    if row > SHORTER or last.size * row > LONGEST:
        return None
    every = Axis(last.size, last.window, 1, last.dilation, *last.reach)
    return Window(window.positions, (*window.axes[:-1], every))


def with_holes(x: jax.Array, window: Window, fill: np.ndarray) -> jax.Array:
    """Outputs at the places of their first taps along the last pooled axis, `fill` between them."""
    config = [(0, 0, 0)] * x.ndim
    config[window.positions[-1]] = (0, 0, window.axes[-1].stride - 1)
    return lax.pad(x, fill, config)


def _times(axis: Axis, row: int) -> Axis:
    """An axis of stride 1 over elements instead of rows."""
    low, high = axis.reach
    dilation = axis.dilation * row if axis.window > 1 else 1
    return Axis(axis.size * row, axis.window, 1, dilation, low * row, high * row)
