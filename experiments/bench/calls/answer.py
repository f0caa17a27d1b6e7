"""The answer of an operator: its own, in float64.

That its definition is right is what the tests show, by plain loops. Here it is the compiled program
in question that must give the definition's result.
"""

import jax
import numpy as np

from catalogue import Example
from experiments.bench.contenders import Operands
from experiments.bench.contenders.compiled import whole
from experiments.bench.judging import Results, Verdict, judge
from experiments.bench.reference import Expected

_TERMS = 256
"""Of the sums that all rounding together is taken for: allows 32 times the dtype's resolution."""


def check(example: Example, operands: Operands, results: Results) -> Verdict:
    """Checks what a program gave for an example.

    Args:
        example: The call.
        operands: Its operands.
        results: What it gave.

    Returns:
        The largest error, relative to the largest element, and what is wrong.
    """
    return judge(results, _expected(example, operands), operands.x.dtype)


def _expected(example: Example, operands: Operands) -> tuple[Expected, ...]:
    function, arrays = whole(operands, example.function)
    wide = [a.astype(np.float64) if np.issubdtype(a.dtype, np.floating) else a for a in arrays]
    with jax.enable_x64(True):
        answers = [np.asarray(answer) for answer in jax.jit(function)(*wide)]
    names = ["the value", *(["the derivative"] * operands.has_derivative)]
    names += ["a further result"] * (len(answers) - len(names))
    return tuple(_one(answer, name) for answer, name in zip(answers, names, strict=True))


def _one(answer: np.ndarray, name: str) -> Expected:
    if np.issubdtype(answer.dtype, np.integer):
        return Expected(answer, np.ones(answer.shape), 1, name)
    largest = np.abs(answer).max(initial=0)
    return Expected(answer, np.full(answer.shape, largest), _TERMS, name)
