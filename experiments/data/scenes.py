"""Detection scenes of Fashion-MNIST items at three scales on a cluttered background."""

from typing import Annotated, Any, Self

import jax
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from experiments import boxes, register
from experiments.data import fashion_mnist, idx
from experiments.data.composition import LARGEST_STRETCH, compose, labelled, propose
from experiments.data.dataset import Dataset, DatasetInfo, FileDatasetOptions, Split
from experiments.section import PositiveInt, Seed, complaint

SIZES = ("small", "medium", "large")
"""Names of the three scales."""

Scale = Annotated[int, Field(ge=4)]


@register.dataset("scenes")
class Scenes(FileDatasetOptions):
    """Detection scenes of Fashion-MNIST items, with proposals of regions to classify.

    A scene is grey. Its items are resized and dimmed, and cover at most a tenth of one another; its
    background has soft shades, faint fragments of items, and noise. Training scenes contain only
    training items, test scenes only test items. Scene n depends only on the seed and n, so a
    smaller set of scenes is the beginning of a larger one.

    `inputs` are `{"image": float32 (N, S, S, 1), "boxes": float32 (N, R, 4)}`; `boxes` are the
    proposals in pixels (x1, y1, x2, y2), half of them near items. `labels` describe each proposal:
    `class` (N, R), 0 for background, otherwise 1 to 10; `box` (N, R, 4), the true box; `target` (N,
    R, 4), the deltas from the proposal to the true box (see `experiments.boxes`); `size` (N, R), 0
    to 2, or -1 for background.

    Attributes:
        size: Side of the square scene in pixels.
        objects: Maximum number of items per scene; the minimum is one. An item without a free
            position is left out.
        scales: Lengths in pixels of the longer side of small, medium and large items. The length of
            each item is drawn within 15 % of its scale.
        train_scenes: Number of training scenes.
        test_scenes: Number of test scenes.
        proposals: Proposals per scene, half of them near items, the others in the background.
        seed: Random seed of the scenes and proposals.
    """

    size: PositiveInt = 96
    objects: PositiveInt = 4
    scales: Annotated[tuple[Scale, Scale, Scale], Field(strict=False)] = (14, 28, 56)
    train_scenes: PositiveInt = 2000
    test_scenes: PositiveInt = 1000
    proposals: Annotated[int, Field(ge=2)] = 16
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if sorted(set(self.scales)) != list(self.scales):
            raise complaint("must be three lengths, small, medium and large", "scales")
        needed = int(np.ceil(self.scales[-1] * LARGEST_STRETCH))
        if needed > self.size:
            raise complaint(
                f"must be at least {needed}, to hold items of scale {self.scales[-1]}", "size"
            )
        return self

    def describe(self) -> DatasetInfo:
        """Shapes and sizes; the classes are those of the items, plus background."""
        regions = self.proposals
        image = (self.size, self.size, 1)

        def each(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((regions, *shape), dtype)

        return DatasetInfo(
            input_shape=image,
            classes=fashion_mnist.INFO.classes + 1,
            train_size=self.train_scenes,
            test_size=self.test_scenes,
            kind="scene",
            task="detection",
            inputs={
                "image": jax.ShapeDtypeStruct(image, np.float32),
                "boxes": each(np.float32, 4),
            },
            labels={
                "class": each(np.int32),
                "box": each(np.float32, 4),
                "target": each(np.float32, 4),
                "size": each(np.int32),
            },
        )

    def load(self) -> Dataset:
        """The scenes, standardised by the brightness of the training scenes."""
        paths = fashion_mnist.locate_files(self.directory)
        info = fashion_mnist.INFO
        train = self._drawn(0, self.train_scenes, idx.read_split(paths[0], paths[1], info))
        test = self._drawn(1, self.test_scenes, idx.read_split(paths[2], paths[3], info))
        mean = train.inputs["image"].mean(dtype=np.float64)
        std = train.inputs["image"].std(dtype=np.float64) or 1.0
        for split in (train, test):
            split.inputs["image"] -= np.float32(mean)
            split.inputs["image"] /= np.float32(std)
        return Dataset(
            name=self.name,
            train=train,
            test=test,
            classes=info.classes + 1,
            baselines=baselines(train, test),
        )

    def _drawn(
        self, part: int, count: int, items: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    ) -> Split:
        """Generates the scenes of one split."""
        images, classes = items[0][..., 0], items[1]
        inputs, labels = [], []
        for number in range(count):
            random = np.random.default_rng([self.seed, part, number])
            scene = compose(random, images, classes, self.size, self.objects, self.scales)
            proposals = propose(random, scene.boxes, self.proposals, self.size, self.scales)
            inputs.append({"image": scene.image[..., None], "boxes": proposals})
            labels.append(labelled(proposals, scene))
        return Split(_stacked(inputs), _stacked(labels))


def baselines(train: Split, test: Split) -> dict[str, dict[str, float]]:
    """Metrics of methods without training, over the regions of all items and of items of each size.

    Args:
        train: Training scenes.
        test: Test scenes.

    Returns:
        The accuracy of the most frequent class of the training regions, and the IoU of the
        uncorrected proposals with the true boxes.
    """
    seen = train.labels["class"]
    majority = np.bincount(seen[seen > 0]).argmax()
    correct = test.labels["class"] == majority
    overlap = boxes.iou(test.inputs["boxes"], test.labels["box"])
    return {
        "majority class": _by_size("accuracy", correct, test.labels["size"]),
        "the proposal itself": _by_size("box_iou", overlap, test.labels["size"]),
    }


def _by_size(metric: str, values: NDArray[Any], sizes: NDArray[np.int32]) -> dict[str, float]:
    groups = {metric: sizes >= 0} | {f"{metric}_{s}": sizes == n for n, s in enumerate(SIZES)}
    return {name: float(values[group].mean()) for name, group in groups.items() if group.any()}


def _stacked(examples: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}
