"""The three derivatives of F(x, w, g) in `rules.filters`, each from the two other operands.

`shape` is the shape of the filter w: the number of taps, then axes that broadcast to the outputs g.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import Reader
from jaxpool.engine.lower import native, row_gather, taps
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import TPU, Target
from jaxpool.window import Window

Shape = tuple[int, ...]


def outputs(
    x: jax.Array, w: jax.Array, *, shape: Shape, window: Window, target: Target
) -> jax.Array:
    """For each output o, the sum of w[t] x[i(o, t)] over the taps t."""
    if _is_convolution(shape, target):
        return native.convolve(x, w, window)
    padded, exact = taps.pad_to_fit(x, window, _zero(x))

    def add(total: jax.Array, number: Any, tap: Any) -> jax.Array:
        return total + taps.read_at(padded, exact, tap) * w[number]

    size = lax.broadcast_shapes(window.output_shape(x.shape), shape[1:])
    return taps.fold(add, jnp.zeros(size, x.dtype), exact)


def inputs(
    w: jax.Array, g: jax.Array, *, shape: Shape, window: Window, target: Target
) -> jax.Array:
    """For each input, the sum of g[o] w[t] over the outputs o that read it, each by its tap t."""
    size = lax.broadcast_shapes(window.input_shape(g.shape), shape[1:])
    if _is_convolution(shape, target):
        x = jax.ShapeDtypeStruct(size, g.dtype)
        return jax.linear_transpose(lambda x: native.convolve(x, w, window), x)(g)[0]
    if window.taps <= tuning.UNROLLED_TAPS:

        def read(readers: tuple[Reader, ...], g: jax.Array) -> jax.Array:
            return taps.where_read(g * _of_readers(w, window, readers), window, readers, 0)

        return taps.sum_over_readers(window, read, (g, _zero(g)), target=target)
    padding, exact = taps.fitted(window)

    def add(total: jax.Array, number: Any, tap: Any) -> jax.Array:
        return taps.add_at(total, g * w[number], exact, tap)

    total = taps.loop(add, jnp.zeros(exact.input_shape(size), g.dtype), exact)
    crop = ((-low, -high, 0) for low, high in padding)
    return taps.pad_pooled(total, window, _zero(g), crop)


def factors(
    x: jax.Array, g: jax.Array, *, shape: Shape, window: Window, target: Target
) -> jax.Array:
    """For each tap t, the sum of g[o] x[i(o, t)] over the outputs o."""
    if _is_convolution(shape, target):
        w = jax.ShapeDtypeStruct(shape, x.dtype)
        return jax.linear_transpose(lambda w: native.convolve(x, w, window), w)(g)[0]
    padded, exact = taps.pad_to_fit(x, window, _zero(x))
    summed = [i for i, size in enumerate(shape[1:]) if size == 1]

    def one(tap: Any) -> jax.Array:
        return jnp.sum(g * taps.read_at(padded, exact, tap), summed, keepdims=True)

    if window.taps <= tuning.UNROLLED_TAPS:
        return jnp.stack(list(map(one, map(np.array, taps.every_tap(window)))))

    def add(total: jax.Array, number: Any, tap: Any) -> jax.Array:
        return total.at[number].set(one(tap), mode="promise_in_bounds")

    return taps.loop(add, jnp.zeros(shape, x.dtype), exact)


def _of_readers(w: jax.Array, window: Window, readers: tuple[Reader, ...]) -> jax.Array:
    """For each input, w[t] of the tap t by which these readers read it."""
    result = w[0]
    for number, tap in enumerate(taps.every_tap(window)):
        through = [reader.taps == one for reader, one in zip(readers, tap, strict=True)]
        if all(mask.any() for mask in through):
            here = row_gather.all_along(through, window.positions, w.ndim - 1)
            result = w[number] if here is None else jnp.where(here, w[number], result)
    return result


def _is_convolution(shape: Shape, target: Target) -> bool:
    """Whether to use a depthwise convolution: on TPU, if w varies by tap and channel only."""
    return target is TPU and all(size == 1 for size in shape[1:-1])


def _zero(x: jax.Array) -> np.ndarray:
    return np.zeros((), x.dtype)
