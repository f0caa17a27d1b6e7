"""Keep the steps of a pooling apart from each other on CPU.

XLA fuses a step into every tap of the next and computes it again for each of them; on GPU that is
held in check by its cost model, on CPU it is not (k3 s1 on 24x35x35x192: 28 to 37 ms fused, 12
apart), and `lax.optimization_barrier` is gone before XLA:CPU fuses. What does hold is a
conditional whose predicate the compiler cannot see through; unlike a function call marked as not
to be inlined, its branch keeps all threads.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxpool.engine.target import CPU, Target

# Below this many elements everything is in cache, and the conditional costs more than it saves.
SMALL = 2_048


def isolate(
    step: Callable[..., jax.Array], *operands: jax.Array, target: Target, small: int = SMALL
) -> jax.Array:
    """`step(*operands)`, on CPU as a computation of its own unless the operands are small."""
    sizes = [operand.size for operand in operands]
    if target is not CPU or all(isinstance(size, int) and size < small for size in sizes):
        return step(*operands)  # (a symbolic size may be large)
    step = jax.jit(step, inline=True)  # traced once for both of the next
    out = jax.eval_shape(step, *operands)
    unseen = lax.optimization_barrier(True)
    return lax.cond(unseen, step, lambda *_: jnp.zeros(out.shape, out.dtype), *operands)


def materialize(x: jax.Array, *, target: Target) -> jax.Array:
    """`x`, apart from what reads it, but not from what it is made of."""
    return isolate(lambda x: x, x, target=target)
