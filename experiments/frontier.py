"""Accuracy at equal cost: the curves of a sweep over the size of the network.

A table of one width per pooling does not compare poolings: a strided network of 32 channels may run
as fast as a max-pooling one of 16. A sweep over the width gives a curve per variant, accuracy
against throughput, and variants are compared where their curves have the same throughput.

Each seed has a curve of its own, so a comparison at one throughput is paired by seed, and its
interval is a t-interval. A percentile bootstrap of three seeds covers 75% instead of 95%.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.report.rows import SummaryRow

_ROUND = (1, 2, 3, 5, 7)
_MOST_COSTS = 3


@dataclass(frozen=True)
class Curve:
    """One variant's cells in the order of their throughput.

    Attributes:
        variant: The variant.
        speeds: Inference examples per second of each cell, ascending.
        accuracies: Test accuracy of each cell, by seed.
    """

    variant: str
    speeds: tuple[float, ...]
    accuracies: Mapping[int, tuple[float, ...]]

    def covers(self, speed: float) -> bool:
        """Whether the curve has cells on both sides of a throughput."""
        return len(self.speeds) > 1 and self.speeds[0] <= speed <= self.speeds[-1]

    def meets(self, speed: float) -> bool:
        """Whether a cell has this throughput or more, so nothing is extrapolated."""
        return speed <= self.speeds[-1]

    def at(self, speed: float) -> dict[int, float]:
        """Test accuracy by seed at a throughput: what the curve reaches there or further right.

        Between two cells, each seed's accuracy is linear in the logarithm of the throughput. If a
        faster cell of the same variant has a higher mean, it is taken, for it meets the same need;
        and so is the best cell where all are faster.

        Args:
            speed: Inference examples per second that the curve meets.

        Returns:
            The accuracy of each seed.
        """
        logs = np.log(self.speeds)
        faster = [k for k, own in enumerate(self.speeds) if own > speed]
        reached = [
            {s: float(np.interp(math.log(speed), logs, own)) for s, own in self.accuracies.items()},
            *({s: own[k] for s, own in self.accuracies.items()} for k in faster),
        ]
        return max(reached, key=lambda by_seed: sum(by_seed.values()))


def cost_keys(rows: Sequence[SummaryRow]) -> list[str]:
    """The swept keys that change what a variant computes, such as `model.widths`.

    Args:
        rows: The rows of a study.

    Returns:
        Keys with numbers, or lists of them, for values, for which two rows differ in parameters or
        operations though all else is equal.
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
    """The rows of one device by the swept keys that cost nothing, such as the training set's size.

    Args:
        rows: The rows of a study on one device.

    Returns:
        Rows that belong on one picture, by a name that is empty if there is one picture; none if
        no swept key changes the cost.
    """
    keys = cost_keys(rows)
    if not keys:
        return {}
    found: dict[str, list[SummaryRow]] = {}
    for row in rows:
        others = (f"{key} = {value}" for key, value in row.swept.items() if key not in keys)
        found.setdefault(", ".join(others), []).append(row)
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
            )
        )
    return found


def common_costs(found: Sequence[Curve]) -> list[float]:
    """Up to three round throughputs at which at least two curves can be compared.

    The first is one that most curves cover; the others are far from it, or add curves.

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
