"""Base class of tasks: loss, per-example scores, and the metrics computed from the scores."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax

from experiments.section import Section

Scores = dict[str, tuple[jax.Array, jax.Array]]
"""Values and weights of each example, by metric.

Both arrays have shape (N,), or (N, ...) if an example has several parts. The metric is
`sum(value*weight)/sum(weight)`. Examples or parts that do not count have weight 0.
"""


@dataclass(frozen=True)
class Metric:
    """Display properties of a metric.

    Attributes:
        heading: Heading of the metric's column.
        unit: Unit of the values after multiplication by `scale`.
        scale: Factor applied to values for display, such as 100 for percent.
        higher_is_better: Whether higher values are better.
    """

    heading: str
    unit: str = ""
    scale: float = 1.0
    higher_is_better: bool = True


METRICS: dict[str, Metric] = {}
"""All metrics except accuracy and loss, by their name in records."""


class TaskOptions(Section):
    """`[task]`: the loss and the metrics of the network.

    Attributes:
        name: Name of the task.
    """

    name: str

    kinds: ClassVar[frozenset[str]] = frozenset()
    """The kinds of datasets that the task supports."""

    def loss(self, outputs: Any, labels: Any) -> jax.Array:
        """The loss of every example (N,), from the network's outputs."""
        raise NotImplementedError

    def scores(
        self, predict: Callable[[Any], Any], inputs: Any, labels: Any, key: jax.Array
    ) -> Scores:
        """The scores of every example.

        Args:
            predict: The network in evaluation mode, a function from inputs to outputs.
            inputs: A batch of inputs.
            labels: Their labels.
            key: Random key for metrics that need random numbers.

        Returns:
            The scores, including `"accuracy"` and `"loss"`. The scores of accuracy are integers.
        """
        raise NotImplementedError
