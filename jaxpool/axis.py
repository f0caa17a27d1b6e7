"""The geometry of one pooled axis: the inputs of each tap, and the outputs of each input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

NO_TAP = -1


@dataclass(frozen=True)
class Reader:
    """For each input of an axis, one output that reads it, and the tap through which it does."""

    outputs: np.ndarray  # (size,); may be out of bounds
    taps: np.ndarray  # (size,); NO_TAP if the output does not exist or does not read the input


class PooledAxis(Protocol):
    """The interface of an axis. Axes are hashable, and equal if their geometry is equal."""

    @property
    def size(self) -> int:
        """Number of inputs."""
        ...

    @property
    def window(self) -> int:
        """Taps of the longest window."""
        ...

    @property
    def output(self) -> int:
        """Number of windows."""
        ...

    @property
    def dilation(self) -> int:
        """Distance between neighbouring taps."""
        ...

    @property
    def weights(self) -> tuple[float, ...] | None:
        """One factor per tap; None for 1."""
        ...

    @property
    def is_tiling(self) -> bool:
        """Whether windows do not overlap and taps are adjacent."""
        ...

    @property
    def is_global(self) -> bool:
        """Whether one unpadded window covers the whole axis."""
        ...

    def counts(self, *, include_pad: bool) -> tuple[int, ...]:
        """Number of taps per output that lie in the padded image, or in the image itself."""
        ...

    def inputs(self, tap: int) -> np.ndarray:
        """The index of the input that `tap` reads, one per output; may be out of bounds."""
        ...

    def exists(self, tap: int) -> np.ndarray:
        """Mask of the outputs whose `tap` reads inside the image."""
        ...

    def readers(self) -> list[Reader]:
        """The readers of every input: as many as the largest number of outputs that read one."""
        ...


@dataclass(frozen=True)
class Axis:
    """One pooled axis: output `o`, tap `t` reads input `o * stride + t * dilation - low`.

    `low` and `high` count padded positions; negative ones leave positions of the input unread.
    `covers`: number of consecutive original elements that each input already summarises (1 in the
    first step of a chain of windows).
    """

    size: int
    window: int
    stride: int = 1
    dilation: int = 1
    low: int = 0
    high: int = 0
    ceil_mode: bool = False
    covers: int = 1

    weights = None

    @property
    def extent(self) -> int:
        """Positions from the first tap to the last, both included."""
        return self.dilation * (self.window - 1) + 1

    @property
    def output(self) -> int:
        """Number of windows."""
        room = self.size + self.low + self.high - self.extent
        if not self.ceil_mode:
            return max(room // self.stride + 1, 0)
        windows = -(-room // self.stride) + 1
        if (windows - 1) * self.stride >= self.size + self.low:
            windows -= 1
        return max(windows, 0)

    @property
    def reach(self) -> tuple[int, int]:
        """Padding (low, high) of the input after which the windows fit the array exactly.

        `high` differs from the field `high`: it includes the overhang of `ceil_mode`, and excludes
        positions that no window reads, so it may be negative.
        """
        return self.low, (self.output - 1) * self.stride + self.extent - self.size - self.low

    @property
    def is_global(self) -> bool:
        """Whether one unpadded window covers the whole axis."""
        return (
            (self.window, self.dilation) == (self.size, 1)
            and self.output == 1
            and self.reach == (0, 0)
        )

    @property
    def is_tiling(self) -> bool:
        """Whether windows do not overlap and taps are adjacent."""
        return self.dilation == 1 and self.stride >= self.window

    def inputs(self, tap: int) -> np.ndarray:
        """The index of the input that `tap` reads, one per output; may be out of bounds."""
        return np.arange(self.output) * self.stride + tap * self.dilation - self.low

    def exists(self, tap: int) -> np.ndarray:
        """Mask of the outputs whose `tap` reads inside the image."""
        inputs = self.inputs(tap)
        return (inputs >= 0) & (inputs < self.size)

    def readers(self) -> list[Reader]:
        """The readers of every input: as many as the largest number of outputs that read one."""
        groups, phase = np.divmod(np.arange(self.size) + self.low, self.stride)
        result = []
        for j in sorted({t * self.dilation // self.stride for t in range(self.window)}):
            outputs = groups - j
            tap, between = np.divmod(j * self.stride + phase, self.dilation)
            exists = (outputs >= 0) & (outputs < self.output)
            reads = exists & (between == 0) & (tap < self.window)
            result.append(Reader(outputs, np.where(reads, tap, NO_TAP)))
        return result

    def counts(self, *, include_pad: bool) -> tuple[int, ...]:
        """Number of taps per output that lie in the padded image, or in the image itself."""
        begin = -self.low if include_pad else 0
        end = self.size + (self.high if include_pad else 0)
        starts = range(-self.low, self.output * self.stride - self.low, self.stride)
        return tuple(_multiples(self.dilation, begin - s, end - s, self.window) for s in starts)


@dataclass(frozen=True)
class Uneven:
    """One pooled axis whose windows differ: output `o`, tap `t` reads input `starts[o] + t`.

    Window `o` has `lengths[o]` taps, at least one. Starts and ends are nondecreasing.
    """

    size: int
    starts: tuple[int, ...]
    lengths: tuple[int, ...]

    is_tiling = is_global = False
    dilation, weights = 1, None

    @property
    def window(self) -> int:
        """Taps of the longest window."""
        return max(self.lengths)

    @property
    def output(self) -> int:
        """Number of windows."""
        return len(self.starts)

    def counts(self, *, include_pad: bool) -> tuple[int, ...]:
        """Number of taps per output; there is no padding."""
        del include_pad
        return self.lengths

    def inputs(self, tap: int) -> np.ndarray:
        """The index of the input that `tap` reads, one per output; a missing tap reads the last."""
        return np.array(self.starts) + np.minimum(tap, np.array(self.lengths) - 1)

    def exists(self, tap: int) -> np.ndarray:
        """Mask of the outputs that have this tap."""
        return np.array(self.lengths) > tap

    def readers(self) -> list[Reader]:
        """The readers of every input: as many as the largest number of outputs that read one."""
        starts, lengths = np.array(self.starts), np.array(self.lengths)
        inputs = np.arange(self.size)
        last = np.searchsorted(starts, inputs, side="right") - 1  # last that starts at or before it
        first = np.searchsorted(starts + lengths, inputs, side="right")  # first that ends after it
        result = []
        for j in range(int(max(1, (last - first).max() + 1))):
            outputs = last - j
            taps = inputs - starts[np.maximum(outputs, 0)]
            result.append(Reader(outputs, np.where(outputs >= first, taps, NO_TAP)))
        return result


@dataclass(frozen=True)
class Filtered:
    """One axis of a filter: weighted sums with reflection padding.

    Output `o`, tap `t` reads input `o * stride + t - (window - 1) // 2`. An out-of-bounds index is
    reflected, or clamped to the edge if the axis is too short for reflection.
    """

    size: int
    weights: tuple[float, ...]
    stride: int

    is_tiling = is_global = False
    dilation = 1

    @property
    def window(self) -> int:
        """Taps of the filter."""
        return len(self.weights)

    @property
    def output(self) -> int:
        """Number of windows."""
        return -(-self.size // self.stride)

    def counts(self, *, include_pad: bool) -> tuple[int, ...]:
        """Number of taps per output: every tap reads an element."""
        del include_pad
        return (self.window,) * self.output

    def inputs(self, tap: int) -> np.ndarray:
        """The index of the input that `tap` reads, one per output."""
        return self.mirrored(self._places(tap))

    def mirrored(self, places: np.ndarray) -> np.ndarray:
        """The indices, with those out of bounds reflected (or clamped)."""
        last = self.size - 1
        if self.window // 2 < self.size:
            places = last - np.abs(last - np.abs(places))
        return np.clip(places, 0, last)

    def exists(self, tap: int) -> np.ndarray:
        """Mask of the outputs whose `tap` reads an element: all of them."""
        del tap
        return np.ones(self.output, bool)

    def readers(self) -> list[Reader]:
        """The readers of every input: by unreflected taps first, then by reflected taps."""
        low = (self.window - 1) // 2
        reach = self.stride * (self.output - 1) + self.window
        plain = Axis(self.size, self.window, self.stride, 1, low, reach - self.size - low)
        result, ends = plain.readers(), []
        places, inputs = ([f(t) for t in range(self.window)] for f in (self._places, self.inputs))
        beyond = [(places[t] < 0) | (places[t] >= self.size) for t in range(self.window)]
        for output, tap in np.argwhere(np.transpose(beyond)):
            read = inputs[tap][output]
            if not any(o == output and taps[read] == NO_TAP for o, taps in ends):
                ends.append((output, np.full(self.size, NO_TAP)))
            free = (taps for o, taps in ends if o == output and taps[read] == NO_TAP)
            next(free)[read] = tap
        return result + [Reader(np.full(self.size, output), taps) for output, taps in ends]

    def _places(self, tap: int) -> np.ndarray:
        """The unreflected index that `tap` reads, one per output; may be out of bounds."""
        return np.arange(self.output) * self.stride + tap - (self.window - 1) // 2


def _multiples(step: int, begin: int, end: int, limit: int) -> int:
    """The number of `t` in `[0, limit)` with `t * step` in `[begin, end)`."""
    first = max(0, -(-begin // step))
    last = min(limit, -(-end // step))
    return max(0, last - first)
