"""Debian's package descriptions: selection of the sentence closest to a package's synopsis.

The synopsis, a package's one-line description, serves as the summary of the long description.
"""

import functools
import hashlib
import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any, ClassVar

import jax
import numpy as np
from numpy.typing import NDArray

from experiments import register
from experiments.data import debian
from experiments.data.cache import Arrays, cached
from experiments.data.dataset import DataError, Dataset, DatasetInfo, DatasetOptions, Split
from experiments.data.debian import Descriptions, Package
from experiments.data.groups import Places, connected, places
from experiments.data.text import UNKNOWN, TestShare, numbered, tokenize, vocabulary
from experiments.section import Folder, PositiveInt, Seed

_FEWEST_SENTENCES = 3
_SHARED_WORDS = 8
"""Entries that share a sentence of at least this many words are kept in one split. Shorter
sentences, such as "This package contains the documentation.", would link a third of all entries.
"""
_ROUGE_WORD = re.compile(r"[a-z0-9]+")
"""Pattern of a word for ROUGE."""


@register.dataset("descriptions")
class DescriptionsOptions(DatasetOptions):
    """Debian's package descriptions: selection of the sentence closest to a package's synopsis.

    The labels are ROUGE-1 and ROUGE-L (F1, without stemming, by the package rouge-score) of each
    sentence against the synopsis; a network reads only the sentences. Entries with fewer than three
    sentences, and entries without a sentence that has a word of the synopsis, are left out. Entries
    that share a sentence of eight or more words are kept in one split.

    Attributes:
        path: A file `Translation-en`; by default, the largest one of a main section in apt's lists,
            which `apt-get -o Acquire::Languages=en update` downloads.
        max_sentences: Maximum number of sentences per entry; further sentences are dropped.
        max_length: Maximum number of words per sentence that the network reads. ROUGE is that of
            the whole sentence.
        vocabulary: Number of words with their own id: the most frequent ones of the training
            entries. All other words share one id.
        test: The share of entries that form the test split.
        test_seed: The random seed of the test split.
    """

    path: Folder | None = None
    max_sentences: PositiveInt = 12
    max_length: PositiveInt = 32
    vocabulary: PositiveInt = 8000
    test: TestShare = 0.2
    test_seed: Seed = 0

    NOT_DECISIVE: ClassVar[frozenset[str]] = frozenset({"path"})

    def describe(self) -> DatasetInfo:
        """Shapes and sizes."""
        _, split = self._parts()
        sentences, words = self.max_sentences, self.max_length
        score = jax.ShapeDtypeStruct((sentences,), np.float32)
        return DatasetInfo(
            input_shape=(sentences, words),
            classes=sentences,
            train_size=split.train_size,
            test_size=split.test_size,
            kind="document",
            vocabulary=self.vocabulary + UNKNOWN + 1,
            task="summarization",
            inputs={
                "tokens": jax.ShapeDtypeStruct((sentences, words), np.int32),
                "length": jax.ShapeDtypeStruct((sentences,), np.int32),
                "sentences": jax.ShapeDtypeStruct((), np.int32),
            },
            labels={"rouge_1": score, "rouge_l": score, "best": jax.ShapeDtypeStruct((), np.int32)},
        )

    def load(self) -> Dataset:
        """All entries, without limits and without a validation split."""
        changes = {"train_limit": None, "test_limit": None, "validation": 0.0}
        return self.model_copy(update=changes).limited()

    def limited(self) -> Dataset:
        """The entries after limits, split; the vocabulary is that of the training split."""
        entries, split = self._parts()
        rouge = _rouge(entries, self.max_sentences)
        labels = {**rouge, "best": rouge["rouge_1"].argmax(1).astype(np.int32)}
        texts = [[tokenize(sentence, "word") for sentence in e.sentences] for e in entries]
        trained = (sentence for place in split.train for sentence in texts[place])
        known = vocabulary(trained, self.vocabulary)
        inputs = self._numbered(texts, known)

        def at(chosen: NDArray[np.int64]) -> Split:
            return Split(*jax.tree.map(lambda a: a[chosen], (inputs, labels)))

        test = at(split.test)
        return Dataset(
            name=self.name,
            train=at(split.train),
            test=test,
            classes=self.max_sentences,
            validation=at(split.validation) if len(split.validation) else None,
            baselines={} if self.test_limit else baselines(test.labels),
        )

    def identity(self) -> dict[str, Any]:
        """The options and the hash of the file."""
        return {**super().identity(), "sha256": self._descriptions().sha256}

    @property
    def train_size(self) -> int:
        """Number of training entries after `train_limit`, without validation entries."""
        return len(self._parts()[1].train)

    def _descriptions(self) -> Descriptions:
        return debian.read(self.path or debian.installed())

    def _parts(self) -> tuple[Sequence[Package], Places]:
        return _parts(self, self._descriptions())  # type: ignore[arg-type]  # frozen: hashable

    def _numbered(self, texts: Sequence[Sequence[Any]], known: dict[str, int]) -> Arrays:
        shape = (len(texts), self.max_sentences)
        tokens = np.zeros((*shape, self.max_length), np.int32)
        lengths = np.zeros(shape, np.int32)
        sentences = np.array([len(text) for text in texts], np.int32)
        exist = np.arange(self.max_sentences) < sentences[:, None]
        flat = [sentence for text in texts for sentence in text]
        tokens[exist], lengths[exist] = numbered(flat, known, self.max_length)
        return {"tokens": tokens, "length": lengths, "sentences": sentences}


