"""This library, by the planner's choice or by one method."""

import jax

import jaxpool
from experiments.operators.case import Case
from experiments.operators.contenders import compiled
from experiments.operators.contenders.contender import LeftOut, Problem, Program


def prepare(problem: Problem, method: str = "auto") -> Program:
    """Compiles `jaxpool.max_pool`, `avg_pool` or their global forms."""
    case = problem.case
    if case.is_global and method != "auto":
        raise LeftOut("global pools have no method to choose")
    return compiled.prepare(problem, lambda x: pool(case, x, method))


def pool(case: Case, x: jax.Array, method: str) -> jax.Array:
    """The case as a user would write it."""
    if case.is_global:
        whole = {"max": jaxpool.global_max_pool, "avg": jaxpool.global_avg_pool}[case.operator]
        return whole(x, keepdims=True)
    geometry = {
        "strides": case.steps,
        "padding": case.padding,
        "dilation": case.dilation,
        "method": method,
    }
    if case.operator == "max":
        return jaxpool.max_pool(x, case.windows, **geometry)
    return jaxpool.avg_pool(x, case.windows, count_include_pad=case.count_include_pad, **geometry)
