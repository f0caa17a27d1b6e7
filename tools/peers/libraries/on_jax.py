"""Runs a function on JAX arrays, jaxpool's own or a peer's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tools.peers.case import Answer, PeerCase, cotangent
from tools.peers.library import as_numpy


def evaluate(function: Callable[..., Any], case: PeerCase) -> Answer:
    """Compiles and runs a case."""
    arrays = tuple(jnp.asarray(a) for a in case.arrays())
    options = case.arguments()

    def call(*operands: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        results = function(*operands, *case.args, **options)
        first, *more = results if isinstance(results, tuple) else (results,)
        return first, tuple(more)

    @jax.jit
    def run(operands: tuple[jax.Array, ...], one: jax.Array) -> tuple[Any, Any]:
        place = case.wrt
        if place is None:
            first, more = call(*operands)
            return (first, *more), None

        def of_one(operand: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
            return call(*operands[:place], operand, *operands[place + 1 :])

        first, pull, more = jax.vjp(of_one, operands[place], has_aux=True)
        # `one` is an argument: XLA would fold a linear derivative of constants while compiling.
        (gradient,) = pull((cotangent(first.shape) * one).astype(first.dtype))
        return (first, *more), gradient

    results, gradient = run(arrays, jnp.float32(1))
    return Answer(as_numpy(results, np.asarray), None if gradient is None else np.asarray(gradient))
