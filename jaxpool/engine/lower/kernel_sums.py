"""Weighted sums (see `rules.weighted`): over the taps of every window, and their transpose."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import Reader
from jaxpool.engine.lower import taps, tiles
from jaxpool.engine.lower.row_gather import pad_pooled
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import CPU, Target
from jaxpool.window import Window

Kernel = Callable[..., jax.Array]
Arrays = tuple[jax.Array, ...]


def weighted_sum(
    kernel: Kernel, v: Arrays, xs: Arrays, ys: Arrays, window: Window, *, target: Target
) -> jax.Array:
    """The weighted sum over the taps of each window; `v` has at most one array."""
    inner = (*v, *xs)
    shape = lax.broadcast_shapes(*(window.output_shape(x.shape) for x in (*inner, *ys)))
    if 0 in window.output:
        return jnp.zeros(shape, inner[0].dtype)

    def weigh(parts: Sequence[jax.Array], outer: Sequence[jax.Array], exists: Any) -> jax.Array:
        value = kernel(*parts[len(v) :], *outer)
        value = value * parts[0] if v else value
        return value if exists is None else jnp.where(exists, value, 0)

    if tiles.are_reduced(window, tuning.ONE_LOOP_TILING + 1, target):
        members = [tiles.split(x, window, _zero(x)) for x in inner]
        outer = [tiles.expand(y, window) for y in ys]
        value = weigh(members, outer, tiles.inside(window, len(shape)))
        return jnp.broadcast_to(value.sum(tiles.member_positions(window, len(shape))), shape)

    if target is CPU and window.taps <= tuning.WRITTEN_OUT:
        every = zip(*(taps.elements(x, window, None, target=target) for x in inner), strict=True)
        present = [taps.exists(window, tap, len(shape)) for tap in taps.every_tap(window)]
        terms = (weigh(parts, ys, exists) for parts, exists in zip(every, present, strict=True))
        return jnp.broadcast_to(functools.reduce(operator.add, terms), shape)

    padded, exact = [taps.pad_to_fit(x, window, _zero(x))[0] for x in inner], taps.fitted(window)[1]
    outside = any(side > 0 for axis in window.even_axes for side in axis.reach)
    present = jnp.ones(window.input_shape([1] * len(shape)), bool)
    present, _ = taps.pad_to_fit(present, window, np.array(False))

    def term(tap: Any) -> jax.Array:
        exists = taps.read_at(present, exact, tap) if outside else None
        return weigh([taps.read_at(x, exact, tap) for x in padded], ys, exists)

    if window.taps <= tuning.WRITTEN_OUT:
        total = functools.reduce(operator.add, map(term, np.array(list(taps.every_tap(window)))))
        return jnp.broadcast_to(total, shape)

    def step(total: jax.Array, number: jax.Array, tap: Any) -> jax.Array:
        del number
        return total + term(tap)

    return taps.loop(step, jnp.zeros(shape, inner[0].dtype), exact)


def weighted_sum_transpose(
    kernel: Kernel, v: Arrays, xs: Arrays, ys: Arrays, window: Window, *, target: Target
) -> jax.Array:
    """The sum over the outputs that read each input; `v` has one array. See `taps`."""
    (g,) = v
    shape = lax.broadcast_shapes(*(window.input_shape(x.shape) for x in (g, *xs, *ys)))
    if 0 in window.output:
        return jnp.zeros(shape, g.dtype)
    if math.prod(len(axis.readers()) for axis in window.axes) <= tuning.WRITTEN_OUT:

        def read(readers: tuple[Reader, ...], g: jax.Array, *ys: jax.Array) -> jax.Array:
            return taps.where_read(kernel(*xs, *ys) * g, window, readers, 0)

        outer = ((y, None) for y in (g, *ys))
        return taps.sum_over_readers(window, read, *outer, target=target, by_copy=False)

    padding, exact = taps.fitted(window)
    padded = [taps.pad_to_fit(x, window, _zero(x))[0] for x in xs]

    def add(total: jax.Array, number: jax.Array, tap: Any) -> jax.Array:
        del number
        x = [taps.read_at(each, exact, tap) for each in padded]
        return taps.add_at(total, kernel(*x, *ys) * g, exact, tap)

    total = taps.loop(add, jnp.zeros(exact.input_shape(shape), g.dtype), window)
    crop = ((-low, -high, 0) for low, high in padding)
    return pad_pooled(total, window, _zero(total), crop)


def _zero(x: jax.Array) -> np.ndarray:
    return np.zeros((), x.dtype)
