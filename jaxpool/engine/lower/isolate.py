"""Isolate the steps of a pooling from each other on XLA:CPU.

XLA may fuse a step into every tap of the next step, and then computes it again for each tap. The
cost model of XLA:GPU limits this recomputation, but XLA:CPU has no limit (k3 s1 on 24x35x35x192,
isolated: 28 to 37 -> 12 ms). XLA:CPU removes `lax.optimization_barrier` before fusion, but keeps a
conditional whose predicate it cannot evaluate. Unlike a call that is marked as not inlined, a
branch of a conditional uses all threads.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.layout import Layout
from jaxpool.engine.plan.target import CPU, Target


def isolate(
    step: Callable[..., jax.Array],
    *operands: jax.Array,
    target: Target,
    layout: Layout | None = None,
    fusible: bool = False,
) -> jax.Array:
    """`step(*operands)`, on CPU in a computation that XLA does not fuse with others.

    Args:
        step: One step of a pooling.
        operands: Its arrays.
        target: The target of the program.
        layout: Axes to merge in the operands, and to split in the result.
        fusible: Whether XLA may fuse the step with adjacent steps.
    """
    if layout is not None:
        operands = tuple(map(layout.merge, operands))
    sizes = [operand.size for operand in operands]
    known = all(isinstance(size, int) for size in sizes)  # (a symbolic size may be large)
    in_cache = known and max(sizes) < tuning.ISOLATED_ELEMENTS
    if fusible or target is not CPU or in_cache:
        result = step(*operands)
    else:
        step = jax.jit(step, inline=True)  # traced once for both branches
        out = jax.eval_shape(step, *operands)
        unseen = lax.optimization_barrier(True)
        result = lax.cond(unseen, step, lambda *_: jnp.zeros(out.shape, out.dtype), *operands)
    return result if layout is None else layout.split(result)


def materialize(x: jax.Array, *, target: Target) -> jax.Array:
    """Isolate `x` from the steps that read it, but not from the steps that compute it."""
    return isolate(lambda x: x, x, target=target)
