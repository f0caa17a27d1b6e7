import csv
import itertools
import math
import struct
import sys

import pytest
import tomli_w

from experiments import records
from experiments.folder import StudyFolder
from experiments.records import EpochMetrics
from experiments.report import summarise, tensorboard, tidy
from tests.experiments.conftest import environment, measurement, run_record
from tests.experiments.test_command_line import command

LIMITS = [100, 200]
HEADS = ["average", "max"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep of two keys, of variants none and max and seeds 0 and 7, two epochs each."""
    folder = StudyFolder(tmp_path_factory.mktemp("sweep") / "swept")
    config = {
        "dataset": {"name": "digits"},
        "training": {"epochs": 2, "seeds": [0, 7]},
        "variants": {"none": {"pool": "none"}, "max": {"pool": "max_pool", "window": 2}},
        "sweep": {"dataset.train_limit": LIMITS, "model.head": HEADS},
    }
    records.write_atomically(folder.config, tomli_w.dumps(config))
    records.write(folder.environment, environment())
    for limit, head in itertools.product(LIMITS, HEADS):
        cell = f"dataset.train_limit={limit},model.head={head}"
        part = folder.of_cell(cell)
        for variant in ("none", "max"):
            records.write(part.measurement(variant), measurement(variant, cell=cell))
            for seed in (0, 7):
                correct = limit + seed
                record = run_record(
                    variant, seed, correct, cell=cell, metrics={"consistency": limit / 1000}
                )
                records.write(part.record(variant, seed), record)
                for epoch in (1, 2):
                    line = EpochMetrics(
                        epoch=epoch,
                        step=10 * epoch,
                        train_loss=math.inf if limit == 200 else 1 / epoch,
                        learning_rate=0.125,
                        seconds=2.0,
                        examples_per_s=limit * 10.0,
                    )
                    records.append_metrics(part.metrics(variant, seed), line)
    summarise(folder.path)
    return folder


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_runs_csv_has_a_row_per_run_and_metric(swept):
    rows = table(swept.runs_csv)
    assert list(rows[0]) == [
        *("dataset.train_limit", "model.head", "variant", "seed", "metric", "value")
    ]
    metrics = [*tidy.METRICS, "diverged", "consistency"]
    metrics.remove("validation_accuracy")  # of which these runs have none
    assert [row["metric"] for row in rows] == metrics * 16
    (found,) = (
        row["value"]
        for row in rows
        if tuple(row.values())[:5] == ("200", "max", "none", "7", "test_accuracy")
    )
    assert float(found) == 0.207


def test_epochs_csv_has_a_row_per_run_and_epoch(swept):
    rows = table(swept.epochs_csv)
    assert list(rows[0]) == [
        *("dataset.train_limit", "model.head", "variant", "seed", "epoch", "step", "train_loss"),
        *("validation_loss", "validation_accuracy", "learning_rate", "seconds", "examples_per_s"),
    ]
    assert len(rows) == 16 * 2
    assert [row["train_loss"] for row in rows[:2]] == ["1.0", "0.5"]
    assert (rows[-1]["train_loss"], rows[-1]["validation_loss"]) == ("inf", "")


def test_pandas_reads_each_in_one_line(swept):
    pandas = pytest.importorskip("pandas")
    runs = pandas.read_csv(swept.runs_csv)
    means = runs[runs.metric == "test_accuracy"].groupby(["variant", "dataset.train_limit"]).value
    assert means.mean()["none", 200] == pytest.approx(0.2035)
    epochs = pandas.read_csv(swept.epochs_csv)
    assert epochs.train_loss.dtype == float
    assert set(epochs.variant) == {"none", "max"}
    assert epochs.validation_loss.isna().all()


def test_a_study_without_a_sweep_has_no_further_columns(make_study):
    summarise(path := make_study("study", {"max": [900, 910]}))
    assert list(table(path / "runs.csv")[0]) == ["variant", "seed", "metric", "value"]
    assert table(path / "epochs.csv") == []


def test_report_makes_every_table_and_plot_anew(swept):
    before = {
        name: (swept.path / name).read_bytes()
        for name in ("summary.csv", "summary.md", "runs.csv", "epochs.csv", "pareto.png")
    }
    for name in before:
        (swept.path / name).unlink()
    process = command("report", swept.path)
    assert process.exit_code == 0, process.stderr
    assert {name: (swept.path / name).read_bytes() for name in before} == before


def test_report_of_a_published_folder_makes_its_page_alone(make_study):
    summarise(path := make_study("study", {"max": [900, 910]}))
    (path / "runs").rename(path.parent / "elsewhere")
    (path / "report.html").unlink()
    before = {file: file.read_bytes() for file in path.iterdir()}
    process = command("report", path)
    assert process.exit_code == 0, process.stderr
    assert (path / "report.html").is_file()
    assert {file: file.read_bytes() for file in before} == before
    nowhere = command("report", path / "nowhere")
    assert nowhere.exit_code == 2
    assert "nowhere" in nowhere.stderr


def events(folder):
    """The scalars in a folder's event file: (tag, value, step, wall time)."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.glob("events.out.tfevents.*")
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])  # then a checksum, the event, a checksum
        event = Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        found += [(v.tag, v.simple_value, event.step, event.wall_time) for v in event.summary.value]
    return found


def test_tensorboard_scalars_are_those_of_the_epochs(swept, tmp_path):
    pytest.importorskip("tensorboardX")
    process = command("report", swept.path, "--tensorboard", tmp_path / "board")
    assert process.exit_code == 0, process.stderr
    assert f"16 runs in {tmp_path / 'board'}" in process.stdout
    cell = "dataset.train_limit=100,model.head=max"
    found = events(tmp_path / "board" / cell / "none" / "seed-7")
    assert [one for one in found if one[0] == "train_loss"] == [
        ("train_loss", 1.0, 10, 2.0),
        ("train_loss", 0.5, 20, 4.0),
    ]
    assert {tag for tag, *_ in found} == {"train_loss", "learning_rate", "examples_per_s"}
    with pytest.raises(records.RecordError, match="already has event files"):
        tensorboard.write(swept, tmp_path / "board")


def test_without_tensorboardx_the_extra_is_named(swept, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(records.RecordError, match=r'pip install "jaxpool\[tensorboard\]"'):
        tensorboard.write(swept, tmp_path / "board")
    assert not (tmp_path / "board").exists()
