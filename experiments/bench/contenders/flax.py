"""Flax's pooling functions, which most JAX users use."""

from typing import Any

from flax import nnx

from experiments.bench.contenders import compiled
from experiments.bench.contenders.contender import LeftOut, Problem, Program


def prepare(problem: Problem) -> Program:
    """Compiles `nnx.max_pool` or `nnx.avg_pool`."""
    case = problem.case
    if case.dilation > 1:
        raise LeftOut("Flax has no dilated pooling")
    # Flax declares `padding: str`, but documents and accepts pairs as well.
    geometry: Any = (case.windows, case.steps, case.pads)
    if case.operator == "max":
        return compiled.prepare(problem, lambda x: nnx.max_pool(x, *geometry))
    counted = case.count_include_pad
    return compiled.prepare(
        problem, lambda x: nnx.avg_pool(x, *geometry, count_include_pad=counted)
    )
