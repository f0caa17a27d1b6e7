"""Checks of constructor arguments, shared by modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import nnx

from jaxpool.checks import integer, listed, per_axis_ints


def size(name: str, value: Any) -> int:
    """One integer of at least 1.

    Raises:
        TypeError: It is something else.
        ValueError: It is less than 1.
    """
    return integer(name, value, 1)


def sizes(name: str, value: Any, axes: Any = None) -> tuple[int, ...]:
    """Integers of at least 1, one per axis; an int applies to every axis in `axes`.

    Raises:
        TypeError: An entry is not an integer, or an int is given without axes.
        ValueError: An entry is less than 1, or there is no entry.
    """
    if axes is None and not isinstance(value, Sequence | np.ndarray):
        raise TypeError(f"{name} must be a sequence of ints, one per spatial axis, got {value!r}")
    count = listed(name, value)
    if count is None:
        count = len(axes) if isinstance(axes, Sequence) else 1
    return per_axis_ints(name, value, count)


def stream(rngs: Any, collection: str = "params") -> nnx.RngStream:
    """The stream of random keys named `collection`, or the default stream.

    Raises:
        TypeError: `rngs` is not `nnx.Rngs`.
        ValueError: It has neither stream.
    """
    if not isinstance(rngs, nnx.Rngs):
        raise TypeError(f"rngs must be nnx.Rngs, as nnx.Rngs(0) is, got {rngs!r}")
    try:
        return rngs[collection]
    except KeyError:
        raise ValueError(
            f"rngs must have a stream {collection!r} or 'default', got only {[*rngs]}"
        ) from None
