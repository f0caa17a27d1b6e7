"""The contenders, by name. A contender's library is imported when it is prepared."""

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial

from experiments.bench.contenders import elsewhere
from experiments.bench.contenders.contender import (
    MODES,
    LeftOut,
    Mode,
    Operands,
    Problem,
    Program,
)
from jaxpool.engine.plan.planner import METHODS

__all__ = [
    "BEFORE",
    "ITSELF",
    "LIBRARIES",
    "MODES",
    "NAMES",
    "YARDSTICK",
    "LeftOut",
    "Mode",
    "Operands",
    "Problem",
    "Program",
    "named",
    "prepare",
]

LIBRARIES = {
    "jaxpool": "jaxpool",
    "lax": "jax",
    "flax": "flax",
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "equinox": "equinox",
    "haiku": "haiku",
}
"""The module that each contender needs; the contender's file in this package has its name."""

ITSELF = "jaxpool:itself"
"""The program of `jaxpool`, timed a second time as a separate contender, which shows the noise."""

BEFORE = "before"
"""`jaxpool` of another checkout, for instance of the commit before a change."""

YARDSTICK = "max_pool"
"""jaxpool's max pooling with the same window, in benchmarks of its other operators."""

NAMES = (
    "jaxpool",
    ITSELF,
    BEFORE,
    YARDSTICK,
    *(f"jaxpool:{method}" for method in METHODS if method != "auto"),
    *(name for name in LIBRARIES if name != "jaxpool"),
)


def named(patterns: Iterable[str]) -> tuple[str, ...]:
    """The names that match any of the shell-style patterns, without repetition, in their order."""
    matching = (name for pattern in patterns for name in NAMES if fnmatchcase(name, pattern))
    return tuple(dict.fromkeys(matching))


def prepare(name: str, problem: Problem) -> Program:
    """Creates a contender's program for a problem.

    Args:
        name: One of `NAMES` except `ITSELF`, which has no program of its own, and `BEFORE`, whose
            program is that of `jaxpool` in another process.
        problem: The problem.

    Returns:
        The program, compiled but not yet run.

    Raises:
        LeftOut: The library is not installed, or does not support the problem; the message says
            which.
    """
    if name == YARDSTICK:
        raise LeftOut("is what other operators are compared with")
    library, _, method = name.partition(":")
    if importlib.util.find_spec(LIBRARIES[library]) is None:
        if problem.interpreter is not None:
            there = replace(problem, interpreter=None)
            return elsewhere.prepare(partial(prepare, name, there), problem.interpreter)
        raise LeftOut(f"{LIBRARIES[library]} is not installed")
    module = importlib.import_module(f"{__name__}.{library}")
    return module.prepare(problem, method) if method else module.prepare(problem)
