"""Cost of each operator of jaxpool beside jaxpool's max pooling with the same window.

config.py      sections of a benchmark's TOML file
examples.py    one call of each operator
trial.py       a call with its operands
answer.py      check of the results; draws.py: the same for random results
"""

from experiments.bench.calls.config import Call, Calls
from experiments.bench.calls.trial import Trial

__all__ = ["Call", "Calls", "Trial"]
