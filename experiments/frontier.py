"""Accuracy at equal throughput: the curves of a sweep over the size of the network.

Poolings at one width have different costs: a strided network of 32 channels may run as fast as a
max-pooling network of 16. A sweep over the width therefore gives each variant a curve of accuracy
against throughput, and variants are compared where their curves have the same throughput.

Each seed has its own curve, so a comparison at one throughput is paired by seed and has a
t-interval. With three seeds, a percentile bootstrap would cover 75% instead of 95%. The measured
throughputs have errors too: the variance that they add comes from a parametric bootstrap.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.report.rows import SummaryRow
from experiments.statistics import NORMAL_95

_ROUND = (1, 2, 3, 5, 7)
_MOST_COSTS = 3
_DRAWS = 2_000


@dataclass(frozen=True)
class Curve:
    """The cells of one variant, ordered by throughput.

    Attributes:
        variant: The variant.
        speeds: Inference examples per second of each cell, ascending.
        accuracies: Test accuracy of each cell, by seed.
        errors: Standard error of the logarithm of each throughput; empty if they are exact.
    """

    variant: str
    speeds: tuple[float, ...]
    accuracies: Mapping[int, tuple[float, ...]]
    errors: tuple[float, ...] = ()

    def covers(self, speed: float) -> bool:
        """Whether the curve has cells on both sides of a throughput."""
        return len(self.speeds) > 1 and self.speeds[0] <= speed <= self.speeds[-1]

    def meets(self, speed: float) -> bool:
        """Whether some cell has at least this throughput, so that `at` does not extrapolate."""
        return speed <= self.speeds[-1]

    def at(self, speed: float) -> dict[int, float]:
        """Test accuracy by seed of the best network with at least this throughput.

        Between two cells, each seed's accuracy is interpolated linearly in the logarithm of the
        throughput. If a faster cell of the same variant has a higher mean accuracy, the faster cell
        is used. If all cells are faster, the best cell is used.

        Args:
            speed: The required throughput, in inference examples per second.

        Returns:
            The accuracy of each seed.
        """
        (weights,) = self._weights(speed, np.log([self.speeds]))
        return {seed: float(weights @ own) for seed, own in self.accuracies.items()}

    def variance(self, speed: float) -> float:
        """Variance of the mean accuracy at a throughput, due to errors of the cells' throughputs.

        A parametric bootstrap: each throughput is drawn from the log-normal distribution with its
        standard error, and the accuracy is computed again for each draw.

        Args:
            speed: As in `at`.

        Returns:
            The variance of the mean over seeds.
        """
        if not any(self.errors):
            return 0.0
        noise = np.random.default_rng(0).standard_normal((_DRAWS, len(self.speeds)))
        logs = np.log(self.speeds) + noise * self.errors
        return float(np.var(self._weights(speed, logs) @ self._means))

    @property
    def _means(self) -> NDArray[np.float64]:
        return np.mean(list(self.accuracies.values()), axis=0)

    def _weights(self, speed: float, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weight of each cell's accuracy in the accuracy at a throughput.

        Args:
            speed: As in `at`.
            logs: Logarithms of the cells' throughputs in any order, (draws, cells).

        Returns:
            Weights, (draws, cells).
        """
        target, cell = math.log(speed), np.eye(len(self.speeds))
        slower = np.where(logs <= target, logs, -np.inf)
        faster = np.where(logs > target, logs, np.inf)
        before, after = slower.max(axis=1), faster.min(axis=1)
        # If no cell is slower, the weight is that of the slowest cell; if none is faster, the
        # difference is infinite and the weight that of the fastest.
        known = np.isfinite(before)
        share = np.divide(target - before, after - before, out=np.ones_like(before), where=known)
        joined = (1 - share)[:, None] * cell[slower.argmax(axis=1)]
        joined += share[:, None] * cell[faster.argmin(axis=1)]
        best = cell[np.where(logs > target, self._means, -np.inf).argmax(axis=1)]
        better = np.isfinite(after) & (best @ self._means > joined @ self._means)
        return np.where(better[:, None], best, joined)


