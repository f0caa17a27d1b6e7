"""Who takes part, by name. A contender's library is imported only when it is its turn."""

import importlib
import importlib.util
from collections.abc import Iterable
from fnmatch import fnmatchcase

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
"""The module that each contender needs; the contender is the file of its own name here."""

ITSELF = "jaxpool:itself"
"""The program of `jaxpool`, timed a second time as if it were another: what noise looks like."""

YARDSTICK = "max_pool"
"""jaxpool's max pooling with the same window, in benchmarks of its other operators."""

NAMES = (
    "jaxpool",
    ITSELF,
    YARDSTICK,
    *(f"jaxpool:{method}" for method in METHODS if method != "auto"),
    *(name for name in LIBRARIES if name != "jaxpool"),
)


def named(patterns: Iterable[str]) -> tuple[str, ...]:
    """The names that match any of some shell-style patterns, each once, in the patterns' order."""
    matching = (name for pattern in patterns for name in NAMES if fnmatchcase(name, pattern))
    return tuple(dict.fromkeys(matching))


def prepare(name: str, problem: Problem) -> Program:
    """A contender's program for a problem.

    Args:
        name: One of `NAMES` but `ITSELF`, which has no program of its own.
        problem: The problem.

    Returns:
        The program, compiled but not yet run.

    Raises:
        LeftOut: The library is not installed, or does not do this; the message says which.
    """
    if name == YARDSTICK:
        raise LeftOut("is what other operators are compared with")
    library, _, method = name.partition(":")
    if importlib.util.find_spec(LIBRARIES[library]) is None:
        if problem.interpreter is not None:
            return elsewhere.prepare(problem.interpreter, name, problem)
        raise LeftOut(f"{LIBRARIES[library]} is not installed")
    module = importlib.import_module(f"{__name__}.{library}")
    return module.prepare(problem, method) if method else module.prepare(problem)
