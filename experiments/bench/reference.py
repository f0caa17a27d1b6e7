"""Reference results of pooling in NumPy, by an algorithm that no contender uses.

Maxima are taken over 64-bit integer keys that sort by value first and by position second, so the
largest key of a window identifies its first maximum in any order of comparison. Sums are taken in
float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from experiments.bench.case import Case

Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]
_NOWHERE = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Expected:
    """One array of the reference result, and the rounding error that a correct contender may have.

    Attributes:
        value: The result in float64.
        scale: Per element, the sum of the magnitudes of its terms.
        terms: The maximum number of terms per element; 1 means that the result is exact.
        name: The array's name in error messages.
    """

    value: np.ndarray
    scale: np.ndarray
    terms: int
    name: str = "the value"

    def error(self, given: np.ndarray, smallest: float = 0.0) -> float:
        """The largest error of `given` relative to `scale`; infinity for NaN.

        Args:
            given: The array from a contender.
            smallest: The smallest positive number of the dtype, which bounds the rounding of a sum.
        """
        deviation = np.abs(given.astype(np.float64) - self.value)
        if self.terms > 1:
            deviation = np.maximum(deviation - smallest, 0)
        if not deviation.size:
            return 0.0
        relative = deviation / np.where(self.scale > 0, self.scale, 1.0)
        worst = float(relative.max())
        return worst if worst == worst else float("inf")

    def tolerance(self, resolution: float) -> float:
        """The largest allowed error of a dtype whose relative rounding error is `resolution`.

        The rounding error of a sum grows like the square root of its number of terms; twice that is
        allowed.
        """
        return 0.0 if self.terms == 1 else 2 * resolution * self.terms**0.5


class Reference:
    """The reference results of one case and one input."""

    def __init__(self, case: Case, x: np.ndarray):
        self._case = case
        self._x = np.asarray(x, np.float64)
        if case.operator == "max":
            self._winner = _first_winners(case, x)
        else:
            self._divisor = _divisors(case)

    def forward(self) -> Expected:
        """The pooled values."""
        return self._pooled(self._x)

    def tangent(self, t: np.ndarray) -> Expected:
        """The derivative along `t`."""
        return replace(self._pooled(np.asarray(t, np.float64)), name="the derivative")

    def gradient(self, dy: np.ndarray) -> Expected:
        """The cotangent of the input, from the cotangent of the output."""
        dy = np.asarray(dy, np.float64)
        pulled, scale = self._pulled(dy), self._pulled(np.abs(dy))
        return Expected(pulled, scale, self._overlap(), "the derivative")

    def _pooled(self, x: np.ndarray) -> Expected:
        if self._case.operator == "max":
            value = x.reshape(-1)[self._winner]
            return Expected(value, np.abs(value), 1)
        mean, scale = (_window_sums(self._case, a) / self._divisor for a in (x, np.abs(x)))
        return Expected(mean, scale, int(np.prod(self._case.windows)))

    def _pulled(self, dy: np.ndarray) -> np.ndarray:
        if self._case.operator == "max":
            flat = np.bincount(self._winner.ravel(), dy.ravel(), minlength=self._x.size)
            return flat.reshape(self._x.shape)
        return _transposed_window_sums(self._case, dy / self._divisor)

    def _overlap(self) -> int:
        """The maximum number of terms of an element of the gradient."""
        taps = self._case.windows
        shared = zip(taps, self._case.steps, strict=True)
        windows = int(np.prod([-(-k // s) if self._case.dilation == 1 else k for k, s in shared]))
        # An average also rounds at the division, even if windows do not overlap.
        return windows if self._case.operator == "max" else windows + 1


def _first_winners(case: Case, x: np.ndarray) -> np.ndarray:
    """The flat index of each window's first largest element; `x` must contain no NaN."""
    bits = np.asarray(x, np.float32).view(np.int32)
    ordered = np.where(bits < 0, np.int32(-(2**31)) - bits, bits)  # sorts like the floats
    ascending = np.arange(x.size, dtype=np.int64).reshape(x.shape)
    keys = (ordered.astype(np.int64) << 32) | (2**32 - 1 - ascending)
    return 2**32 - 1 - (_over_windows(case, keys, np.maximum, _NOWHERE) & (2**32 - 1))


def _window_sums(case: Case, x: np.ndarray) -> np.ndarray:
    return _over_windows(case, x, np.add, 0.0)


def _over_windows(case: Case, x: np.ndarray, combine: Combine, nothing: float) -> np.ndarray:
    axes = zip(case.windows, case.steps, case.pads, case.output, strict=True)
    for axis, (k, s, (low, high), size) in enumerate(axes, start=1):
        padded = _pad(x, axis, low, high + s, nothing)  # s more, so that slices have full length
        x = _take(_sliding(padded, axis, k, case.dilation, combine), axis, 0, size * s)
        x = x[(slice(None),) * axis + (slice(None, None, s),)]
    return x


def _transposed_window_sums(case: Case, y: np.ndarray) -> np.ndarray:
    axes = zip(case.windows, case.steps, case.pads, case.spatial, strict=True)
    for axis, (k, s, (low, _), size) in enumerate(axes, start=1):
        reach = (k - 1) * case.dilation
        spread = np.zeros((*y.shape[:axis], y.shape[axis] * s, *y.shape[axis + 1 :]))
        spread[(slice(None),) * axis + (slice(None, None, s),)] = y
        padded = _pad(spread, axis, reach, reach + low + size, 0.0)
        y = _take(_sliding(padded, axis, k, case.dilation, np.add), axis, low, size)
    return y


def _divisors(case: Case) -> np.ndarray:
    if case.count_include_pad:
        return np.array(float(np.prod(case.windows)))
    return _window_sums(case, np.ones((1, *case.spatial, 1)))


def _sliding(x: np.ndarray, axis: int, k: int, dilation: int, combine: Combine) -> np.ndarray:
    """Combines `k` elements at distance `dilation` from every start, in power-of-two pieces."""
    length = x.shape[axis] - (k - 1) * dilation
    result, taken, power, width = None, 0, x, 1
    while True:
        if k & width:
            piece = _take(power, axis, taken * dilation, length)
            result = piece if result is None else combine(result, piece)
            taken += width
        if taken == k and result is not None:
            return result
        shift = width * dilation
        shorter = power.shape[axis] - shift
        power = combine(_take(power, axis, 0, shorter), _take(power, axis, shift, shorter))
        width *= 2


def _take(x: np.ndarray, axis: int, start: int, length: int) -> np.ndarray:
    return x[(slice(None),) * axis + (slice(start, start + length),)]


def _pad(x: np.ndarray, axis: int, low: int, high: int, value: float) -> np.ndarray:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (low, high)
    return np.pad(x, widths, constant_values=value)
