import numpy as np
import pytest

from experiments.data import DataError
from experiments.data.csv_text import CsvText
from experiments.data.groups import connected, marked
from experiments.data.text import numbered, tokenize, vocabulary


def csv(folder, content, encoding="utf-8"):
    path = folder / "texts.csv"
    path.write_bytes(content.encode(encoding))
    return path


def reviews(folder, copies=1):
    rows = [f'"Text, number {n} w{n}",{"good" if n % 2 else "bad"}' for n in range(40)] * copies
    return csv(folder, "\n".join(["text,label", *rows]))


def test_tokens_are_characters_or_words():
    assert tokenize("好 的!", "character") == ["好", "的", "!"]
    assert tokenize("It's GOOD.", "word") == ["it", "s", "good"]


def test_the_most_frequent_tokens_get_numbers_and_the_others_are_unknown():
    known = vocabulary([["b", "a", "c"], ["a", "b"], ["a"]], 2)
    assert known == {"a": 2, "b": 3}
    tokens, lengths = numbered([["c", "a", "b", "a"], []], known, 3)
    np.testing.assert_array_equal(tokens, [[1, 2, 3], [1, 0, 0]])
    np.testing.assert_array_equal(lengths, [3, 1])


def test_groups_stay_whole_and_every_class_gets_its_share():
    groups = np.repeat(np.arange(50), 4)
    labels = np.repeat(np.arange(2), 100)
    chosen = marked(groups, labels, 0.2, 3)
    assert chosen.reshape(50, 4).sum(1).tolist().count(4) == 10
    assert [chosen[labels == label].sum() for label in (0, 1)] == [20, 20]
    np.testing.assert_array_equal(chosen, marked(groups, labels, 0.2, 3))
    assert (chosen != marked(groups, labels, 0.2, 4)).any()


def test_what_has_a_part_in_common_is_connected_through_others_too():
    np.testing.assert_array_equal(connected([["a"], ["b"], ["c", "a"], [], ["c"]]), [0, 1, 0, 3, 0])


def test_a_file_becomes_stratified_splits_with_the_vocabulary_of_training(tmp_path):
    options = CsvText(
        name="csv_text", path=reviews(tmp_path), tokens="word", max_length=5, validation=0.25
    )
    data, info = options.limited(), options.describe()
    assert (info.kind, info.classes, info.input_shape) == ("sequence", 2, (5,))
    assert (info.train_size, info.test_size, options.train_size) == (32, 8, 24)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [24, 8, 8]
    assert [int(part.labels.sum()) for part in (data.train, data.validation, data.test)] == [
        12,
        4,
        4,
    ]
    assert data.baselines == {"majority class": {"accuracy": 0.5}}
    # "text" and "number" are in all examples, a number and a word of its own in each.
    assert (data.train.inputs["tokens"][:, :2] > 1).all()
    assert (data.train.inputs["tokens"][:, 2:4] > 1).all()
    assert (data.test.inputs["tokens"][:, 2:4] == 1).all()
    assert (data.test.inputs["length"] == 4).all()
    assert len(options.load().train) == 32


def test_copies_of_a_text_are_in_one_split(tmp_path):
    options = CsvText(
        name="csv_text", path=reviews(tmp_path, 3), tokens="word", validation=0.25, vocabulary=500
    )
    everything = options.model_copy(update={"validation": 0.0}).limited()
    assert {len(everything.train) % 3, len(everything.test) % 3} == {0}
    data = options.limited()
    assert (data.validation.inputs["tokens"][:, 2:4] == 1).all()
    assert (data.test.inputs["tokens"][:, 2:4] == 1).all()


def test_the_identity_is_the_content_not_the_path(tmp_path):
    first = CsvText(name="csv_text", path=reviews(tmp_path)).identity()
    (tmp_path / "other").mkdir()
    same = CsvText(name="csv_text", path=reviews(tmp_path / "other")).identity()
    assert first == same
    assert "path" not in first
    changed = CsvText(name="csv_text", path=reviews(tmp_path / "other", 2)).identity()
    assert changed["sha256"] != first["sha256"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"found the columns none; expected one called 'text'"),
        ("review,label\na,b\n", r"found the columns review, label; expected one called 'text'"),
        ("text,label\na,b,c\n", r"line 2: found 3 fields; expected the 2 of the header"),
        ('text,label\n"a,b\n', r"line 2: found unexpected end of data"),
        ("text,label\na,b\nc,b\n", r"found 2 texts of 1 classes; expected at least two"),
        ("text,label\na,b\nc,d\n", r"found 2 texts; expected enough of them"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, content, message):
    options = CsvText(name="csv_text", path=csv(tmp_path, content))
    with pytest.raises(DataError, match=message) as caught:
        options.describe()
    assert "\n" not in str(caught.value)
    assert "texts.csv" in str(caught.value)


def test_a_missing_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: cannot be read: No such file"):
        CsvText(name="csv_text", path=tmp_path / "none.csv").describe()
    path = csv(tmp_path, "text,label\né,b\n", "latin-1")
    with pytest.raises(DataError, match=r"not UTF-8 at position 11; .*Save the file as UTF-8"):
        CsvText(name="csv_text", path=path).describe()
