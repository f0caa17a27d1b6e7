"""The arrays of cases, each with a description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Array:
    """An array that is built on demand, with the same elements every time.

    Attributes:
        words: A description from which a reader could build the array.
        build: Returns the array.
    """

    words: str
    build: Callable[[], np.ndarray]


def normal(*shape: int, dtype: str = "float32") -> Array:
    """Normally distributed elements."""

    def build() -> np.ndarray:
        return _generator(shape).normal(size=shape).astype(jnp.dtype(dtype))

    return Array(f"normal {dtype} {shape}", build)


def uniform(*shape: int) -> Array:
    """Elements in [0, 1)."""
    return Array(
        f"uniform float32 {shape}", lambda: _generator(shape).random(shape, dtype=np.float32)
    )


def integers(*shape: int, dtype: str = "float32") -> Array:
    """Whole numbers from -2 to 2, so that windows contain many ties."""

    def build() -> np.ndarray:
        return _generator(shape).integers(-2, 3, shape).astype(dtype)

    return Array(f"whole numbers from -2 to 2, {dtype} {shape}", build)


def constant(value: float, *shape: int, dtype: str = "float32") -> Array:
    """One number in every element."""
    return Array(f"{value} everywhere, {dtype} {shape}", lambda: np.full(shape, value, dtype))


def with_nan(*shape: int) -> Array:
    """Normally distributed elements, one of them NaN."""
    place = tuple((2 * size) // 3 for size in shape)

    def build() -> np.ndarray:
        array = normal(*shape).build()
        array[place] = np.nan
        return array

    return Array(f"normal float32 {shape}, NaN at {place}", build)


def given(values: Sequence[Any], dtype: str = "float32") -> Array:
    """The given numbers, nested like the array."""
    return Array(f"{values}", lambda: np.array(values, dtype))


def _generator(shape: tuple[int, ...]) -> np.random.Generator:
    return np.random.default_rng(shape)
