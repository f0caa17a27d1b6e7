"""Equinox's pooling layers, mapped over the batch, in their channels-first layout."""

import equinox as eqx
import jax

from experiments.bench.contenders import compiled
from experiments.bench.contenders.contender import LeftOut, Problem, Program


def prepare(problem: Problem) -> Program:
    """Compiles one of `eqx.nn.MaxPool1d` to `AvgPool3d`."""
    case = problem.case
    if case.dilation > 1:
        raise LeftOut("Equinox has no dilated pooling")
    if case.operator == "avg" and not case.count_include_pad:
        raise LeftOut("Equinox always counts padding in an average")
    kind = {"max": "MaxPool", "avg": "AvgPool"}[case.operator]
    layer = getattr(eqx.nn, f"{kind}{len(case.spatial)}d")(case.windows, case.steps, case.pads)
    return compiled.prepare(problem, jax.vmap(layer), channels_first=True)
