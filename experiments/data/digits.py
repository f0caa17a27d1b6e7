"""scikit-learn's digits: 1,797 grey images of 8x8, values 0 to 16, part of the package.

The split is deterministic: every third image of each class in the order of the file (the 1st, 4th,
7th, ...) is a test image; the others are training images.
"""

import numpy as np
from numpy.typing import NDArray

from experiments import register
from experiments.data.dataset import Dataset, DatasetInfo, DatasetOptions, standardised

INFO = DatasetInfo(input_shape=(8, 8, 1), classes=10, train_size=1195, test_size=602)


@register.dataset("digits")
class Digits(DatasetOptions):
    """scikit-learn's digits: 1,797 grey images of 8x8, without a download."""

    def describe(self) -> DatasetInfo:
        """Shapes and sizes."""
        return INFO

    def load(self) -> Dataset:
        """The images of scikit-learn, standardised."""
        from sklearn.datasets import load_digits  # imported here because the import takes a second

        pixels, targets = load_digits(return_X_y=True)
        images = np.asarray(pixels, np.uint8).reshape(-1, *INFO.input_shape)
        labels = np.asarray(targets, np.uint8)
        held_out = _every_third_of_each_class(labels)
        return standardised(
            "digits",
            train=(images[~held_out], labels[~held_out]),
            test=(images[held_out], labels[held_out]),
            classes=INFO.classes,
        )


def _every_third_of_each_class(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Marks positions 0, 3, 6, ... among the examples of each class."""
    marked = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        marked[np.flatnonzero(labels == label)[::3]] = True
    return marked
