"""Detection with given proposals: classify each region and correct its box."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments import boxes
from experiments.data.scenes import SIZES
from experiments.section import NonNegative
from experiments.tasks.task import METRICS, Metric, Scores, TaskOptions

METRICS["accuracy_background"] = Metric("background accuracy", "%", 100)
METRICS["box_iou"] = Metric("box IoU")
for _size in SIZES:
    METRICS[f"accuracy_{_size}"] = Metric(f"{_size}: accuracy", "%", 100)
    METRICS[f"box_iou_{_size}"] = Metric(f"{_size}: box IoU")


class Detection(TaskOptions):
    """`[task]` for scenes with proposals: classification and box correction of each region.

    The loss of a scene is the mean over its regions of

        cross-entropy(class) + box_weight * [region of an item] * sum smooth-L1(delta - target)

    Accuracy is the share of object regions that get the class of their item; "background" is a
    wrong answer for them. `accuracy_background` is the share of background regions classified as
    background. `box_iou` is the mean overlap (intersection over union) of corrected and true boxes
    over the object regions. Accuracy and `box_iou` are also given separately for small, medium and
    large items.

    Attributes:
        box_weight: The weight of the box term in the loss.

    Source:
        Girshick, "Fast R-CNN", 2015; here with one set of deltas for all classes.
    """

    name: str = "detection"
    box_weight: NonNegative = 1.0

    kinds = frozenset({"scene"})

    def loss(self, outputs: Any, labels: Any) -> jax.Array:
        """The loss of every scene (N,), from `class` logits (N, R, classes), `delta` (N, R, 4)."""
        entropy = optax.softmax_cross_entropy_with_integer_labels(outputs["class"], labels["class"])
        off = optax.huber_loss(outputs["delta"], labels["target"], delta=1.0).sum(-1)
        is_object = labels["class"] > 0
        return (entropy + self.box_weight * jnp.where(is_object, off, 0)).mean(-1)

    def scores(
        self, predict: Callable[[Any], Any], inputs: Any, labels: Any, key: jax.Array
    ) -> Scores:
        """Loss, accuracy and box overlap: of all items, of items of each size, of background."""
        del key
        outputs = predict(inputs)
        loss = self.loss(outputs, labels)
        right = (outputs["class"].argmax(-1) == labels["class"]).astype(jnp.int32)
        found = boxes.decode(inputs["boxes"], outputs["delta"], inputs["image"].shape[1])
        overlap = boxes.iou(found, labels["box"])
        kinds = {"": labels["size"] >= 0}
        kinds |= {f"_{size}": labels["size"] == n for n, size in enumerate(SIZES)}
        scores = {
            "loss": (loss, jnp.ones(loss.shape, jnp.int32)),
            "accuracy_background": (right, (labels["class"] == 0).astype(jnp.int32)),
        }
        for kind, regions in kinds.items():
            weight = regions.astype(jnp.int32)
            scores |= {f"accuracy{kind}": (right, weight), f"box_iou{kind}": (overlap, weight)}
        return scores
