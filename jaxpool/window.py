"""The geometry of one pooling: validated once, resolved to plain integers.

A `Window` is a recipe. It is built from what the user typed and from the sizes of the pooled
axes, and it answers every geometric question after that: the output sizes, which input a tap
reads, how many taps of a window lie inside the image. It knows nothing of arrays, is hashable,
and can therefore be a static argument of a compiled function.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Integral
from typing import Any

from jaxpool.axis import Axis, PooledAxis

PADDINGS = ("VALID", "SAME", "SAME_LOWER")


@dataclass(frozen=True)
class Window:
    """One pooling: which axes (counted from the end, ascending) and the geometry of each.

    Counting from the end makes leading batch axes, and those that `vmap` adds, invisible.
    """

    positions: tuple[int, ...]
    axes: tuple[PooledAxis, ...]

    @property
    def is_even(self) -> bool:
        """Whether all windows are alike and evenly spaced."""
        return all(isinstance(axis, Axis) for axis in self.axes)

    @property
    def even_axes(self) -> tuple[Axis, ...]:
        """The axes, for code that serves even windows only."""
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
        """Whether no input is read twice."""
        return all(axis.is_tiling for axis in self.axes)

    def output_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """The shape of the pooled array, of which `shape` was the input's."""
        return tuple(self.replaced(shape, self.output))

    def input_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """The shape of the input, of which `shape` is that of the pooled array."""
        return tuple(self.replaced(shape, (axis.size for axis in self.axes)))

    def replaced(self, entries: Sequence[Any], values: Iterable[Any]) -> list[Any]:
        """A copy of `entries`, one per axis of an array, with `values` for the pooled axes."""
        result = list(entries)
        for position, value in zip(self.positions, values, strict=True):
            result[position] = value
        return result

    def only(self, index: int) -> Window:
        """The 1-D pooling along the axis number `index` of this one."""
        return Window((self.positions[index],), (self.axes[index],))

    @classmethod
    def resolve(
        cls,
        shape: Sequence[Any],
        window_shape: int | Sequence[int],
        *,
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence[int | Sequence[int]] = "VALID",
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        axes: int | Sequence[int] | None = None,
    ) -> Window:
        """Validate the arguments of a pooling against the shape of its input.

        Args:
            shape: Shape of the whole input; only pooled axes need to be integers.
            window_shape: Taps per pooled axis; an int stands for every one of them.
            strides: Steps between windows; None means `window_shape`.
            padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"`, an int, or per axis an int or a pair.
            dilation: Distance between neighbouring taps.
            ceil_mode: Keep a last window that starts inside but ends outside.
            axes: The pooled axes; None means those before the last (channels) one.

        Returns:
            The resolved geometry.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument has a value that is not allowed; the message names both.
        """
        rank = len(shape)
        per_axis = None if _is_int(window_shape) else len(_sequence("window_shape", window_shape))
        if per_axis == 0:
            raise ValueError(f"window_shape must have at least one entry, got {window_shape!r}")
        positions = pooled_axes(rank, axes, per_axis)
        sizes = tuple(static_size(shape[p], p) for p in positions)
        count = len(positions)
        window = per_axis_ints("window_shape", window_shape, count, minimum=1)
        stride = window
        if strides is not None:
            stride = per_axis_ints("strides", strides, count, minimum=1)
        if not isinstance(ceil_mode, bool):
            raise TypeError(f"ceil_mode must be a bool, got {ceil_mode!r}")
        dilations = per_axis_ints("dilation", dilation, count, minimum=1)
        pads = _padding(padding, count)
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
    def over(cls, shape: Sequence[Any], axes: int | Sequence[int] | None = None) -> Window:
        """The global pooling: one window as large as the pooled axes."""
        positions = tuple(sorted(pooled_axes(len(shape), axes, None)))
        sizes = tuple(static_size(shape[p], p) for p in positions)
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
            _named_padding(padding, n, k, s, d)
            for n, k, s, d in zip(sizes, window, strides, dilation, strict=True)
        )
    axes = (
        Axis(n, k, s, d, low, high, ceil_mode)
        for n, k, s, d, (low, high) in zip(sizes, window, strides, dilation, padding, strict=True)
    )
    return Window(positions, tuple(map(_tiling_if_single, axes)))


def _tiling_if_single(axis: Axis) -> Axis:
    """The same axis; if it has one window, whose stride does not matter, as one that tiles."""
    tiling = replace(axis, stride=max(axis.stride, axis.window))
    return tiling if axis.output == tiling.output == 1 else axis


