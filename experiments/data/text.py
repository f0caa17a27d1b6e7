"""What datasets of labelled texts have in common: tokens, their numbers, splits of whole texts."""

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
"""The numbers of what stands behind the end of a text, and of tokens outside the vocabulary."""
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
        The tokens, in their order.

    Example:
        >>> tokenize("It's 4 o'clock.", "word")
        ['it', 's', '4', 'o', 'clock']
    """
    if tokens == "word":
        return _WORD.findall(text.lower())
    return [character for character in text if not character.isspace()]


def vocabulary(texts: Iterable[Sequence[str]], size: int) -> dict[str, int]:
    """Numbers of the most frequent tokens.

    Args:
        texts: The tokens of each text.
        size: How many tokens at most get a number of their own.

    Returns:
        Token numbers by token. They begin at 2: 0 is padding, 1 is an unknown token.
    """
    counts = Counter(token for text in texts for token in text)
    ordered = sorted(counts, key=lambda token: (-counts[token], token))
    return {token: number for number, token in enumerate(ordered[:size], start=UNKNOWN + 1)}


def numbered(
    texts: Sequence[Sequence[str]], known: Mapping[str, int], max_length: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The numbers of the tokens of texts, as a network reads them.

    Args:
        texts: The tokens of each text.
        known: The number of each token of the vocabulary.
        max_length: How many tokens are kept, from the first.

    Returns:
        Numbers (N, max_length), padded with 0, and lengths (N,). A text without tokens counts as
        one unknown token, so that every text has something to pool.
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
        classes: How many classes there are.
        sha256: Of the files that they come from.
        source: The file or folder, for messages.
    """

    texts: Sequence[str]
    labels: NDArray[np.int32]
    classes: int
    sha256: str
    source: str


class TextOptions(DatasetOptions):
    """A dataset of labelled texts; copies of one text are never in two splits.

    Attributes:
        tokens: What a token is: `"character"` or `"word"`.
        max_length: Tokens kept of each text, from the first.
        vocabulary: How many tokens get a number of their own: the most frequent ones of the
            examples that are trained on. All others count as one unknown token.
        test: The share of the examples, of each class alike, that is held out as the test split.
        test_seed: Which examples these are.
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
        """Metrics of methods that need no training: the most frequent class of training."""
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
        """All texts, limits and validation aside."""
        changes = {"train_limit": None, "test_limit": None, "validation": 0.0}
        return self.model_copy(update=changes).limited()

    def limited(self) -> Dataset:
        """The texts that the config asks for; the vocabulary is that of its training split."""
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
        """The options, and the hash of the files."""
        return {**super().identity(), "sha256": self.corpus().sha256}

    @property
    def train_size(self) -> int:
        """Training examples: after the limit, without those set apart for validation."""
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
    """A file's path, size and time of change: what decides whether it must be read again.

    Args:
        path: The file.
        expected: What it should be, for the message.

    Raises:
        DataError: There is no such file.
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
        expected: What it should be, for the message.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
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
