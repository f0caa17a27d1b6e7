"""Haiku's pooling functions."""

import haiku

from experiments.bench.contenders import compiled
from experiments.bench.contenders.contender import LeftOut, Problem, Program


def prepare(problem: Problem) -> Program:
    """Compiles `haiku.max_pool` or `haiku.avg_pool`."""
    case = problem.case
    if case.dilation > 1:
        raise LeftOut("Haiku has no dilated pooling")
    if isinstance(case.padding, int) and case.padding:
        raise LeftOut("Haiku takes no padding in numbers")
    padding = "SAME" if case.padding == "SAME" else "VALID"
    if case.operator == "avg" and case.count_include_pad and padding == "SAME":
        raise LeftOut("Haiku never counts padding in an average")
    function = {"max": haiku.max_pool, "avg": haiku.avg_pool}[case.operator]
    window, strides = (1, *case.windows, 1), (1, *case.steps, 1)
    return compiled.prepare(problem, lambda x: function(x, window, strides, padding))
