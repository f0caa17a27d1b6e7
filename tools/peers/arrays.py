"""Arrays that a case is about, with the words that describe them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Array:
    """An array that is built when it is needed, the same one every time.

    Attributes:
        words: What it is, for a reader who would build it again.
        build: Builds it.
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
    """Whole numbers from -2 to 2, so that windows hold many equal ones."""

    def build() -> np.ndarray:
        return _generator(shape).integers(-2, 3, shape).astype(dtype)

    return Array(f"whole numbers from -2 to 2, {dtype} {shape}", build)


def constant(value: float, *shape: int, dtype: str = "float32") -> Array:
    """One number everywhere."""
    return Array(f"{value} everywhere, {dtype} {shape}", lambda: np.full(shape, value, dtype))


def with_nan(*shape: int) -> Array:
    """Normally distributed elements, of which one is NaN."""
    place = tuple((2 * size) // 3 for size in shape)

    def build() -> np.ndarray:
        array = normal(*shape).build()
        array[place] = np.nan
        return array

    return Array(f"normal float32 {shape}, NaN at {place}", build)


def given(values: Sequence[Any], dtype: str = "float32") -> Array:
    """Numbers as they stand, nested as the array is."""
    return Array(f"{values}", lambda: np.array(values, dtype))


def _generator(shape: tuple[int, ...]) -> np.random.Generator:
    return np.random.default_rng(shape)
