"""Base class of datasets of labelled texts: tokens, vocabulary, and splits by whole texts."""

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from experiments.data.dataset import DataError, Dataset, DatasetInfo, DatasetOptions, Split
from experiments.data.groups import Places, places
from experiments.section import PositiveInt, Seed

PADDING, UNKNOWN = 0, 1
"""Token ids of padding behind the end of a text, and of tokens outside the vocabulary."""
_WORD = re.compile(r"\w+")

Tokens = Literal["character", "word"]
TestShare = Annotated[float, Field(gt=0, lt=1)]


def tokenize(text: str, tokens: Tokens) -> list[str]:
    """The tokens of a text.

    Args:
        text: The text.
        tokens: `"character"` for every character but white space, `"word"` for every run of
            letters and digits, in lower case.

    Returns:
        The tokens, in order.

    Example:
        >>> tokenize("It's 4 o'clock.", "word")
        ['it', 's', '4', 'o', 'clock']
    """
    if tokens == "word":
        return _WORD.findall(text.lower())
    return [character for character in text if not character.isspace()]


def vocabulary(texts: Iterable[Sequence[str]], size: int) -> dict[str, int]:
    """Assigns ids to the most frequent tokens.

    Args:
        texts: The tokens of each text.
        size: Maximum number of tokens with their own id.

    Returns:
        Token ids by token, from 2: id 0 is padding, id 1 an unknown token.
    """
    counts = Counter(token for text in texts for token in text)
    ordered = sorted(counts, key=lambda token: (-counts[token], token))
    return {token: number for number, token in enumerate(ordered[:size], start=UNKNOWN + 1)}


def numbered(
    texts: Sequence[Sequence[str]], known: Mapping[str, int], max_length: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Converts texts to padded arrays of token ids.

    Args:
        texts: The tokens of each text.
        known: Ids of the vocabulary, by token.
        max_length: Maximum number of tokens per text; further tokens are dropped.

    Returns:
        Token ids (N, max_length), padded with 0, and lengths (N,). A text without tokens has one
        unknown token, so that every text has at least one position to pool.
    """
    tokens = np.full((len(texts), max_length), PADDING, np.int32)
    lengths = np.ones(len(texts), np.int32)
    for row, text in enumerate(texts):
        numbers = [known.get(token, UNKNOWN) for token in text[:max_length]] or [UNKNOWN]
        tokens[row, : len(numbers)] = numbers
        lengths[row] = len(numbers)
    return tokens, lengths


@dataclass(frozen=True, eq=False)
class Corpus:
    """Labelled texts.

    Attributes:
        texts: The texts.
        labels: Their classes (N,).
        classes: Number of classes.
        sha256: Hash of the source files.
        source: The source file or folder, for error messages.
    """

    texts: Sequence[str]
    labels: NDArray[np.int32]
    classes: int
    sha256: str
    source: str


class TextOptions(DatasetOptions):
    """A dataset of labelled texts, which keeps copies of one text in one split.

    Attributes:
        tokens: The kind of tokens: `"character"` or `"word"`.
        max_length: Maximum number of tokens per text; further tokens are dropped.
        vocabulary: Number of tokens with their own id: the most frequent ones of the training
            examples. All other tokens share one id.
        test: The share of examples of each class that form the test split.
        test_seed: The random seed of the test split.
    """

    tokens: Tokens = "character"
    max_length: PositiveInt = 128
    vocabulary: PositiveInt = 5000
    test: TestShare = 0.2
    test_seed: Seed = 0

    def corpus(self) -> Corpus:
        """The texts; read once per process.

        Raises:
            DataError: A file is missing or damaged.
        """
        raise NotImplementedError

    def baselines(self, corpus: Corpus, split: Places) -> dict[str, dict[str, float]]:
        """Metrics of methods that need no training: the most frequent training class."""
        most_frequent = np.bincount(corpus.labels[split.train]).argmax()
        share = float((corpus.labels[split.test] == most_frequent).mean())
        return {"majority class": {"accuracy": share}}

    def describe(self) -> DatasetInfo:
        """Shapes and sizes."""
        corpus, split = self.corpus(), self._split()
        return DatasetInfo(
            input_shape=(self.max_length,),
            classes=corpus.classes,
            train_size=split.train_size,
            test_size=split.test_size,
            kind="sequence",
            vocabulary=self.vocabulary + UNKNOWN + 1,
            inputs={
                "tokens": jax.ShapeDtypeStruct((self.max_length,), np.int32),
                "length": jax.ShapeDtypeStruct((), np.int32),
            },
        )

    def load(self) -> Dataset:
        """All texts, without limits and without a validation split."""
        changes = {"train_limit": None, "test_limit": None, "validation": 0.0}
        return self.model_copy(update=changes).limited()

    def limited(self) -> Dataset:
        """The texts after limits, split; the vocabulary is that of the training split."""
        corpus, split = self.corpus(), self._split()
        texts = [tokenize(text, self.tokens) for text in corpus.texts]
        known = vocabulary((texts[place] for place in split.train), self.vocabulary)
        tokens, lengths = numbered(texts, known, self.max_length)

        def at(chosen: NDArray[np.int64]) -> Split:
            return Split(
                {"tokens": tokens[chosen], "length": lengths[chosen]}, corpus.labels[chosen]
            )

        return Dataset(
            name=self.name,
            train=at(split.train),
            test=at(split.test),
            classes=corpus.classes,
            validation=at(split.validation) if len(split.validation) else None,
            baselines={} if self.test_limit else self.baselines(corpus, split),
        )

    def identity(self) -> dict[str, Any]:
        """The options and the hash of the files."""
        return {**super().identity(), "sha256": self.corpus().sha256}

    @property
    def train_size(self) -> int:
        """Number of training examples after `train_limit`, without validation examples."""
        return len(self._split().train)

    def _split(self) -> Places:
        return _split(self, self.corpus())  # type: ignore[arg-type]  # frozen, so hashable


@functools.lru_cache(maxsize=32)
def _split(options: TextOptions, corpus: Corpus) -> Places:
    _, groups = np.unique(np.array(corpus.texts, object), return_inverse=True)
    split = places(options, options.test, options.test_seed, groups.reshape(-1), corpus.labels)
    if not split.test_size or not split.train_size:
        raise DataError(
            f"{corpus.source}: found {len(corpus.texts)} texts; expected enough of them for a "
            f"training and a test split with test = {options.test:g}. Give more texts, or another "
            "share"
        )
    return split


def stamp(path: Path, expected: str) -> tuple[Path, int, int]:
    """A file's path, size and modification time, which key the cache of the parsed file.

    Args:
        path: The file.
        expected: Description of the expected file, for the error message.

    Raises:
        DataError: The file does not exist.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; expected {expected}. Check the path"
        ) from error
    return path, found.st_size, found.st_mtime_ns


def read_text(path: Path, expected: str) -> tuple[str, str]:
    """The text of a UTF-8 file, and the SHA-256 of its bytes.

    Args:
        path: The file.
        expected: Description of the expected file, for the error message.

    Raises:
        DataError: The file cannot be read, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; expected {expected}. Check the path"
        ) from error
    try:
        return content.decode("utf-8-sig"), hashlib.sha256(content).hexdigest()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: found a byte that is not UTF-8 at position {error.start}; expected "
            f"{expected}. Save the file as UTF-8"
        ) from error
