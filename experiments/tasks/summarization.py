"""Extractive summarisation: selection of the sentence of a document closest to its summary."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.tasks.task import METRICS, Metric, Scores, TaskOptions

METRICS["rouge_1"] = Metric("ROUGE-1", "%", 100)
METRICS["rouge_l"] = Metric("ROUGE-L", "%", 100)


class Summarization(TaskOptions):
    """`[task]` for documents: a score per sentence, of which the highest selects the sentence.

    The loss is the softmax cross-entropy over the sentences of a document; the target is the
    sentence with the highest ROUGE-1, or, if several share it, the uniform distribution over them.
    Accuracy is the share of documents in which a sentence with the highest ROUGE-1 is selected.
    `rouge_1` and `rouge_l` are the ROUGE of the selected sentence (Lin, "ROUGE: a package for
    automatic evaluation of summaries", 2004).
    """

    name: str = "summarization"

    kinds = frozenset({"document"})

    def loss(self, outputs: jax.Array, labels: Any) -> jax.Array:
        """Cross-entropy of scores (N, S) against the sentences with the highest ROUGE-1."""
        best = _best(labels).astype(outputs.dtype)
        return -(jax.nn.log_softmax(outputs) * best).sum(-1) / best.sum(-1)

    def scores(
        self, predict: Callable[[Any], jax.Array], inputs: Any, labels: Any, key: jax.Array
    ) -> Scores:
        """Loss, accuracy, and the ROUGE of the sentence with the highest score."""
        del key
        outputs = predict(inputs)
        picked = outputs.argmax(-1)[:, None]
        one = jnp.ones(len(outputs), jnp.int32)

        def of_picked(values: jax.Array) -> jax.Array:
            return jnp.take_along_axis(values, picked, 1)[:, 0]

        return {
            "loss": (self.loss(outputs, labels), one),
            "accuracy": (of_picked(_best(labels)).astype(jnp.int32), one),
            "rouge_1": (of_picked(labels["rouge_1"]), one),
            "rouge_l": (of_picked(labels["rouge_l"]), one),
        }


def _best(labels: Any) -> jax.Array:
    """Marks the sentences with the highest ROUGE-1 of their document."""
    return labels["rouge_1"] == labels["rouge_1"].max(-1, keepdims=True)
