"""What every dataset is: its options in a config, its shapes before loading, its examples after."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import numpy as np
from numpy.typing import NDArray

from experiments.section import Folder, PositiveInt, Section, Seed, Share

if TYPE_CHECKING:
    from experiments.data.stream import Stream


class DataError(Exception):
    """A dataset is missing or damaged; the message says what was found and what to do."""


def damaged(path: Path, found: str, expected: str) -> DataError:
    """The error for a file that does not hold what it should.

    Args:
        path: The file.
        found: What it holds.
        expected: What it should hold.

    Returns:
        The error, to raise.
    """
    return DataError(
        f"{path}: found {found}; expected {expected}. Replace this file with an intact one, or "
        f"remove it and unset dataset.directory to let a checksummed copy be downloaded."
    )


@dataclass(frozen=True)
class Split:
    """Inputs and labels in the dataset's own order; either is an array or a pytree of arrays.

    Attributes:
        inputs: What a network reads; the first axis of every array counts examples. Images are
            float32 (N, H, W, C), signals float32 (N, L, C), both standardised per channel.
        labels: What it should answer, likewise. Classes are int32 (N,), from 0 to classes - 1.
    """

    inputs: Any
    labels: Any

    def __len__(self) -> int:
        """The number of examples."""
        return len(jax.tree.leaves(self.labels)[0])

    def take(self, chosen: slice | NDArray[Any]) -> "Split":
        """Some of the examples."""
        inputs, labels = jax.tree.map(lambda a: a[chosen], (self.inputs, self.labels))
        return Split(inputs, labels)

    def read(self) -> "Split":
        """Itself: its examples are in memory."""
        return self


@dataclass(frozen=True)
class Dataset:
    """Splits that never mix, in memory or streamed from their files.

    Attributes:
        name: The dataset's name.
        train: What is trained on.
        test: What is scored once, at the end.
        classes: The number of classes.
        validation: What choices are made by; None if there is none.
        baselines: Metrics of methods that need no training, by name of method and of metric, such
            as `{"majority class": {"accuracy": 0.6}}`. They are scored on the test split.
    """

    name: str
    train: "Split | Stream"
    test: "Split | Stream"
    classes: int
    validation: "Split | Stream | None" = None
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset before it is loaded.

    Attributes:
        input_shape: The shape of one example: (H, W, C) of images, (L, C) of signals, (L,) of
            sequences of token numbers.
        classes: How many classes it has.
        train_size: Training examples.
        test_size: Test examples.
        kind: What the inputs are: `"image"`, `"signal"`, `"sequence"`, `"scene"` or `"document"`.
        vocabulary: Of sequences and documents, how many tokens there are, padding included.
        task: The task that the labels are for; see `experiments.tasks`.
        inputs: Shapes and dtypes of one example, as a pytree of `jax.ShapeDtypeStruct`; None for
            one float32 array of `input_shape`.
        labels: Likewise of its labels; None for one class.
    """

    input_shape: tuple[int, ...]
    classes: int
    train_size: int
    test_size: int
    kind: str = "image"
    vocabulary: int | None = None
    task: str = "classification"
    inputs: Any = None
    labels: Any = None

    def batch(self, size: int) -> tuple[Any, Any]:
        """Shapes and dtypes of so many inputs and labels."""
        inputs = self.inputs or jax.ShapeDtypeStruct(self.input_shape, np.float32)
        labels = self.labels or jax.ShapeDtypeStruct((), np.int32)
        return jax.tree.map(
            lambda one: jax.ShapeDtypeStruct((size, *one.shape), one.dtype), (inputs, labels)
        )


