"""Reference result of an operator: the same operator in float64.

The tests check the definitions of the operators against plain loops. This check compares the
compiled program with the definition.
"""

import jax
import numpy as np

from catalogue import Example
from experiments.bench.contenders import Operands
from experiments.bench.contenders.compiled import whole
from experiments.bench.judging import Results, Verdict, judge
from experiments.bench.reference import Expected

_TERMS = 256
"""Number of terms assumed for the rounding errors: allows 32 times the dtype's resolution."""


def check(example: Example, operands: Operands, results: Results) -> Verdict:
    """Checks a program's results for an example.

    Args:
        example: The call.
        operands: Its operands.
        results: The program's results.

    Returns:
        The largest error, relative to the largest element, and a description of the first wrong
        result.
    """
    return judge(results, _expected(example, operands), operands.x.dtype)


def close(results: Results, others: Results) -> Verdict:
    """Checks that two programs of one example give the same results, up to rounding.

    Args:
        results: The results of one program: the value, then its derivative if there is one.
        others: The results of the other.

    Returns:
        The largest difference, relative to the largest element, and a description of the first
        difference that is larger than rounding.
    """
    names = ("the value", "the derivative", *["a further result"] * len(others))
    expected = [_as_expected(other, name) for other, name in zip(others, names, strict=False)]
    return judge(results, expected, results[0].dtype)


def _expected(example: Example, operands: Operands) -> tuple[Expected, ...]:
    function, arrays = whole(operands, example.function)
    wide = [a.astype(np.float64) if np.issubdtype(a.dtype, np.floating) else a for a in arrays]
    with jax.enable_x64(True):
        answers = [np.asarray(answer) for answer in jax.jit(function)(*wide)]
    names = ["the value", *(["the derivative"] * operands.has_derivative)]
    names += ["a further result"] * (len(answers) - len(names))
    return tuple(_as_expected(answer, name) for answer, name in zip(answers, names, strict=True))


def _as_expected(answer: np.ndarray, name: str) -> Expected:
    if np.issubdtype(answer.dtype, np.integer):
        return Expected(answer, np.ones(answer.shape), 1, name)
    largest = np.abs(answer).max(initial=0)
    return Expected(answer, np.full(answer.shape, largest), _TERMS, name)