def cost_keys(rows: Sequence[SummaryRow]) -> list[str]:
    """The swept keys that change what a variant computes, such as `model.widths`.

    Args:
        rows: The rows of a study.

    Returns:
        The keys whose values are numbers or lists of numbers, and for which two rows that differ in
        no other key differ in parameters or operations.
    """
    found = []
    for key in rows[0].swept:
        if not all(_numeric(row.swept[key]) for row in rows):
            continue
        costs: dict[Any, set[tuple[float, float]]] = {}
        for row in rows:
            others = str({k: v for k, v in row.swept.items() if k != key})
            cost = (row.parameters, row.flops_per_example)
            costs.setdefault((row.variant, row.device, others), set()).add(cost)
        if any(len(distinct) > 1 for distinct in costs.values()):
            found.append(key)
    return found


def _numeric(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_numeric, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def panels(rows: Sequence[SummaryRow]) -> dict[str, list[SummaryRow]]:
    """The rows of one device, grouped by the swept keys that do not change the cost.

    Args:
        rows: The rows of a study on one device.

    Returns:
        The rows of each plot, by the plot's name. The name is empty if there is one plot. Empty if
        no swept key changes the cost.
    """
    keys = cost_keys(rows)
    if not keys:
        return {}
    others = [key for key in rows[0].swept if key not in keys]
    found: dict[str, list[SummaryRow]] = {}
    for row in rows:
        found.setdefault(row.at(others), []).append(row)
    return found


def line_key(rows: Sequence[SummaryRow]) -> str:
    """The swept key along which a plot of accuracy against cost joins the cells of a variant.

    Args:
        rows: The rows of a study with a sweep.

    Returns:
        The first key that changes the cost, or the first key if none does.
    """
    return [*cost_keys(rows), *rows[0].swept][0]


def lines(rows: Sequence[SummaryRow]) -> dict[tuple[str, str], list[SummaryRow]]:
    """The rows of one plot, grouped by the line that joins them.

    Args:
        rows: The rows of a plot of accuracy against cost, from a study with a sweep.

    Returns:
        The rows of each line, by variant and by the values of the other swept keys that vary in the
        plot. These values are an empty text if only `line_key` varies.
    """
    along = line_key(rows)
    varying = [key for key in rows[0].swept if len({str(row.swept[key]) for row in rows}) > 1]
    others = [key for key in varying if key != along]
    found: dict[tuple[str, str], list[SummaryRow]] = {}
    for row in rows:
        found.setdefault((row.variant, row.at(others)), []).append(row)
    return found


def curves(rows: Sequence[SummaryRow]) -> list[Curve]:
    """One curve per variant, in the order of the rows.

    Args:
        rows: The rows of one panel.
    """
    found = []
    for variant in dict.fromkeys(row.variant for row in rows):
        own = sorted(
            (row for row in rows if row.variant == variant),
            key=lambda row: row.infer_examples_per_s,
        )
        seeds = set.intersection(*(set(row.accuracies) for row in own))
        found.append(
            Curve(
                variant,
                tuple(row.infer_examples_per_s for row in own),
                {seed: tuple(row.accuracies[seed] for row in own) for seed in sorted(seeds)},
                tuple(map(_log_error, own)),
            )
        )
    return found


def _log_error(row: SummaryRow) -> float:
    """Standard error of the logarithm of a row's throughput, from its 95% interval."""
    low, high = row.infer_examples_per_s_ci95_low, row.infer_examples_per_s_ci95_high
    return math.log(high / low) / (2 * NORMAL_95)


def common_costs(found: Sequence[Curve]) -> list[float]:
    """Up to three round throughputs at which at least two curves can be compared.

    The first throughput is covered by the most curves. Each further one covers new curves, or else
    is as far as possible from those already chosen.

    Args:
        found: The curves.

    Returns:
        Throughputs, ascending.
    """
    speeds = [speed for curve in found for speed in curve.speeds]
    decades = range(math.floor(math.log10(min(speeds))), math.ceil(math.log10(max(speeds))) + 1)
    covered = {
        speed: {curve.variant for curve in found if curve.covers(speed)}
        for speed in (factor * 10.0**decade for decade in decades for factor in _ROUND)
    }
    left = {speed: variants for speed, variants in covered.items() if len(variants) > 1}
    chosen: list[float] = []

    def gain(speed: float) -> tuple[float, float, float]:
        seen = set().union(*(covered[other] for other in chosen))
        distance = min((abs(math.log(speed / other)) for other in chosen), default=0.0)
        return len(covered[speed] - seen), distance, len(covered[speed])

    while left and len(chosen) < _MOST_COSTS:
        best = max(left, key=gain)
        chosen.append(best)
        del left[best]
    return sorted(chosen)