class DatasetOptions(Section):
    """`[dataset]`: what is learned. Every dataset has these keys, and may have more.

    Attributes:
        name: The dataset.
        train_limit: Train on the first so many examples only.
        test_limit: Test on the first so many examples only.
        validation: The share of the training examples, of each class alike, that is set apart: each
            epoch is scored on it, and everything that is chosen is chosen by it.
        validation_seed: Which examples these are.
    """

    name: str
    train_limit: PositiveInt | None = None
    test_limit: PositiveInt | None = None
    validation: Share = 0.0
    validation_seed: Seed = 0

    NOT_DECISIVE: ClassVar[frozenset[str]] = frozenset({"directory"})
    """Keys that say where the data are, not which."""

    def describe(self) -> DatasetInfo:
        """Shapes and sizes of the whole dataset, limits aside.

        Raises:
            DataError: They are in files that are missing or damaged.
        """
        raise NotImplementedError

    def load(self) -> Dataset:
        """The whole dataset, limits aside.

        Raises:
            DataError: Files are missing or damaged.
        """
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """What decides which examples these are; part of the fingerprint of every run."""
        return {
            key: value
            for key, value in self.model_dump(mode="json", exclude_none=True).items()
            if key not in self.NOT_DECISIVE
        }

    @property
    def train_size(self) -> int:
        """Training examples: after the limit, without those set apart for validation."""
        size = self.describe().train_size
        size = size if self.train_limit is None else min(size, self.train_limit)
        return size - round(size * self.validation)

    def limited(self) -> Dataset:
        """The dataset, cut to its limits, with its validation split."""
        whole = self.load()
        train = whole.train.take(slice(self.train_limit))
        validation = None
        if self.validation:
            apart = stratified(train.labels, self.validation, self.validation_seed)
            train, validation = train.take(~apart), train.take(apart)
        return Dataset(
            name=whole.name,
            train=train,
            test=whole.test.take(slice(self.test_limit)),
            classes=whole.classes,
            validation=validation,
            baselines=whole.baselines if self.test_limit is None else {},
        )


class FileDatasetOptions(DatasetOptions):
    """A dataset whose files may lie in a folder of the user's.

    Attributes:
        directory: Where its files are, if not in the usual places.
    """

    directory: Folder | None = None


def stratified(labels: Any, share: float, seed: int) -> NDArray[np.bool_]:
    """Marks a share of the examples at random, of each class alike.

    Args:
        labels: Classes (N,); of anything else, examples are drawn from all.
        share: The share to mark.
        seed: Which ones.

    Returns:
        Booleans (N,), of which `round(N * share)` are True.
    """
    arrays = jax.tree.leaves(labels)
    size = len(arrays[0])
    random = np.random.default_rng(seed)
    order = random.permutation(size)
    if len(arrays) == 1 and arrays[0].ndim == 1:
        # Sorted by their place inside their class, relative to the size of the class: any first
        # part of it holds each class in proportion.
        classes = np.asarray(arrays[0])[order]
        place = np.zeros(size)
        for label in np.unique(classes):
            found = np.flatnonzero(classes == label)
            place[found] = (np.arange(len(found)) + random.random()) / len(found)
        order = order[np.argsort(place, kind="stable")]
    marked = np.zeros(size, bool)
    marked[order[: round(size * share)]] = True
    return marked


def standardised(
    name: str,
    train: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]],
    classes: int,
) -> Dataset:
    """Builds a dataset from raw images or signals and their classes.

    The mean and the standard deviation of each channel come from the training examples alone, so
    nothing of the test set reaches training.

    Args:
        name: The dataset's name.
        train: Training examples (N, ..., C) and classes (N,).
        test: Test examples and classes, likewise.
        classes: How many classes there are.

    Returns:
        The dataset.
    """
    inputs, held_out = (images.astype(np.float32, order="C") for images, _ in (train, test))
    for channel in range(inputs.shape[-1]):
        mean = inputs[..., channel].mean(dtype=np.float64)
        std = inputs[..., channel].std(dtype=np.float64) or 1.0
        for images in (inputs, held_out):
            images[..., channel] -= np.float32(mean)
            images[..., channel] /= np.float32(std)
    return Dataset(
        name=name,
        train=Split(inputs, train[1].astype(np.int32)),
        test=Split(held_out, test[1].astype(np.int32)),
        classes=classes,
    )
