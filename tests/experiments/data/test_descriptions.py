import subprocess

import numpy as np
import pytest

from experiments.data import DataError, debian
from experiments.data.descriptions import DescriptionsOptions

ENTRY = """Package: tool{n}
Description-md5: d943033bedada21853d2ae54a2578a7b
Description-en: fast tool number {n}
 This fast tool{n} is number {n}. It reads files, e.g. Pictures, and
 writes words{n}.
 .
 Features:
  * a list of many things{n}
  - tool support
"""
SHARED = " .\n It has the very same long sentence as its sister package.\n"


def write(folder, count=30):
    entries = [ENTRY.format(n=n) + (SHARED if n % 3 == 0 else "") for n in range(count)]
    short = "Package: a\nDescription-en: a tool\n A tool. One more.\n"
    foreign = "Package: b\nDescription-en: xyz\n A tool. One more. A third.\n"
    path = folder / "Translation-en"
    path.write_text("\n".join([*entries, short, foreign]), "utf-8")
    return path


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return DescriptionsOptions(
        name="descriptions", path=write(tmp_path), max_sentences=5, max_length=6, test=0.4
    )


def test_a_description_divides_into_sentences_and_items():
    (entry,) = debian.parse(ENTRY.format(n=1))
    assert entry.synopsis == "fast tool number 1"
    assert entry.sentences == (
        "This fast tool1 is number 1.",
        "It reads files, e.g. Pictures, and writes words1.",
        "Features:",
        "a list of many things1",
        "tool support",
    )


def test_entries_become_documents_with_the_rouge_of_every_sentence(options):
    data, info = options.limited(), options.describe()
    assert (info.kind, info.task, info.train_size + info.test_size) == (
        "document",
        "summarization",
        30,
    )
    assert len(data.train) == options.train_size == info.train_size
    inputs, labels = data.test.inputs, data.test.labels
    assert inputs["tokens"].shape == (len(data.test), 5, 6)
    np.testing.assert_array_equal(inputs["sentences"], 5)
    np.testing.assert_array_equal(inputs["length"][0], [6, 6, 1, 5, 2])
    # Of four words of the synopsis and six of the sentence, three are common, in order.
    np.testing.assert_allclose(labels["rouge_1"][0], [0.6, 0, 0, 0, 1 / 3], atol=1e-6)
    np.testing.assert_allclose(labels["rouge_l"][0], [0.6, 0, 0, 0, 1 / 3], atol=1e-6)
    np.testing.assert_array_equal(labels["best"], 0)
    assert data.baselines["first sentence"] == pytest.approx(
        {"accuracy": 1, "rouge_1": 0.6, "rouge_l": 0.6}
    )
    assert data.baselines["best possible sentence"]["rouge_1"] == pytest.approx(0.6)
    assert data.baselines["random sentence"] == pytest.approx(
        {"accuracy": 1 / 5, "rouge_1": 14 / 75, "rouge_l": 14 / 75}
    )


def test_entries_that_share_a_long_sentence_are_in_one_split(options):
    options = options.model_copy(update={"max_sentences": 9, "max_length": 12})
    data = options.limited()
    shared = [int((part.inputs["sentences"] == 6).sum()) for part in (data.train, data.test)]
    assert sorted(shared) == [0, 10]


def test_the_file_is_unpacked_by_apts_helper_only_if_compressed(tmp_path, monkeypatch):
    path = write(tmp_path)
    packed = path.rename(tmp_path / "x_main_i18n_Translation-en.lz4")

    def helper(command, **_):
        assert command[1:] == ["cat-file", packed]
        return subprocess.CompletedProcess(command, 0, packed.read_bytes())

    monkeypatch.setattr(subprocess, "run", helper)
    monkeypatch.setattr(debian, "LISTS", tmp_path)
    assert len(debian.read(debian.installed()).entries) == 32


def test_what_is_missing_or_damaged_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "LISTS", tmp_path / "lists")
    with pytest.raises(DataError, match=r"no file .*apt-get -o Acquire::Languages=en update"):
        DescriptionsOptions(name="descriptions").describe()
    path = tmp_path / "file"
    with pytest.raises(DataError, match="file: cannot be read"):
        DescriptionsOptions(name="descriptions", path=path).describe()
    path.write_bytes(b"Description-en: \xff\n")
    with pytest.raises(DataError, match="not UTF-8 at position 16"):
        DescriptionsOptions(name="descriptions", path=path).describe()
    path.write_text("Package: a\n")
    with pytest.raises(DataError, match="found no field Description-en"):
        DescriptionsOptions(name="descriptions", path=path).describe()
    path.write_text("Description-en: a\n b. C.\n")
    with pytest.raises(DataError, match="found 0 usable entries of 1"):
        DescriptionsOptions(name="descriptions", path=path).describe()
    packed = tmp_path / "file.lz4"
    packed.write_bytes(b"no archive")
    monkeypatch.setattr(debian, "_HELPER", tmp_path / "none")
    with pytest.raises(DataError, match=r"is missing\. Unpack"):
        DescriptionsOptions(name="descriptions", path=packed).describe()
    monkeypatch.setattr(debian, "_HELPER", "/bin/false")
    with pytest.raises(DataError, match="cannot be unpacked"):
        DescriptionsOptions(name="descriptions", path=packed).describe()
