"""jaxpool, with the method selected by the planner or with a given method."""

import jax

import jaxpool
from experiments.bench.case import Case
from experiments.bench.contenders import compiled
from experiments.bench.contenders.contender import LeftOut, Problem, Program
from jaxpool import engine
from jaxpool.monoid import MAX
from jaxpool.window import Window


def prepare(problem: Problem, method: str = "auto") -> Program:
    """Compiles `jaxpool.max_pool`, `avg_pool`, a global form, or a maximum by a given method."""
    case = problem.case
    if method == "auto":
        return compiled.prepare(problem, lambda x: pool(case, x))
    if case.operator != "max":
        raise LeftOut("sums have no method to choose")
    if case.is_global:
        raise LeftOut("global pools have no method to choose")

    def by_method(x: jax.Array) -> jax.Array:
        window = Window.resolve(
            x.shape,
            case.windows,
            strides=case.steps,
            padding=case.padding,
            dilation=case.dilation,
        )
        return engine.reduce(x, MAX, window, method=method)

    return compiled.prepare(problem, by_method)


def pool(case: Case, x: jax.Array) -> jax.Array:
    """Pools the case by jaxpool's public functions."""
    if case.is_global:
        whole = {"max": jaxpool.global_max_pool, "avg": jaxpool.global_avg_pool}[case.operator]
        return whole(x, keepdims=True)
    geometry = {"strides": case.steps, "padding": case.padding, "dilation": case.dilation}
    if case.operator == "max":
        return jaxpool.max_pool(x, case.windows, **geometry)
    return jaxpool.avg_pool(x, case.windows, count_include_pad=case.count_include_pad, **geometry)
