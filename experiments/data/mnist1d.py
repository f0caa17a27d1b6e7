"""MNIST-1D: signals of 40 samples in ten classes, generated offline by the published package.

S. Greydanus and D. Kobak, "Scaling down deep learning with MNIST-1D", 2024. The package `mnist1d`
generates the signals from a random seed and shuffles them; the first ones are for training.
"""

import functools
import random
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from experiments import register
from experiments.data.dataset import Dataset, DatasetInfo, DatasetOptions, Split, standardised
from experiments.section import Seed, complaint

_LENGTH, _CLASSES = 40, 10
_TEST = 1000


def _divisible(examples: int) -> int:
    if examples <= _TEST or examples % _CLASSES:
        raise complaint(
            f"must be more than {_TEST} (the test set) and a multiple of {_CLASSES} (the classes)"
        )
    return examples


@register.dataset("mnist1d")
class Mnist1d(DatasetOptions):
    """MNIST-1D: signals of 40 samples in ten classes, generated offline by the package mnist1d.

    Attributes:
        examples: Number of signals to generate. The last 1,000 are the test set.
        seed: Random seed of the generator. Another number of examples gives other signals.
        standardise: Whether to standardise by the training set. Otherwise signals are as generated:
            over all signals, test set included, the mean is 0 and the standard deviation 1.
    """

    name: str = "mnist1d"
    examples: Annotated[int, AfterValidator(_divisible)] = 5000
    seed: Seed = 42
    standardise: bool = False

    def describe(self) -> DatasetInfo:
        """Shapes and sizes."""
        return DatasetInfo(
            input_shape=(_LENGTH, 1),
            classes=_CLASSES,
            train_size=self.examples - _TEST,
            test_size=_TEST,
            kind="signal",
        )

    def load(self) -> Dataset:
        """The signals, generated at first use (0.15 ms per signal) and cached in this process."""
        signals, labels = _generate(self.examples, self.seed)
        train, test = (signals[:-_TEST], labels[:-_TEST]), (signals[-_TEST:], labels[-_TEST:])
        if self.standardise:
            return standardised("mnist1d", train, test, _CLASSES)
        return Dataset("mnist1d", Split(*train), Split(*test), _CLASSES)


@functools.lru_cache(maxsize=8)
def _generate(examples: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Signals (examples, 40, 1) and classes (examples,), shuffled by the generator."""
    from mnist1d.data import get_dataset_args, make_dataset  # imported here: it loads pyplot

    arguments: Any = get_dataset_args()
    arguments.num_samples, arguments.seed = examples, seed
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        made = make_dataset(arguments)  # seeds and uses the global generators
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
    signals = np.concatenate([made["x"], made["x_test"]])[..., None].astype(np.float32)
    labels = np.concatenate([made["y"], made["y_test"]]).astype(np.int32)
    for array in (signals, labels):
        array.flags.writeable = False
    return signals, labels
