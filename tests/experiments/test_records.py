import errno
import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from experiments import records
from experiments.folder import StudyFolder

RUN = records.RunRecord(
    variant="max_pool",
    seed=3,
    fingerprint="0f" * 32,
    epochs=2,
    steps=10,
    test_accuracy=0.75,
    test_loss=0.5,
    train_loss=0.25,
    test_correct=3,
    test_size=4,
    train_seconds=1.5,
)


def epoch(number, **changes):
    values = {
        "epoch": number,
        "step": 10 * number,
        "train_loss": 0.5,
        "validation_loss": 0.75,
        "validation_accuracy": 0.5,
        "learning_rate": 1e-3,
        "seconds": 2.0,
        "examples_per_s": 100.0,
    }
    return records.EpochMetrics(**{**values, **changes})


def test_a_record_survives_the_disk(tmp_path):
    path = tmp_path / "runs" / "max_pool" / "record.json"
    records.write(path, RUN)
    assert records.read(path, records.RunRecord) == RUN
    assert json.loads(path.read_text())["schema_version"] == 1


@given(loss=st.floats())
def test_any_loss_survives_as_valid_json(tmp_path_factory, loss):
    path = tmp_path_factory.mktemp("loss") / "metrics.jsonl"
    records.write_metrics(path, [epoch(1, validation_loss=loss)])
    json.loads(path.read_text(), parse_constant=pytest.fail)
    (back,) = records.read_metrics(path)
    assert back.validation_loss == loss or (math.isnan(back.validation_loss) and math.isnan(loss))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"seed": "3"}, "seed: Input should be a valid integer, got '3'"),
        ({"test_accuracy": 1.5}, "test_accuracy: .*less than or equal to 1, got 1.5"),
        ({"test_correct": 5}, "test_accuracy 0.75 is not test_correct / test_size, 5 / 4"),
        ({"variant": "../etc"}, "variant: .*pattern"),
        ({"variant": ".."}, "variant: .*pattern"),
        ({"fingerprint": "abc"}, "fingerprint: .*pattern"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"schema_version": 2}, "schema_version: Input should be 1, got 2"),
        ({"epochs": None}, "epochs: Input should be a valid integer"),
    ],
)
def test_a_wrong_record_is_refused_with_file_field_and_value(tmp_path, change, complaint):
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**RUN.model_dump(), **change}))
    with pytest.raises(records.RecordError, match=complaint) as caught:
        records.read(path, records.RunRecord)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"variant": "max_pool"'])
def test_a_torn_record_is_refused_by_name(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(records.RecordError, match="not a valid RunRecord"):
        records.read(path, records.RunRecord)


def test_a_missing_record_is_said(tmp_path):
    with pytest.raises(records.RecordError, match=r"record\.json: cannot be read: No such file"):
        records.read(tmp_path / "record.json", records.RunRecord)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    records.write_atomically(path, "old")

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    complaint = r"record\.json: cannot be written: No space left on device; free some space and run"
    with pytest.raises(records.RecordError, match=complaint):
        records.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_metrics_grow_line_by_line(tmp_path):
    path = tmp_path / "seed-0" / "metrics.jsonl"
    assert records.read_metrics(path) == []
    for number in (1, 2, 3):
        records.append_metrics(path, epoch(number))
    assert records.read_metrics(path) == [epoch(1), epoch(2), epoch(3)]
    records.write_metrics(path, [epoch(1)])
    assert records.read_metrics(path) == [epoch(1)]


@given(cut=st.integers(min_value=1))
def test_a_line_torn_anywhere_is_ignored_and_then_removed(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("torn") / "metrics.jsonl"
    records.append_metrics(path, epoch(1))
    whole = path.stat().st_size
    records.append_metrics(path, epoch(2))
    os.truncate(path, whole + cut % (path.stat().st_size - whole))
    assert records.read_metrics(path) == [epoch(1)]
    records.append_metrics(path, epoch(2))
    assert records.read_metrics(path) == [epoch(1), epoch(2)]


def test_a_bad_line_in_the_middle_is_an_error_with_its_number(tmp_path):
    path = tmp_path / "metrics.jsonl"
    records.append_metrics(path, epoch(1))
    with path.open("a") as file:
        file.write("rubbish\n")
    records.append_metrics(path, epoch(3))
    with pytest.raises(records.RecordError, match=r"metrics\.jsonl, line 2: Invalid JSON"):
        records.read_metrics(path)


def test_records_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        RUN.seed = 4  # type: ignore[misc]


def test_the_folder_lists_variants_and_finished_seeds(tmp_path):
    folder = StudyFolder(tmp_path)
    assert folder.variants() == ()
    records.write(folder.record("max_pool", 10), RUN)
    records.write(folder.record("max_pool", 9), RUN)
    records.append_metrics(folder.metrics("max_pool", 8), epoch(1))
    folder.variant("avg_pool").mkdir()
    (folder.runs / "Not A Variant").mkdir()
    assert folder.variants() == ("avg_pool", "max_pool")
    assert folder.seeds("max_pool") == (9, 10)
    assert folder.seeds("avg_pool") == ()
