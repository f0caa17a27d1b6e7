"""The dtype in which a step computes: float32 for 16-bit floats, rounded once at the end."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine.lower.row_gather import along
from jaxpool.engine.plan.target import CPU, Target
from jaxpool.window import Window


def wide_dtype(dtype: np.dtype) -> np.dtype:
    """float32 for narrower floats, else `dtype`.

    XLA:CPU rounds after every 16-bit operation (max k3 s2 of 8x112x112x64 in bfloat16, widened: 52
    -> 7 ms). A maximum does not change; a sum is rounded once.
    """
    narrow = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
    return np.dtype(np.float32) if narrow else dtype


def widen(x: jax.Array) -> jax.Array:
    """`x` in `wide_dtype`."""
    return x.astype(wide_dtype(x.dtype))


def narrow(x: jax.Array, dtype: np.dtype, *, target: Target) -> jax.Array:
    """`x` in `dtype`, rounded to nearest, ties to even.

    On XLA:CPU, float32 is converted to bfloat16 in integer arithmetic: a carry out of the lower
    half rounds up. The quiet bit of NaN is set first, because the carry could turn NaN into a
    number (mean of 32x28x28x256, k2 s2, XLA's conversion -> integers, wall time: 0.90 -> 0.75 ms).
    """
    if not (target is CPU and x.dtype == np.float32 and dtype == jnp.bfloat16):
        return x.astype(dtype)
    bits = lax.bitcast_convert_type(x, np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = jnp.where(jnp.isnan(x), bits | np.uint32(1 << 22), bits + np.uint32(0x7FFF) + odd)
    return lax.bitcast_convert_type((rounded >> np.uint32(16)).astype(np.uint16), dtype)


@dataclass(frozen=True)
class Accumulation:
    """The accumulation dtype of a sum, and its divisors.

    Attributes:
        dtype: The dtype of the sum and the division; None means the dtype of the array.
        divisors: One tuple per pooled axis, of one number per output or one for all; the divisor
            of an output is their product. Empty for a plain sum.
    """

    dtype: np.dtype | None = None
    divisors: tuple[tuple[float, ...], ...] = ()

    def widen(self, x: jax.Array) -> jax.Array:
        """The array in the accumulation dtype."""
        return x if self.dtype is None else x.astype(self.dtype)

    def widens_reads(self, x: jax.Array) -> bool:
        """Whether the accumulation dtype is `wide_dtype`, in which elements are best read."""
        return self.dtype == wide_dtype(x.dtype)

    def divide(self, total: jax.Array, window: Window) -> jax.Array:
        """Divide the sum of each window."""
        if not self.divisors:
            return total
        arrays = [
            np.array(numbers) if len(numbers) == 1 else along(np.array(numbers), p, total.ndim)
            for numbers, p in zip(self.divisors, window.positions, strict=True)
        ]
        single = np.prod([d for d in arrays if d.size == 1])
        several = [jnp.asarray(d, total.dtype) for d in arrays if d.size > 1]
        return total / functools.reduce(operator.mul, several, single.astype(total.dtype))

    def repeated(self, row: int) -> Accumulation:
        """The same for a last pooled axis whose positions were each merged with `row` elements."""
        if row == 1 or not self.divisors or len(self.divisors[-1]) == 1:
            return self
        last = tuple(divisor for divisor in self.divisors[-1] for _ in range(row))
        return Accumulation(self.dtype, (*self.divisors[:-1], last))


PLAIN = Accumulation()
