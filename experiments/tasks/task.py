"""What every task has: a loss, scores of every example, and the metrics these are summed up to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax

from experiments.section import Section

Scores = dict[str, tuple[jax.Array, jax.Array]]
"""For each metric: of every example a value and its weight, or as many of each as the example has
parts (N, ...). The metric is the sum of `value * weight` over the sum of the weights; an example,
or a part of one, that it does not concern has weight 0."""


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        heading: Of its column.
        unit: Of its values, after `scale`.
        scale: What values are multiplied with to be shown: 100 for shares in percent.
        higher_is_better: Whether more of it is better.
    """

    heading: str
    unit: str = ""
    scale: float = 1.0
    higher_is_better: bool = True


METRICS: dict[str, Metric] = {}
"""The metrics beside accuracy and loss, by the name that they have in records."""


class TaskOptions(Section):
    """`[task]`: what the network is trained and scored for.

    Attributes:
        name: The task.
    """

    name: str

    kinds: ClassVar[frozenset[str]] = frozenset()
    """The kinds of datasets that it suits."""

    def loss(self, outputs: Any, labels: Any) -> jax.Array:
        """The loss of every example (N,), from what the network gives."""
        raise NotImplementedError

    def scores(
        self, predict: Callable[[Any], Any], inputs: Any, labels: Any, key: jax.Array
    ) -> Scores:
        """The scores of every example.

        Args:
            predict: The network in evaluation: from inputs to outputs.
            inputs: A batch of inputs.
            labels: Their labels.
            key: Randomness for metrics that draw.

        Returns:
            Scores, `"accuracy"` and `"loss"` among them. Those of accuracy are integers.
        """
        raise NotImplementedError
