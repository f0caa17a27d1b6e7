"""`jax.lax.reduce_window` with the derivative that JAX gives it."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.bench.case import Case
from experiments.bench.contenders import compiled
from experiments.bench.contenders.contender import Problem, Program


def prepare(problem: Problem) -> Program:
    """Compiles one `reduce_window`; for averages a division by counts known beforehand."""
    return compiled.prepare(problem, function(problem.case))


def function(case: Case) -> compiled.Function:
    """The case as one `reduce_window`; see `prepare`."""
    if case.operator == "max":
        return lambda x: _reduce(case, x, -jnp.inf, lax.max)
    return _average(case)


def _average(case: Case) -> compiled.Function:
    if case.count_include_pad:
        taps = int(np.prod(case.windows))
        return lambda x: _reduce(case, x, 0.0, lax.add) / taps
    ones = jnp.ones((1, *case.spatial, 1), jnp.float32)
    counts = np.asarray(_reduce(case, ones, 0.0, lax.add))
    return lambda x: _reduce(case, x, 0.0, lax.add) / counts.astype(x.dtype)


def _reduce(case: Case, x: jax.Array, initial: float, combine) -> jax.Array:
    return lax.reduce_window(
        x,
        np.asarray(initial, x.dtype),
        combine,
        (1, *case.windows, 1),
        (1, *case.steps, 1),
        ((0, 0), *case.pads, (0, 0)),
        window_dilation=(1, *(case.dilation for _ in case.spatial), 1),
    )
