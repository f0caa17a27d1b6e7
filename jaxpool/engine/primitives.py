"""Giving a primitive its code: one function, told whether it is XLA:CPU that compiles it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import mlir


def implement(primitive: Primitive, code: Callable[..., Any], parameters: Sequence[str]) -> None:
    """Define what a primitive computes.

    Args:
        primitive: The primitive.
        code: `code(*operands, cpu=..., **parameters)`, in terms of other primitives.
        parameters: The names of its parameters.
    """
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=tuple(parameters)))
    for platform, cpu in ((None, False), ("cpu", True)):
        lowering = mlir.lower_fun(
            functools.partial(code, cpu=cpu), multiple_results=primitive.multiple_results
        )
        mlir.register_lowering(primitive, lowering, platform=platform)


def batched(
    primitive: Primitive, operands: Sequence[Any], dims: Sequence[Any], **parameters: Any
) -> tuple[Any, Any]:
    """The batching rule of a primitive that lets leading axes through."""
    size = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)
    moved = [
        lax.broadcast(x, (size,)) if d is None else jnp.moveaxis(x, d, 0)
        for x, d in zip(operands, dims, strict=True)
    ]
    results = primitive.bind(*moved, **parameters)
    return results, [0] * len(results) if primitive.multiple_results else 0
