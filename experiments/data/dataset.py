"""The interface of datasets: options in a config, shapes before loading, examples after it."""

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
    """The error for a file with unexpected content.

    Args:
        path: The file.
        found: The actual content.
        expected: The expected content.

    Returns:
        The error, to raise.
    """
    return DataError(
        f"{path}: found {found}; expected {expected}. Replace this file with an intact one, or "
        f"remove it and unset dataset.directory to let a checksummed copy be downloaded."
    )


@dataclass(frozen=True)
class Split:
    """Inputs and labels in the order of the dataset; each is an array or a pytree of arrays.

    Attributes:
        inputs: The inputs of the network; the first axis of every array is the example axis. Images
            are float32 (N, H, W, C), signals are float32 (N, L, C); both are standardised per
            channel.
        labels: The labels, with the same first axis. Classes are int32 (N,), from 0 to classes - 1.
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
        """Returns itself, because its examples are in memory."""
        return self


@dataclass(frozen=True)
class Dataset:
    """Disjoint splits, in memory or streamed from files.

    Attributes:
        name: The dataset's name.
        train: The training set.
        test: The test set, which is scored once, after training.
        classes: The number of classes.
        validation: The validation set, used for all selections; None if there is none.
        baselines: Test metrics of methods without training, by name of method and metric, such as
            `{"majority class": {"accuracy": 0.6}}`.
    """

    name: str
    train: "Split | Stream"
    test: "Split | Stream"
    classes: int
    validation: "Split | Stream | None" = None
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetInfo:
    """The description of a dataset before it is loaded.

    Attributes:
        input_shape: The shape of one example: (H, W, C) for images, (L, C) for signals, (L,) for
            sequences of token indices.
        classes: The number of classes.
        train_size: The number of training examples.
        test_size: The number of test examples.
        kind: What the inputs are: `"image"`, `"signal"`, `"sequence"`, `"scene"` or `"document"`.
        vocabulary: For sequences and documents, the number of distinct tokens, including padding.
        task: The task that the labels are for; see `experiments.tasks`.
        inputs: Shapes and dtypes of one example, as a pytree of `jax.ShapeDtypeStruct`; None for
            one float32 array of `input_shape`.
        labels: Shapes and dtypes of the labels of one example, in the same form; None for one
            class.
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
        """Shapes and dtypes of a batch of `size` inputs and labels."""
        inputs = self.inputs or jax.ShapeDtypeStruct(self.input_shape, np.float32)
        labels = self.labels or jax.ShapeDtypeStruct((), np.int32)
        return jax.tree.map(
            lambda one: jax.ShapeDtypeStruct((size, *one.shape), one.dtype), (inputs, labels)
        )


class DatasetOptions(Section):
    """`[dataset]`: the dataset. Every dataset has these keys, and may have more.

    Attributes:
        name: The name of the dataset.
        train_limit: Use only this number of training examples, from the start.
        test_limit: Use only this number of test examples, from the start.
        validation: The fraction of the training examples to hold out for validation, stratified by
            class. It is scored after each epoch, and used for all selections.
        validation_seed: The random seed of the validation split.
    """

    name: str
    train_limit: PositiveInt | None = None
    test_limit: PositiveInt | None = None
    validation: Share = 0.0
    validation_seed: Seed = 0

    NOT_DECISIVE: ClassVar[frozenset[str]] = frozenset({"directory"})
    """Keys that say where the data are, not which."""

    def describe(self) -> DatasetInfo:
        """Shapes and sizes of the whole dataset, without limits.

        Raises:
            DataError: A file that contains them is missing or damaged.
        """
        raise NotImplementedError

    def load(self) -> Dataset:
        """Loads the whole dataset, without limits.

        Raises:
            DataError: Files are missing or damaged.
        """
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """The values that determine the examples; part of the fingerprint of every run."""
        return {
            key: value
            for key, value in self.model_dump(mode="json", exclude_none=True).items()
            if key not in self.NOT_DECISIVE
        }

    @property
    def train_size(self) -> int:
        """The number of training examples after the limit and the validation split."""
        size = self.describe().train_size
        size = size if self.train_limit is None else min(size, self.train_limit)
        return size - round(size * self.validation)

    def limited(self) -> Dataset:
        """The dataset after the limits and the validation split."""
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
    """A dataset whose files may be in a folder of the user.

    Attributes:
        directory: The folder of its files, if not one of the default folders.
    """

    directory: Folder | None = None


def stratified(labels: Any, share: float, seed: int) -> NDArray[np.bool_]:
    """Marks a random fraction of the examples, stratified by class.

    Args:
        labels: Classes (N,). With other labels, the selection is not stratified.
        share: The fraction to mark.
        seed: The random seed.

    Returns:
        Boolean array (N,) with `round(N * share)` True entries.
    """
    arrays = jax.tree.leaves(labels)
    size = len(arrays[0])
    random = np.random.default_rng(seed)
    order = random.permutation(size)
    if len(arrays) == 1 and arrays[0].ndim == 1:
        # Sorted by the relative rank of each example within its class, so that any prefix contains
        # each class in proportion.
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

    The mean and the standard deviation of each channel are computed from the training examples
    only, so no information of the test set enters training.

    Args:
        name: The dataset's name.
        train: Training examples (N, ..., C) and classes (N,).
        test: Test examples and classes, in the same form.
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
