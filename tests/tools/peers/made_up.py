"""A fake peer: a module with NumPy functions."""

import dataclasses
import sys
import types

import numpy as np

import jaxpool
from tools.peers.arrays import given
from tools.peers.case import Answer, PeerCase
from tools.peers.cases import Row
from tools.peers.library import Adapter, Library

X = given([[1.0, 2.0, 3.0, 4.0]])
FIRST = PeerCase(topic="values", operands=(X,), options={"axes": 1}, args=(2,), wrt=None)
SECOND = dataclasses.replace(FIRST, topic="strides", options={"axes": 1, "strides": 1})
ROW = Row("max_pool", jaxpool.max_pool, (FIRST, SECOND))


def evaluate(function, case):
    """Calls a function that returns its results, and its derivative or None."""
    results, gradient = function(*case.arrays(), *case.args, **case.arguments())
    return Answer(results, gradient)


def right(x, window, *, axes, strides=None):
    step = window if strides is None else strides
    starts = range(0, x.shape[axes] - window + 1, step)
    return (np.stack([x[:, i : i + window].max(1) for i in starts], 1),), None


def library(function=right, **changes):
    fields = {
        "name": "made_up",
        "packages": ("made_up",),
        "modules": ("made_up",),
        "evaluate": evaluate,
        "adapters": {"max_pool": Adapter(function, ("made_up.max_pool",))},
    }
    return Library(**{**fields, **changes})


def install(monkeypatch, **names):
    """Makes `import made_up` return a module with these functions."""
    module = types.ModuleType("made_up")
    module.__version__ = "1.2.3+local"
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, "made_up", module)
