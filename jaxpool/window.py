"""The geometry of one pooling, validated once and resolved to plain integers.

A `Window` is built from the user's arguments and the sizes of the pooled axes. It then computes the
output sizes, the input index that each tap reads, and the number of taps of a window inside the
image. It holds no arrays and is hashable, so it can be a static argument of a compiled function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from jaxpool import checks
from jaxpool.axis import Axis, PooledAxis
from jaxpool.checks import Ints, Padding


@dataclass(frozen=True)
class Window:
    """One pooling: the pooled axes (indices from the end, ascending) and the geometry of each.

    Indices from the end do not change when leading batch axes are added, for example by `vmap`.
    """

    positions: tuple[int, ...]
    axes: tuple[PooledAxis, ...]

    @property
    def is_even(self) -> bool:
        """Whether all windows have the same length and are evenly spaced."""
        return all(isinstance(axis, Axis) for axis in self.axes)

    @property
    def even_axes(self) -> tuple[Axis, ...]:
        """The axes, for code that supports only even windows."""
        axes = tuple(axis for axis in self.axes if isinstance(axis, Axis))
        if len(axes) < len(self.axes):
            raise TypeError(f"windows must be evenly spaced here, got {self.axes}")
        return axes

    @property
    def output(self) -> tuple[int, ...]:
        """Sizes of the pooled axes after pooling."""
        return tuple(axis.output for axis in self.axes)

    @property
    def taps(self) -> int:
        """Number of elements in one window."""
        result = 1
        for axis in self.axes:
            result *= axis.window
        return result

    @property
    def is_tiling(self) -> bool:
        """Whether no input is read by two windows."""
        return all(axis.is_tiling for axis in self.axes)

    @property
    def is_global(self) -> bool:
        """Whether there is one unpadded window, the whole plane."""
        return all(axis.is_global for axis in self.axes)

    def output_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """The output shape for an input of shape `shape`."""
        return tuple(self.replaced(shape, self.output))

    def input_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """The input shape for an output of shape `shape`."""
        return tuple(self.replaced(shape, (axis.size for axis in self.axes)))

    def replaced(self, entries: Sequence[Any], values: Iterable[Any]) -> list[Any]:
        """A copy of `entries`, one per axis of an array, with `values` for the pooled axes."""
        result = list(entries)
        for position, value in zip(self.positions, values, strict=True):
            result[position] = value
        return result

    def only(self, index: int) -> Window:
        """The 1-D pooling along axis `index` of this pooling."""
        return Window((self.positions[index],), (self.axes[index],))

    @classmethod
    def resolve(
        cls,
        shape: Sequence[Any],
        window_shape: Ints,
        *,
        strides: Ints | None = None,
        padding: Padding = "VALID",
        dilation: Ints = 1,
        ceil_mode: bool = False,
        axes: Ints | None = None,
    ) -> Window:
        """Validate the arguments of a pooling against the shape of its input.

        Args:
            shape: Shape of the whole input; only pooled axes need to be integers.
            window_shape: Taps per pooled axis; an int applies to all of them.
            strides: Steps between windows; None means `window_shape`.
            padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"`, an int, or per axis an int or a pair.
            dilation: Distance between neighbouring taps.
            ceil_mode: Keep a last window that starts inside but ends outside.
            axes: The pooled axes; None means those before the last axis (channels).

        Returns:
            The resolved geometry.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument has a value that is not allowed; the message names both.
        """
        per_axis = checks.listed("window_shape", window_shape)
        positions = checks.pooled_axes(len(shape), axes, per_axis)
        sizes = tuple(checks.static_size(shape[p], p) for p in positions)
        count = len(positions)
        window = checks.per_axis_ints("window_shape", window_shape, count)
        stride = window
        if strides is not None:
            stride = checks.per_axis_ints("strides", strides, count)
        checks.flag("ceil_mode", ceil_mode)
        dilations = checks.per_axis_ints("dilation", dilation, count)
        pads = checks.paddings(padding, count)
        order = sorted(range(count), key=lambda i: positions[i])
        return _resolve(
            tuple(positions[i] for i in order),
            tuple(sizes[i] for i in order),
            tuple(window[i] for i in order),
            tuple(stride[i] for i in order),
            tuple(dilations[i] for i in order),
            pads if isinstance(pads, str) else tuple(pads[i] for i in order),
            ceil_mode,
        )

    @classmethod
    def over(cls, shape: Sequence[Any], axes: Ints | None = None) -> Window:
        """The global pooling: one window as large as the pooled axes."""
        positions = tuple(sorted(checks.pooled_axes(len(shape), axes, None)))
        sizes = tuple(checks.static_size(shape[p], p) for p in positions)
        if 0 in sizes:
            raise ValueError(f"x must not be empty along the pooled axes, got shape {tuple(shape)}")
        return cls(positions, tuple(Axis(size, size, stride=size) for size in sizes))


@lru_cache(maxsize=4096)
def _resolve(
    positions: tuple[int, ...],
    sizes: tuple[int, ...],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: str | tuple[tuple[int, int], ...],
    ceil_mode: bool,
) -> Window:
    if isinstance(padding, str):
        if ceil_mode and padding != "VALID":
            raise ValueError(
                f"ceil_mode=True is not allowed with padding={padding!r}, whose output size "
                "is ceil(size / stride) by itself; give 'VALID' or numbers"
            )
        padding = tuple(
            checks.named_padding(padding, n, d * (k - 1) + 1, s)
            for n, k, s, d in zip(sizes, window, strides, dilation, strict=True)
        )
    axes = (
        Axis(n, k, s, d, low, high, ceil_mode)
        for n, k, s, d, (low, high) in zip(sizes, window, strides, dilation, padding, strict=True)
    )
    return Window(positions, tuple(map(_tiling_if_single, axes)))


def _tiling_if_single(axis: Axis) -> Axis:
    """The same axis, with a stride that tiles if there is one window, whose stride is unused."""
    tiling = replace(axis, stride=max(axis.stride, axis.window))
    return tiling if axis.output == tiling.output == 1 else axis
