"""The datasets, one file each.

A dataset is a subclass of `DatasetOptions`: its fields are what `[dataset]` may say, `describe()`
gives shapes and sizes without reading examples, `load()` gives the examples. Adding one is a new
file and its name in the import below; a plug-in adds one with `experiments.register.dataset`.
"""

from experiments.data import (
    array_record,
    cifar10,
    csv_text,
    descriptions,
    digits,
    fashion_mnist,
    image_folder,
    mnist,
    mnist1d,
    npz,
    scenes,
    sentiment,
)
from experiments.data.dataset import (
    DataError,
    Dataset,
    DatasetInfo,
    DatasetOptions,
    FileDatasetOptions,
    Split,
    standardised,
)
from experiments.data.stream import Stream
from experiments.register import datasets

__all__ = [
    "DataError",
    "Dataset",
    "DatasetInfo",
    "DatasetOptions",
    "FileDatasetOptions",
    "Split",
    "Stream",
    "array_record",
    "cifar10",
    "csv_text",
    "datasets",
    "descriptions",
    "digits",
    "fashion_mnist",
    "image_folder",
    "mnist",
    "mnist1d",
    "npz",
    "scenes",
    "sentiment",
    "standardised",
]
