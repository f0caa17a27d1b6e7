"""Studies through the command line: refusals, repeated measurements, sweeps and notes."""

import csv
import json
import shutil

import pytest

from experiments import records
from experiments.folder import StudyFolder
from experiments.records import Measurement, RunRecord
from experiments.study import only_process
from tests.experiments.test_command_line import command
from tests.experiments.tiny import write_tiny

SHORT = ["--set", "training.epochs=1", "--set", "training.warmup_epochs=0"]
SHORT += ["--set", "model.widths=[2]"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short study, run once: its config and its folder."""
    base = tmp_path_factory.mktemp("finished")
    config = write_tiny(base)
    process = command("run", config, "--out", base, *SHORT)
    assert process.exit_code == 0, process.stderr
    return config, StudyFolder(base / "tiny")


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of that study to change, and a function that runs it again."""
    config, folder = finished
    shutil.copytree(folder.path, tmp_path / "tiny")

    def again(*changes):
        return command("run", config, "--out", tmp_path, *SHORT, *changes)

    return StudyFolder(tmp_path / "tiny"), again


def edited(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refused(process, path, *words):
    assert process.exit_code == 2
    assert process.stderr.startswith(f"error: {path}: ")
    for word in words:
        assert word in process.stderr


def test_a_second_process_is_refused_until_the_first_has_ended(copied):
    folder, again = copied
    with only_process(folder):
        refused(again(), folder.path, "another process is working in this folder", "--out")
    assert again().exit_code == 0


def test_a_record_of_another_run_is_refused_by_its_path(copied):
    folder, again = copied
    path = folder.record("max", 7)
    path.write_bytes(folder.record("max", 0).read_bytes())
    refused(again(), path, "does not belong here: it is of variant max, seed 0;", "remove")
    path.write_bytes(folder.record("strided", 7).read_bytes())
    refused(again(), path, "does not belong here: it is of variant strided, seed 7;")


def test_an_unfinished_study_is_not_continued_in_another_environment(copied):
    folder, again = copied
    path = folder.record("max", 0)

    def older(record):
        record["origin"]["versions"]["jax"] = "0.0.1"

    edited(path, older)
    assert again().exit_code == 0  # it is finished, so nothing would be mixed
    folder.record("strided", 7).unlink()
    before = sorted(folder.path.rglob("*"))
    refused(again(), path, "made in another environment", "versions was", "0.0.1", "--out")
    assert sorted(folder.path.rglob("*")) == before


def test_a_measurement_that_the_config_no_longer_describes_is_made_again(copied):
    folder, again = copied
    runs = {path: path.stat().st_mtime_ns for path in folder.runs.rglob("record.json")}
    good = records.read(folder.measurement("max"), Measurement)

    def outdated(measurement):
        measurement.update(fingerprint="00" * 32, parameters=1)

    edited(folder.measurement("max"), outdated)
    process = again()
    assert process.exit_code == 0, process.stderr
    assert "compiling max for measurement" in process.stdout
    made = records.read(folder.measurement("max"), Measurement)
    assert (made.fingerprint, made.parameters) == (good.fingerprint, good.parameters)
    assert runs == {path: path.stat().st_mtime_ns for path in folder.runs.rglob("record.json")}


def test_runs_that_diverge_are_marked_counted_and_end_with_status_3(tmp_path):
    changes = ["training.optimizer=sgd", "training.learning_rate=1e6"]
    changes += ["variants={max={pool='max_pool', window=2}}"]
    sets = [word for change in changes for word in ("--set", change)]
    process = command("run", write_tiny(tmp_path), "--out", tmp_path, *sets)
    assert process.exit_code == 3, process.stderr
    flat = " ".join(process.stdout.split())
    assert "2 of 2 diverged" in flat
    assert "2 of 2 seeds of `max` diverged: the loss ceased to be finite" in flat
    folder = StudyFolder(tmp_path / "tiny")
    for seed in (0, 7):
        assert records.read(folder.record("max", seed), RunRecord).diverged
    with folder.summary_csv.open() as file:
        assert [row["diverged"] for row in csv.DictReader(file)] == ["2"]
    again = command("run", write_tiny(tmp_path), "--out", tmp_path, *sets)
    assert again.exit_code == 3


def test_a_sweep_has_a_folder_and_a_row_for_every_cell_and_a_plot(tmp_path):
    sweep = "sweep={'dataset.train_limit'=[48, 96], 'model.head'=['average', 'max']}"
    changes = ["--set", sweep, "--set", "variants={max={pool='max_pool', window=2}}"]
    process = command("run", write_tiny(tmp_path), "--out", tmp_path, *SHORT, *changes)
    assert process.exit_code == 0, process.stderr
    folder = StudyFolder(tmp_path / "tiny")
    cells = [
        f"dataset.train_limit={limit},model.head={head}"
        for limit in (48, 96)
        for head in ("average", "max")
    ]
    assert sorted(path.name for path in folder.runs.iterdir()) == cells
    for cell in cells:
        for seed in (0, 7):
            record = records.read(folder.of_cell(cell).record("max", seed), RunRecord)
            assert (record.cell, record.variant, record.seed) == (cell, "max", seed)
            assert record.steps == (3 if "48" in cell else 6)
    with folder.summary_csv.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["dataset.train_limit"], row["model.head"]) for row in rows] == [
        ("48", '"average"'),
        ("48", '"max"'),
        ("96", '"average"'),
        ("96", '"max"'),
    ]
    assert folder.sweep.read_bytes().startswith(b"\x89PNG")
    edited(folder.of_cell(cells[0]).record("max", 0), lambda record: record.update(cell=cells[1]))
    path = folder.of_cell(cells[0]).record("max", 0)
    again = command("run", write_tiny(tmp_path), "--out", tmp_path, *SHORT, *changes)
    refused(again, path, f"does not belong here: it is of variant max of {cells[1]}, seed 0")


def test_a_bad_swept_value_is_refused_in_one_line_before_anything_is_written(tmp_path):
    out = tmp_path / "results"
    sweep = "sweep={'training.epochs'=[1, 'many']}"
    process = command("run", write_tiny(tmp_path), "--out", out, "--set", sweep)
    assert process.exit_code == 2
    assert len(process.stderr.splitlines()) == 1
    assert "training.epochs=many" in process.stderr
    # A value that is only found out by tracing the network is refused as early.
    sweep = "sweep={'variants.max.window'=[2, 9]}"
    process = command("run", write_tiny(tmp_path), "--out", out, "--set", sweep)
    assert process.exit_code == 2
    assert "max_pool(window_shape=9) cannot pool the feature map" in process.stderr
    assert not out.exists()
