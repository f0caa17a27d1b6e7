"""Statistical check of the random results of stochastic pooling."""

import numpy as np

from experiments.bench.contenders import Operands
from experiments.bench.judging import Results, Verdict, judge
from experiments.bench.reference import Expected

_ERRORS = 5.0
"""Allowed deviation of the mean of all draws from its expectation, in standard errors."""


def check(operands: Operands, results: Results, window: int, strides: int) -> Verdict:
    """Checks that elements are drawn with their probabilities and receive the derivative.

    Args:
        operands: The operands of the pooling.
        results: The drawn values, and the derivative if the mode has one.
        window: Window size along height and width.
        strides: Strides of the window.

    Returns:
        The result of the check.
    """
    x, y = operands.x.astype(np.float64), results[0]
    taps = _taps(x, window, strides)
    if y.shape != taps.shape[:-1]:
        return Verdict(0.0, f"the value has shape {y.shape}, not {taps.shape[:-1]}")
    positive = np.maximum(taps, 0)
    total = positive.sum(-1, keepdims=True)
    chance = np.where(total > 0, positive / np.where(total > 0, total, 1), 1 / window**2)
    drawn = (taps == y[..., None]) & (chance > 0)
    if not drawn.any(-1).all():
        return Verdict(np.inf, "drew a value that is not in the window, or that has probability 0")
    mean = (chance * taps).sum(-1)
    variance = (chance * (taps - mean[..., None]) ** 2).sum(-1)
    off = abs((y - mean).sum()) / np.sqrt(variance.sum())
    if off > _ERRORS:
        return Verdict(off, f"draws lie {off:.1f} standard errors off their mean")
    winner = _taps(np.arange(x.size).reshape(x.shape), window, strides)
    winner = np.take_along_axis(winner, drawn.argmax(-1)[..., None], -1)[..., 0]
    return judge(results[1:], _derivative(operands, winner, window, strides), operands.x.dtype)


def _derivative(
    operands: Operands, winner: np.ndarray, window: int, strides: int
) -> tuple[Expected, ...]:
    """The derivative if each value is the element number `winner` of x."""
    terms = (-(-window // strides)) ** 2  # windows that share an element

    def pulled(dy: np.ndarray) -> np.ndarray:
        flat = np.bincount(winner.ravel(), dy.ravel(), minlength=operands.x.size)
        return flat.reshape(operands.x.shape)

    match operands.mode:
        case "gradient":
            dy = operands.dy.astype(np.float64)
            return (Expected(pulled(dy), pulled(np.abs(dy)), terms, "the derivative"),)
        case "jvp":
            tangent = operands.t.astype(np.float64).ravel()[winner]
            return (Expected(tangent, np.abs(tangent), 1, "the derivative"),)
        case _:
            return ()


def _taps(x: np.ndarray, window: int, strides: int) -> np.ndarray:
    """The elements of every window, along a new last axis."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (window, window), (1, 2))
    windows = windows[:, ::strides, ::strides]
    return windows.reshape(*windows.shape[:-2], window**2)
