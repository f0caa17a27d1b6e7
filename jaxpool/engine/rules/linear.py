"""Windowed sums, over all taps or over the winning ones, and their transpose: one primitive.

    windowed_sum(x)[o] = sum over taps t of x[i(o, t)]     where  winner[o] == t
    transposed(y)[i]   = sum over outputs o of y[o]        where  i == i(o, winner[o])

Without winners every tap is summed, and an `Accumulation` may divide (a mean). Because the sum is a
primitive, the only residual of a derivative is the winner, one small integer per output, and both
directions have specialised lowerings. (JAX would transpose slices into scatters or interior
padding, and keep one mask per output and tap.)
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from jaxpool.engine.lower import masked, sums
from jaxpool.engine.lower.isolate import isolate, materialize
from jaxpool.engine.lower.precision import PLAIN, Accumulation
from jaxpool.engine.lower.taps import interior_pad
from jaxpool.engine.plan import layout, tuning
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules.primitives import bind, linear_map
from jaxpool.window import Window


def windowed_sum(
    x: jax.Array,
    window: Window,
    winner: jax.Array | None = None,
    *,
    accumulation: Accumulation = PLAIN,
    transposed: bool = False,
) -> jax.Array:
    """The sum of the (winning) elements of each window, or its transpose."""
    parameters = {"window": window, "accumulation": accumulation, "transposed": transposed}
    return bind(_SUM, x, winner, **parameters)


def _code(x: jax.Array, *winner: jax.Array, transposed: bool, **rest: Any) -> jax.Array:
    return (transpose_code if transposed else sum_code)(x, *winner, **rest)


def sum_code(
    x: jax.Array, *winner: jax.Array, window: Window, accumulation: Accumulation, target: Target
) -> jax.Array:
    """The program of `windowed_sum`."""
    if not winner:
        return sums.windowed_sum(x, window=window, accumulation=accumulation, target=target)
    return _isolated(masked.select_winners, x, *winner, window=window, target=target)


def transpose_code(
    y: jax.Array, *winner: jax.Array, window: Window, accumulation: Accumulation, target: Target
) -> jax.Array:
    """The program of the transpose of `windowed_sum`."""
    if not winner:
        return sums.windowed_sum_transpose(
            y, window=window, accumulation=accumulation, target=target
        )
    (index,) = winner
    every = layout.stride_one(window, y.shape, target=target)
    if every is not None:
        y, index = (
            isolate(
                functools.partial(interior_pad, window=window.only(-1), fill=fill), x, target=target
            )
            for x, fill in ((y, np.zeros((), y.dtype)), (index, masked.no_winner(index.dtype)))
        )
        window = every
    if window.is_tiling and window.taps >= tuning.TILE_MATERIALIZE:
        y = materialize(y, target=target)  # otherwise each tap would recompute it
    return _isolated(masked.scatter_to_winners, y, index, window=window, target=target)


def _isolated(
    step: Any, x: jax.Array, winner: jax.Array, *, window: Window, target: Target
) -> jax.Array:
    """Run one step in the merged layout, isolated unless the windows tile.

    Windows that tile read each element once, so fusion with the producer repeats no work.
    """
    if window.is_tiling:
        return step(x, winner, window=window, target=target)
    by = layout.merged(window, x.shape, target=target)
    step = functools.partial(step, window=by.window, target=target)
    return isolate(step, x, winner, target=target, layout=by)


_SUM = linear_map("jaxpool_windowed_sum", _code, ["window", "accumulation"])
