"""What each of jaxpool's operators costs beside its own max pooling with the same window.

config.py      what a benchmark's TOML file may say
examples.py    how each operator is called
trial.py       a call with its operands
answer.py      what it must give, and draws.py where that is left to chance
"""

from experiments.bench.calls.config import Call, Calls
from experiments.bench.calls.trial import Trial

__all__ = ["Call", "Calls", "Trial"]