def baselines(labels: Arrays) -> dict[str, dict[str, float]]:
    """Metrics of the first sentence, of the best sentence and of a random sentence.

    Args:
        labels: The labels of the test split; ROUGE is -1 for a missing sentence.

    Returns:
        Metrics by method; those of a random sentence are expected values.
    """
    exist = labels["rouge_1"] >= 0
    counts = exist.sum(1)
    best = labels["rouge_1"] == labels["rouge_1"].max(1, keepdims=True)
    values = {"accuracy": best, "rouge_1": labels["rouge_1"], "rouge_l": labels["rouge_l"]}
    rows = np.arange(len(counts))
    return {
        "first sentence": {name: float(value[:, 0].mean()) for name, value in values.items()},
        "best possible sentence": {
            name: float(value[rows, labels["best"]].mean()) for name, value in values.items()
        },
        "random sentence": {
            name: float((np.where(exist, value, 0).sum(1) / counts).mean())
            for name, value in values.items()
        },
    }


@functools.lru_cache(maxsize=8)
def _parts(
    options: DescriptionsOptions, descriptions: Descriptions
) -> tuple[Sequence[Package], Places]:
    entries, groups = _usable(descriptions, options.max_sentences)
    split = places(options, options.test, options.test_seed, groups)
    if not split.test_size or not split.train_size:
        raise DataError(
            f"{descriptions.path}: found {len(entries)} usable entries of "
            f"{len(descriptions.entries)}; expected enough of them, each with at least "
            f"{_FEWEST_SENTENCES} sentences, for a training and a test split with test = "
            f"{options.test:g}. Give a larger file"
        )
    return entries, split


@functools.lru_cache(maxsize=4)
def _usable(
    descriptions: Descriptions, max_sentences: int
) -> tuple[Sequence[Package], NDArray[np.int64]]:
    """The entries that have a closest sentence, shortened to `max_sentences`; and their groups."""
    entries, shared = [], []
    for entry in descriptions.entries:
        sentences = entry.sentences[:max_sentences]
        words = set(_ROUGE_WORD.findall(" ".join(sentences).lower()))
        if len(sentences) < _FEWEST_SENTENCES or words.isdisjoint(
            _ROUGE_WORD.findall(entry.synopsis.lower())
        ):
            continue
        entries.append(Package(entry.synopsis, sentences))
        split = [tuple(tokenize(sentence, "word")) for sentence in entry.sentences]
        shared.append([words for words in split if len(words) >= _SHARED_WORDS])
    return entries, connected(shared)


def _rouge(entries: Sequence[Package], max_sentences: int) -> Arrays:
    """ROUGE-1 and ROUGE-L of every sentence against the synopsis; -1 for a missing sentence."""
    digest = hashlib.sha256(f"{metadata.version('rouge-score')} {max_sentences}".encode())
    for entry in entries:
        digest.update("\n".join(("", entry.synopsis, *entry.sentences)).encode())
    return cached("rouge", digest.hexdigest(), lambda: _scored(entries, max_sentences))


def _scored(entries: Sequence[Package], max_sentences: int) -> Arrays:
    from rouge_score.rouge_scorer import RougeScorer  # imported here: the import takes a second

    scorer = RougeScorer(["rouge1", "rougeL"])
    scores = np.full((2, len(entries), max_sentences), -1, np.float32)
    for row, entry in enumerate(entries):
        for column, sentence in enumerate(entry.sentences):
            score = scorer.score(entry.synopsis, sentence)
            scores[:, row, column] = score["rouge1"].fmeasure, score["rougeL"].fmeasure
    return {"rouge_1": scores[0], "rouge_l": scores[1]}
