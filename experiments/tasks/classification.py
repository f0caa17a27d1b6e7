"""Classification of images, signals and sequences, with one class per example."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from experiments.section import NonNegativeInt
from experiments.tasks.task import METRICS, Metric, Scores, TaskOptions

METRICS["shift_consistency"] = Metric("shift consistency", "%", 100)


class Classification(TaskOptions):
    """`[task]` for datasets whose labels are classes: cross-entropy loss, accuracy.

    Attributes:
        shift: Maximum random shift in pixels for scoring shift consistency, on images and signals:
            the share of test examples of which two independently shifted copies get the same class
            (see Zhang, "Making convolutional networks shift-invariant again", 2019). Vacated pixels
            are filled with 0, the mean of the training examples. With 0, shift consistency is not
            scored.
    """

    name: str = "classification"
    shift: NonNegativeInt = 0

    kinds = frozenset({"image", "signal", "sequence"})

    def loss(self, outputs: jax.Array, labels: jax.Array) -> jax.Array:
        """Cross-entropy of logits (N, classes) against classes (N,)."""
        return optax.softmax_cross_entropy_with_integer_labels(outputs, labels)

    def scores(
        self, predict: Callable[[Any], jax.Array], inputs: Any, labels: jax.Array, key: jax.Array
    ) -> Scores:
        """Loss, accuracy and, if `shift` is not 0, shift consistency."""
        logits = predict(inputs)
        one = jnp.ones(labels.shape, jnp.int32)
        scores = {
            "loss": (self.loss(logits, labels), one),
            "accuracy": ((logits.argmax(-1) == labels).astype(jnp.int32), one),
        }
        if self.shift:
            first, second = (
                predict(shifted(inputs, self.shift, k)).argmax(-1) for k in jax.random.split(key)
            )
            scores["shift_consistency"] = ((first == second).astype(jnp.int32), one)
        return scores


def shifted(x: jax.Array, most: int, key: jax.Array) -> jax.Array:
    """Shifts every example along each spatial axis by a random number of pixels.

    Args:
        x: Images (N, H, W, C) or signals (N, L, C).
        most: The maximum shift, in either direction.
        key: The random key.

    Returns:
        An array of the same shape; vacated pixels are 0.
    """
    spatial = x.ndim - 2
    starts = jax.random.randint(key, (len(x), spatial), 0, 2 * most + 1)
    padded = jnp.pad(x, [(0, 0), *[(most, most)] * spatial, (0, 0)])

    def window(one: jax.Array, start: jax.Array) -> jax.Array:
        return lax.dynamic_slice(one, [*start, 0], x.shape[1:])

    return jax.vmap(window)(padded, starts)
