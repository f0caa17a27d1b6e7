"""A user's own arrays in one .npz file: images or signals, and their classes.

The file has arrays `x` and `y`, of which a share becomes the test set, or `x_train`, `y_train`,
`x_test` and `y_test`. Nothing in the file is unpickled.
"""

import zipfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import register
from experiments.data.dataset import (
    DataError,
    Dataset,
    DatasetInfo,
    DatasetOptions,
    Split,
    standardised,
    stratified,
)
from experiments.data.files import remembered, sha256
from experiments.section import Folder, Seed, Share

_KINDS = {2: "signal", 3: "image"}
_WHOLE = ("x", "y")
_SPLIT = ("x_train", "y_train", "x_test", "y_test")
_MOST_CLASSES = 1_000_000

Arrays = tuple[NDArray[Any], NDArray[Any]]


@register.dataset("npz")
class Npz(DatasetOptions):
    """A user's own arrays in a .npz file: images or signals `x`, and classes `y`.

    Attributes:
        path: The file. It has `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test`. Images
            are (N, H, W, C), signals (N, L, C); classes are integers from 0, (N,).
        channels_last: Whether the last axis of `x` is the channel axis. Otherwise there is one
            channel: images are (N, H, W), signals (N, L).
        test: The share of each class that becomes the test set, if the file has `x` and `y`.
        test_seed: The random seed of the test set.
        standardise: Whether to standardise each channel by the training set.
    """

    name: str = "npz"
    path: Folder
    channels_last: bool = True
    test: Share = 0.2
    test_seed: Seed = 0
    standardise: bool = True

    NOT_DECISIVE = frozenset({"path"})

    def describe(self) -> DatasetInfo:
        """Shapes and sizes; reads the file once to find them."""
        (inputs, labels), (_, held_out) = self._splits
        return DatasetInfo(
            input_shape=inputs.shape[1:],
            classes=int(labels.max()) + 1,
            train_size=len(labels),
            test_size=len(held_out),
            kind=_KINDS[inputs.ndim - 1],
        )

    def load(self) -> Dataset:
        """The arrays as float32."""
        train, test = self._splits
        classes = int(train[1].max()) + 1
        if self.standardise:
            return standardised("npz", train, test, classes)
        return Dataset("npz", *(_as_split(*arrays) for arrays in (train, test)), classes=classes)

    def identity(self) -> dict[str, Any]:
        """The options, with the SHA-256 of the file instead of its path."""
        return {**super().identity(), "sha256": remembered(self.path, sha256)}

    @cached_property
    def _splits(self) -> tuple[Arrays, Arrays]:
        arrays = remembered(self.path, _read)
        if "x" in arrays:
            x, y = self._checked(arrays, *_WHOLE)
            apart = stratified(y, self.test, self.test_seed)
            train, test = (x[~apart], y[~apart]), (x[apart], y[apart])
        else:
            train, test = self._checked(arrays, *_SPLIT[:2]), self._checked(arrays, *_SPLIT[2:])
        if train[0].shape[1:] != test[0].shape[1:]:
            raise _unusable(
                self.path,
                f"examples of {test[0].shape[1:]} in x_test",
                f"{train[0].shape[1:]} as in x_train",
            )
        if not len(test[1]):
            raise _unusable(self.path, "no example for testing", "a larger dataset.test")
        present = np.bincount(train[1])
        if not present.all():
            raise _unusable(
                self.path,
                f"no training example of class {np.flatnonzero(present == 0)[0]}",
                f"some of each class from 0 to {len(present) - 1}",
            )
        if test[1].max() >= len(present):
            raise _unusable(
                self.path,
                f"class {test[1].max()} in the test set",
                f"classes from 0 to {len(present) - 1}, as in the training set",
            )
        return train, test

    def _checked(self, arrays: Mapping[str, NDArray[Any]], *names: str) -> Arrays:
        x, y = (arrays[name] for name in names)
        if x.dtype.kind not in "biuf" or y.dtype.kind not in "iu":
            name, dtype = (names[0], x.dtype) if x.dtype.kind not in "biuf" else (names[1], y.dtype)
            wanted = "integers, from 0" if name == names[1] else "integers or real numbers"
            raise _unusable(self.path, f"{name} of dtype {dtype}", wanted)
        rank = {False: (2, 3), True: (3, 4)}[self.channels_last]
        if x.ndim not in rank or 0 in x.shape:
            shapes = "(N, H, W, C) or (N, L, C)" if self.channels_last else "(N, H, W) or (N, L)"
            raise _unusable(
                self.path,
                f"{names[0]} of shape {x.shape}",
                f"{shapes}, for dataset.channels_last = {str(self.channels_last).lower()}",
            )
        if y.shape != x.shape[:1]:
            raise _unusable(
                self.path,
                f"{names[1]} of shape {y.shape} for {names[0]} of shape {x.shape}",
                "one class for each example",
            )
        with np.errstate(over="ignore"):
            finite = np.isfinite(x.astype(np.float32)).reshape(len(x), -1).all(1)
        if not finite.all():
            raise _unusable(
                self.path,
                f"NaN or infinity in example {np.flatnonzero(~finite)[0]} of {names[0]}",
                "numbers that float32 can hold",
            )
        for found in (y.min(), y.max()):
            if not 0 <= found < _MOST_CLASSES:
                raise _unusable(
                    self.path,
                    f"class {found} in {names[1]}",
                    "classes numbered from 0 without gaps",
                )
        return x if self.channels_last else x[..., None], y.astype(np.int32)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Reads only the arrays that are used."""
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise _unusable(path, "a single array", "a .npz file, as numpy.savez writes it")
            names = next((names for names in (_SPLIT, _WHOLE) if {*names} <= {*file.files}), None)
            if names is None:
                raise _unusable(
                    path,
                    f"arrays {', '.join(sorted(file.files)) or 'none'}",
                    f"{' and '.join(_WHOLE)}, or {', '.join(_SPLIT)}",
                )
            return {name: file[name] for name in names}
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: not found; set dataset.path to a .npz file with arrays x and y"
        ) from error
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        if "pickle" in str(error).lower() and zipfile.is_zipfile(path):
            raise _unusable(
                path, "an array of Python objects, which is never unpickled", "arrays of numbers"
            ) from error
        raise _unusable(
            path, "a file that numpy.load cannot read", "a .npz file, as numpy.savez writes it"
        ) from error


def _as_split(x: NDArray[Any], y: NDArray[Any]) -> Split:
    return Split(x.astype(np.float32), y)


def _unusable(path: Path, found: str, expected: str) -> DataError:
    return DataError(f"{path}: found {found}; expected {expected}")
