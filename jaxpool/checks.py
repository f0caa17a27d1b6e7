"""Checks of numbers and sizes given as arguments; each returns the converted value.

They accept Python and NumPy values. `jaxpool.pooling.arguments` checks arrays.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from numbers import Integral
from typing import Any

import numpy as np

Ints = int | Sequence[int]
Padding = str | int | Sequence[int | Sequence[int]]

PADDINGS = ("VALID", "SAME", "SAME_LOWER")


def flag(name: str, value: Any) -> bool:
    """A bool.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, got {value!r}")
    return value


def choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """One of several words.

    Raises:
        ValueError: It is none of them.
    """
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
    return value


def integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """One integer from `minimum` to `maximum`.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is out of range.
    """
    if not is_int(value):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < minimum or (maximum is not None and value > maximum):
        allowed = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return operator.index(value)


def per_axis_ints(
    name: str, value: Any, count: int, *, scalar: bool = True, of: str = "pooled axis"
) -> tuple[int, ...]:
    """`value` as `count` integers of at least 1.

    Args:
        name: The argument's name.
        value: A sequence of integers, or one integer for all entries.
        count: Required number of entries.
        scalar: Whether one integer is allowed.
        of: What has one entry each, for the message.

    Raises:
        TypeError: An entry is not an integer.
        ValueError: An entry is less than 1, or the number of entries is wrong.
    """
    if scalar and is_int(value):
        entries = (operator.index(value),) * count
    else:
        given = sequence(name, value, scalar=scalar)
        if len(given) != count:
            raise ValueError(f"{name} must have {count} entries, one per {of}, got {value!r}")
        entries = tuple(_entry(name, entry, value, scalar=scalar) for entry in given)
    if entries and min(entries) < 1:
        raise ValueError(f"{name} must be integers of at least 1, got {value!r}")
    return entries


def listed(name: str, value: Any) -> int | None:
    """The number of entries of a sequence of sizes; None for a single int.

    Raises:
        TypeError: It is neither.
        ValueError: It is empty.
    """
    if is_int(value):
        return None
    count = len(sequence(name, value))
    if count == 0:
        raise ValueError(f"{name} must have at least one entry, got {value!r}")
    return count


def pooled_axes(
    rank: int,
    axes: Ints | None,
    per_axis: int | None,
    implied_by: str = "window_shape",
    array: str = "x",
) -> tuple[int, ...]:
    """The pooled axes as indices from the end, in the order of the argument `axes`.

    Args:
        rank: Number of axes of the input.
        axes: The user's argument; None means the axes before the last one.
        per_axis: The number of pooled axes that another argument implies, or None.
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
                "for another layout, pass the indices of the pooled axes as axes=..."
            )
        return tuple(range(-count - 1, -1))
    given = (axes,) if is_int(axes) else sequence("axes", axes)
    result = []
    for axis in given:
        position = _entry("axes", axis, axes)
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


def paddings(
    value: Any, count: int, *, pairs_only: bool = False, of: str = "pooled axis"
) -> str | tuple[tuple[int, int], ...]:
    """Padding as an upper-case name, or as `count` pairs `(low, high)`.

    Args:
        value: A name, an integer, or per axis an integer or a pair.
        count: Required number of pairs.
        pairs_only: Allow only names and pairs, which may be negative, as in `jax.lax`.
        of: What has one pair each, for the message.

    Raises:
        TypeError: It is something else.
        ValueError: It is another name, not one pair per axis, or negative.
    """
    kinds = "pairs of ints (low, high)" if pairs_only else "an int, or per axis an int or a pair"
    refusal = f"padding must be 'VALID', 'SAME', 'SAME_LOWER', or {kinds}, got {value!r}"
    if isinstance(value, str):
        if value.upper() not in PADDINGS:
            raise ValueError(refusal)
        return value.upper()
    entries = (value,) * count if is_int(value) and not pairs_only else value
    if not isinstance(entries, Sequence | np.ndarray):
        raise TypeError(refusal)
    if len(entries) != count:
        raise ValueError(f"padding must have {count} entries, one per {of}, got {value!r}")
    pairs = []
    for entry in entries:
        pair = (entry, entry) if is_int(entry) and not pairs_only else entry
        if not isinstance(pair, Sequence | np.ndarray) or not all(map(is_int, pair)):
            raise TypeError(refusal)
        if len(pair) != 2:
            raise ValueError(refusal)
        if min(pair) < 0 and not pairs_only:
            raise ValueError(f"padding must be at least 0, got {value!r}")
        low, high = map(operator.index, pair)
        pairs.append((low, high))
    return tuple(pairs)


def named_padding(name: str, size: int, extent: int, stride: int) -> tuple[int, int]:
    """The padding (low, high) of one axis for one of the names in `PADDINGS`.

    SAME and SAME_LOWER have `ceil(size / stride)` windows. An odd padding element goes on the high
    side for SAME, and on the low side for SAME_LOWER.
    """
    if name == "VALID":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    less, more = total // 2, total - total // 2
    return (less, more) if name == "SAME" else (more, less)


def static_size(size: Any, position: int, array: str = "x") -> int:
    """`size`, the length of a pooled axis of the input `array`; an error if it is symbolic."""
    if not is_int(size):
        raise ValueError(
            f"{array} must have a static size along pooled axis {position}, got {size!r}; "
            "only axes that are not pooled may be symbolic"
        )
    return operator.index(size)


def is_int(value: Any) -> bool:
    """Whether `value` is a Python or NumPy integer, but not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def sequence(name: str, value: Any, *, scalar: bool = True) -> list[Any]:
    """The entries of a sequence or NumPy array.

    Raises:
        TypeError: It is something else.
    """
    is_array = isinstance(value, np.ndarray) and value.ndim > 0
    if isinstance(value, str) or not (is_array or isinstance(value, Sequence)):
        raise TypeError(_kinds(name, value, scalar=scalar))
    return list(value)


def _entry(name: str, entry: Any, whole: Any, *, scalar: bool = True) -> int:
    if not is_int(entry):
        raise TypeError(_kinds(name, whole, scalar=scalar))
    return operator.index(entry)


def _kinds(name: str, value: Any, *, scalar: bool) -> str:
    return f"{name} must be {'an int or ' * scalar}a sequence of ints, got {value!r}"
