"""Pooled axes and sizes, for operators with arguments of one size per pooled axis."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxpool.checks import Ints, listed, per_axis_ints, pooled_axes, static_size


def given(
    x: jax.Array, axes: Ints | None, array: str = "x", **arguments: Any
) -> list[dict[int, int]]:
    """Each argument as a dict from pooled axis (from the end, ascending) to size.

    Args:
        x: The input.
        axes: The argument `axes`.
        array: The name of the input.
        **arguments: Each an int, or one int per pooled axis (a sequence or NumPy array); the first
            sequence determines the number of pooled axes.

    Raises:
        TypeError: Not integers.
        ValueError: A size is less than 1, the number of sizes differs from that of pooled axes, or
            an axis is empty.
    """
    counts = {name: listed(name, value) for name, value in arguments.items()}
    name = next((name for name, count in counts.items() if count is not None), "")
    positions = pooled_axes(x.ndim, axes, counts.get(name), name, array)
    for position in positions:
        if static_size(x.shape[position], position, array) == 0:
            raise ValueError(f"{array} must not be empty along pooled axes, got shape {x.shape}")
    result = []
    for name, value in arguments.items():
        entries = per_axis_ints(name, value, len(positions))
        result.append(dict(sorted(zip(positions, entries, strict=True))))
    return result


def rest(shape: Sequence[Any], positions: Collection[int]) -> tuple[Any, ...]:
    """The sizes of the axes that are not pooled."""
    return tuple(size for i, size in enumerate(shape) if i - len(shape) not in positions)


def gather_planes(x: jax.Array, positions: Sequence[int]) -> jax.Array:
    """Merge the pooled axes into one last axis: `(*rest, elements)`."""
    x = jnp.moveaxis(x, positions, range(-len(positions), 0))
    rest = x.ndim - len(positions)
    return x.reshape(*x.shape[:rest], math.prod(x.shape[rest:]))


def spread_planes(x: jax.Array, sizes: dict[int, int]) -> jax.Array:
    """The inverse of `gather_planes`, for planes of the given sizes."""
    x = x.reshape(*x.shape[:-1], *sizes.values())
    return jnp.moveaxis(x, range(-len(sizes), 0), tuple(sizes))
