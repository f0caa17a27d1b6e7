"""The datasets, by name.

A dataset is a module with `INFO`, what is known without loading, and `load(directory)`; adding one
is a new module and a line in `_DATASETS`.
"""

from pathlib import Path
from typing import Protocol

from experiments.data import cifar10, digits, fashion_mnist, mnist
from experiments.data.dataset import DataError, Dataset, DatasetInfo, Split

__all__ = ["DataError", "Dataset", "DatasetInfo", "Split", "describe", "load", "names"]


class _Source(Protocol):
    INFO: DatasetInfo

    def load(self, directory: Path | None = None) -> Dataset: ...


_DATASETS: dict[str, _Source] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
}


def names() -> tuple[str, ...]:
    """The datasets that can be loaded."""
    return tuple(_DATASETS)


def describe(name: str) -> DatasetInfo:
    """Shapes and sizes of a dataset, without reading it.

    Args:
        name: One of `names()`.

    Returns:
        What is known of it.

    Raises:
        DataError: There is no such dataset.
    """
    return _source(name).INFO


def load(name: str, directory: Path | None = None) -> Dataset:
    """Loads a dataset, from disk or by a checksummed download.

    Args:
        name: One of `names()`.
        directory: Where its files are, or None for the usual places.

    Returns:
        The dataset, standardised with the training set's statistics.

    Raises:
        DataError: There is no such dataset, or its files are missing or damaged.
    """
    return _source(name).load(directory)


def _source(name: str) -> _Source:
    if name not in _DATASETS:
        raise DataError(f"dataset {name!r} is unknown; known are {', '.join(names())}")
    return _DATASETS[name]
