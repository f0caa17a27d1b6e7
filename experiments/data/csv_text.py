"""Labelled texts from a user's CSV file."""

import csv
import functools
import io
from pathlib import Path
from typing import ClassVar

import numpy as np

from experiments import register
from experiments.data.dataset import DataError
from experiments.data.text import Corpus, TextOptions, read_text, stamp
from experiments.section import Folder

_EXPECTED = "a CSV file in UTF-8 whose first line names its columns"


@register.dataset("csv_text")
class CsvText(TextOptions):
    """Labelled texts from a CSV file in UTF-8 whose first line names its columns.

    Attributes:
        path: The file.
        text: Name of the column of texts.
        label: Name of the column of labels. Each distinct label is a class; classes are sorted.
    """

    path: Folder
    text: str = "text"
    label: str = "label"

    NOT_DECISIVE: ClassVar[frozenset[str]] = frozenset({"path"})

    def corpus(self) -> Corpus:
        """The texts of the file."""
        return _read(*stamp(self.path, _EXPECTED), self.text, self.label)


@functools.lru_cache(maxsize=4)
def _read(path: Path, size: int, changed: int, text: str, label: str) -> Corpus:
    del size, changed
    content, sha256 = read_text(path, _EXPECTED)
    rows = csv.reader(io.StringIO(content, newline=""), strict=True)
    texts, words = [], []
    try:
        header = next(rows, [])
        for column in (text, label):
            if column not in header:
                raise DataError(
                    f"{path}: found the columns {', '.join(header) or 'none'}; expected one called "
                    f"{column!r}. Name the columns in dataset.text and dataset.label"
                )
        for row in filter(None, rows):
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {rows.line_num}: found {len(row)} fields; expected the "
                    f"{len(header)} of the header. Quote fields that contain commas"
                )
            texts.append(row[header.index(text)])
            words.append(row[header.index(label)])
    except csv.Error as error:
        raise DataError(
            f"{path}, line {rows.line_num}: found {error}; expected {_EXPECTED}. Correct this line"
        ) from error
    classes, labels = np.unique(np.array(words, object), return_inverse=True)
    if len(classes) < 2:
        raise DataError(
            f"{path}: found {len(texts)} texts of {len(classes)} classes; expected at least two "
            f"classes in the column {label!r}. Give another column in dataset.label"
        )
    return Corpus(texts, labels.astype(np.int32), len(classes), sha256, str(path))
