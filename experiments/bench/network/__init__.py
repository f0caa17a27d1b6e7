"""A small CNN's training step, identical in each library, to measure the cost of pooling in it."""

import importlib
import importlib.util
from functools import partial

from experiments.bench.contenders import LIBRARIES, LeftOut, Program, elsewhere
from experiments.bench.network.config import TRAIN_STEP, Network
from experiments.bench.network.problem import TrainingProblem

__all__ = ["TRAIN_STEP", "Network", "TrainingProblem", "prepare"]

_MODULES = {"jaxpool": "nnx", "flax": "nnx", "torch": "torch"}


def prepare(name: str, training: TrainingProblem, interpreter: str | None = None) -> Program:
    """Creates a contender's training step.

    Args:
        name: The contender: `jaxpool` and `flax` are the same Flax model with different pooling.
        training: The network, its initial parameters and its batch.
        interpreter: Another Python, for contenders whose library is not installed in this one.

    Returns:
        The program. Each run is one more step; `fetch` returns the loss and the parameters.

    Raises:
        LeftOut: The library is not installed, or has no network in this package.
    """
    if name not in _MODULES:
        raise LeftOut("trains no network here")
    if importlib.util.find_spec(LIBRARIES[name]) is None:
        if interpreter is not None:
            return elsewhere.prepare(partial(prepare, name, training), interpreter)
        raise LeftOut(f"{LIBRARIES[name]} is not installed")
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return module.prepare(name, training)
