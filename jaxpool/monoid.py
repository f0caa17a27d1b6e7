"""Reductions: an associative binary operation with its identity element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


@dataclass(frozen=True)
class Monoid:
    """An associative `combine` with an `identity` for every dtype.

    Attributes:
        name: The name used in messages and plans.
        combine: The binary operation on arrays.
        identity: The neutral element of `combine`, as a scalar of the given dtype.
    """

    name: str
    combine: Callable[[jax.Array, jax.Array], jax.Array]
    identity: Callable[[np.dtype], np.ndarray]


def _lowest(dtype: np.dtype) -> np.ndarray:
    if jnp.issubdtype(dtype, jnp.floating):
        return _infinity(dtype, -1)
    return np.array(False) if dtype == np.bool_ else np.array(jnp.iinfo(dtype).min, dtype)


def _highest(dtype: np.dtype) -> np.ndarray:
    if jnp.issubdtype(dtype, jnp.floating):
        return _infinity(dtype, 1)
    return np.array(True) if dtype == np.bool_ else np.array(jnp.iinfo(dtype).max, dtype)


def _infinity(dtype: np.dtype, sign: int) -> np.ndarray:
    infinity = np.array(sign * np.inf, dtype)
    if infinity == infinity:
        return infinity
    return np.array(sign * float(jnp.finfo(dtype).max), dtype)  # 8-bit floats lack infinity


def _zero(dtype: np.dtype) -> np.ndarray:
    return np.zeros((), dtype)


MAX = Monoid("max", lax.max, _lowest)
MIN = Monoid("min", lax.min, _highest)
SUM = Monoid("sum", lax.add, _zero)