def _named_padding(name: str, size: int, window: int, stride: int, dilation: int) -> tuple:
    if name == "VALID":
        return 0, 0
    output = -(-size // stride)
    total = max((output - 1) * stride + dilation * (window - 1) + 1 - size, 0)
    less, more = total // 2, total - total // 2
    return (less, more) if name == "SAME" else (more, less)


def pooled_axes(
    rank: int,
    axes: int | Sequence[int] | None,
    per_axis: int | None,
    implied_by: str = "window_shape",
    array: str = "x",
) -> tuple[int, ...]:
    """The pooled axes, counted from the end, in the order in which the arguments list them.

    Args:
        rank: Number of axes of the input.
        axes: As the user gave them, or None for the axes before the last one.
        per_axis: How many pooled axes another argument implies, or None.
        implied_by: The name of that argument.
        array: The name of the input.
    """
    if axes is None:
        count = rank - 2 if per_axis is None else per_axis
        if count < 1 or rank < count + 1:
            needed = "the axes (batch, spatial..., channels)"
            if per_axis is not None:
                needed = f"{count + 1} axes for {implied_by} of {count} entries"
            raise ValueError(
                f"{array} must have at least {needed}, got {rank} axes; "
                "for another layout name the pooled axes with axes=..."
            )
        return tuple(range(-count - 1, -1))
    given = (axes,) if _is_int(axes) else _sequence("axes", axes)
    result = []
    for axis in given:
        position = _integer("axes", axis, axes)
        if not -rank <= position < rank:
            raise ValueError(f"axes must lie in [{-rank}, {rank}) for {rank} axes, got {axes!r}")
        result.append(position % rank - rank)
    if not result or len(set(result)) != len(result):
        raise ValueError(f"axes must name at least one axis, each once, got {axes!r}")
    if per_axis is not None and len(result) != per_axis:
        raise ValueError(
            f"axes must name as many axes as {implied_by} has entries, {per_axis}, got {axes!r}"
        )
    return tuple(result)


def per_axis_ints(name: str, value: Any, count: int, *, minimum: int) -> tuple[int, ...]:
    """`value` as `count` integers of at least `minimum`; one integer stands for all."""
    if _is_int(value):
        entries = (operator.index(value),) * count
    else:
        given = _sequence(name, value)
        if len(given) != count:
            raise ValueError(f"{name} must have {count} entries, one a pooled axis, got {value!r}")
        entries = tuple(_integer(name, entry, value) for entry in given)
    if min(entries) < minimum:
        raise ValueError(f"{name} must be integers of at least {minimum}, got {value!r}")
    return entries


def _padding(value: Any, count: int) -> str | tuple[tuple[int, int], ...]:
    refusal = (
        "padding must be 'VALID', 'SAME', 'SAME_LOWER', an int, or per axis an int or a pair "
        f"(low, high), got {value!r}"
    )
    if isinstance(value, str):
        if value.upper() not in PADDINGS:
            raise ValueError(refusal)
        return value.upper()
    entries = (value,) * count if _is_int(value) else value
    if not isinstance(entries, Sequence):
        raise TypeError(refusal)
    if len(entries) != count:
        raise ValueError(f"padding must have {count} entries, one a pooled axis, got {value!r}")
    pairs = []
    for entry in entries:
        pair = (entry, entry) if _is_int(entry) else entry
        if not isinstance(pair, Sequence) or not all(_is_int(side) for side in pair):
            raise TypeError(refusal)
        if len(pair) != 2:
            raise ValueError(refusal)
        if min(pair) < 0:
            raise ValueError(f"padding must not be negative, got {value!r}")
        low, high = map(operator.index, pair)
        pairs.append((low, high))
    return tuple(pairs)


def _is_int(value: Any) -> bool:
    """Whether `value` is one integer (of Python or NumPy), and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _integer(name: str, entry: Any, whole: Any) -> int:
    if not _is_int(entry):
        raise TypeError(f"{name} must be an int or a sequence of ints, got {whole!r}")
    return operator.index(entry)


def _sequence(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be an int or a sequence of ints, got {value!r}")
    return value


def static_size(size: Any, position: int, array: str = "x") -> int:
    """`size`, the length of a pooled axis of the input `array`, if it is one integer."""
    if not _is_int(size):
        raise ValueError(
            f"{array} must have a static size along pooled axis {position}, got {size!r}; "
            "only axes that are not pooled may be symbolic"
        )
    return operator.index(size)
