"""Check of a contender's results against the reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from experiments.bench.reference import Expected

Results = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Verdict:
    """The result of a check.

    Attributes:
        error: The largest relative error.
        complaint: Description of the first error; empty if the results are correct.
    """

    error: float
    complaint: str = ""


def judge(results: Results, expected: Sequence[Expected], dtype: np.dtype) -> Verdict:
    """Checks a pooling's results: dtype, shape, and every element.

    Args:
        results: The arrays from a contender.
        expected: The reference arrays.
        dtype: The required dtype of all arrays except integer ones.

    Returns:
        The largest error, and a description of the first wrong result.
    """
    if len(results) != len(expected):
        return Verdict(0.0, f"gave {len(results)} results, not {len(expected)}")
    worst = 0.0
    for result, wanted in zip(results, expected, strict=True):
        kind = wanted.value.dtype if np.issubdtype(wanted.value.dtype, np.integer) else dtype
        if result.dtype != kind:
            return Verdict(worst, f"{wanted.name} is {result.dtype}, not {kind}")
        if result.shape != wanted.value.shape:
            return Verdict(
                worst, f"{wanted.name} has shape {result.shape}, not {wanted.value.shape}"
            )
        error = wanted.error(result, float(jnp.finfo(dtype).smallest_subnormal))
        worst = max(worst, error)
        allowed = wanted.tolerance(float(jnp.finfo(dtype).eps))
        if error > allowed:
            return Verdict(
                worst, f"{wanted.name} is off by {error:.2g} of its terms; allowed {allowed:.2g}"
            )
    return Verdict(worst)
