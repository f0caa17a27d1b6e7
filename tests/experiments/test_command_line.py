"""The command line: in separate processes where needed, otherwise in this process."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import records
from experiments.__main__ import app
from experiments.folder import StudyFolder
from experiments.records import Environment, RunRecord
from tests.experiments.tiny import write_tiny

ROOT = Path(__file__).parents[2]

# Runs the command line, and kills the process, as `kill -9` does, when the n-th call of a given
# function returns.
KILLER = """
import importlib, os, runpy, signal, sys
module, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
module, calls = importlib.import_module(module), 0
original = getattr(module, name)
def killing(*positional, **named):
    global calls
    result = original(*positional, **named)
    calls += 1
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(module, name, killing)
sys.argv = ["experiments", *sys.argv[4:]]
runpy.run_module("experiments", run_name="__main__")
"""


WIDE = {"COLUMNS": "160"}


def python(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **WIDE},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def command(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), env=WIDE)


def results(folder):
    """The numbers of a study that must not depend on interruptions."""
    found = {}
    for path in sorted(folder.runs.glob("*/seed-*/record.json")):
        record = records.read(path, RunRecord)
        found[record.variant, record.seed] = (
            record.model_copy(update={"train_seconds": 0.0}),
            [
                line.model_copy(update={"seconds": 0.0, "examples_per_s": 0.0})
                for line in records.read_metrics(folder.metrics(record.variant, record.seed))
            ],
        )
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study run without interruption: its config, its process, its results."""
    base = tmp_path_factory.mktemp("finished")
    config = write_tiny(base)
    process = python("-m", "experiments", "run", config, "--out", base)
    return config, process, StudyFolder(base / "tiny")


def test_a_study_ends_with_table_files_and_a_plain_sentence(finished):
    _, process, folder = finished
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert "strided, seed 7: epoch 3/3, training loss" in process.stdout
    assert re.search(r"max +\d+\.\d+", process.stdout)
    assert "with 2 seeds" in process.stdout
    assert f"results: {folder.path}" in process.stdout
    with folder.summary_csv.open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["max", "strided"]
    for variant, row in rows.items():
        accuracies = [
            record.test_accuracy for (v, _), (record, _) in results(folder).items() if v == variant
        ]
        assert float(row["test_accuracy_mean"]) == pytest.approx(sum(accuracies) / 2)
        assert row["seeds"] == "2"
        assert row["device_source"] == "measured"
        assert float(row["train_examples_per_s"]) > 0
    assert folder.summary_md.read_text().count("strided") >= 1
    assert folder.pareto_of().read_bytes().startswith(b"\x89PNG")
    saved = tomllib.loads(folder.config.read_text())
    assert saved["training"]["optimizer"] == "adamw"
    assert records.read(folder.environment, Environment).versions["jax"]


def test_a_finished_study_is_shown_again_and_kept(finished):
    config, first, folder = finished
    kept = {path: path.stat().st_mtime_ns for path in folder.runs.rglob("*") if path.is_file()}
    again = command("run", config, "--out", folder.path.parent)
    assert again.exit_code == 0, again.stderr
    assert kept == {p: p.stat().st_mtime_ns for p in folder.runs.rglob("*") if p.is_file()}
    table = first.stdout[first.stdout.index("tiny\n") :]
    assert again.stdout == table


def test_compare_reads_what_run_wrote(finished):
    _, _, folder = finished
    process = command("compare", folder.path)
    assert process.exit_code == 0, process.stderr
    assert "tiny/strided" in process.stdout


def test_another_config_does_not_mix_with_finished_runs(finished):
    config, _, folder = finished
    before = folder.config.read_text()
    process = command("run", config, "--out", folder.path.parent, "--set", "training.epochs=4")
    assert process.exit_code == 2
    assert "was trained with another config" in process.stderr
    assert "training.epochs was 3, is 4" in process.stderr
    assert folder.config.read_text() == before


# Moments in the life of a study, in the order in which this config reaches them.
KILLS = [
    ("experiments.records", "append_metrics", 2),  # Epoch 2 is in the metrics, not checkpointed.
    ("experiments.checkpoint", "save", 2),  # Epoch 3 is checkpointed, the run not recorded.
    ("experiments.records", "write", 6),  # One variant's measurement is written, the other's not.
]


@pytest.mark.thorough
def test_a_study_killed_at_any_moment_ends_with_the_same_numbers(finished, tmp_path):
    config, _, whole = finished
    folder = StudyFolder(tmp_path / "tiny")
    progress = []
    for module, name, count in KILLS:
        process = python("-c", KILLER, module, name, count, "run", config, "--out", tmp_path)
        assert process.returncode == -signal.SIGKILL, process.stderr
        progress.append(len(results(folder)))
    assert progress == [0, 0, 4]
    process = command("run", config, "--out", tmp_path)
    assert process.exit_code == 0, process.stderr
    assert results(folder) == results(whole)
    assert not list(folder.path.rglob("*.tmp"))


def test_a_damaged_record_is_named(finished, tmp_path):
    config, _, _ = finished
    path = StudyFolder(tmp_path / "tiny").record("max", 0)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"variant": "max"}))
    process = command("run", config, "--out", tmp_path)
    assert process.exit_code == 2
    assert process.stderr.startswith(f"error: {path}: not a valid RunRecord")


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        (
            "variants.max.window=9",
            "variants.max: max_pool(window_shape=9) cannot pool the feature map of 8x8x4",
        ),
        ("variants.max.pool=maxpool", "did you mean 'max_pool'?"),
        ("dataset.name=digit", "did you mean 'digits'?"),
        ("dataset={name='mnist', directory='/nonexistent'}", "/nonexistent"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(tmp_path, override, complaint):
    config = write_tiny(tmp_path)
    process = command("run", config, "--out", tmp_path / "results", "--set", override)
    assert process.exit_code == 2
    assert process.stderr.startswith("error: ")
    assert complaint in process.stderr
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "results").exists()
