import json
import shutil

import pytest

from experiments import choose, compare, merge, records
from experiments.folder import StudyFolder
from experiments.records import EpochMetrics, RecordError
from experiments.report import summarise
from experiments.report.plan import read_plan
from tests.experiments.conftest import write_summary
from tests.experiments.test_command_line import command

FIRST = {"max": {0: 950, 1: 953}, "avg": {0: 940, 1: 945}}
SECOND = {"max": {2: 951, 3: 954, 4: 952}, "avg": {2: 941, 3: 940, 4: 943}}


@pytest.fixture
def parts(make_study):
    paths = make_study("a/study", FIRST), make_study("b/study", SECOND)
    for path in paths:
        study = StudyFolder(path)
        epoch = EpochMetrics(
            epoch=1, step=10, train_loss=0.5, learning_rate=0.1, seconds=1.5, examples_per_s=100.0
        )
        for variant in FIRST:
            for seed in study.seeds(variant):
                records.append_metrics(study.metrics(variant, seed), epoch)
        write_summary(path)
    return paths


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_seeds_of_two_folders_become_one_normal_results_folder(parts, tmp_path, make_study):
    rows, notes = merge.merge(parts, out := tmp_path / "merged")
    assert notes == []
    whole = make_study("whole", {v: FIRST[v] | SECOND[v] for v in FIRST})
    expected = summarise(whole)
    assert [row.model_dump() for row in rows] == [row.model_dump() for row in expected]
    assert read_plan(StudyFolder(out)).seeds == (0, 1, 2, 3, 4)
    for name in ("summary.csv", "environment.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert len((out / "epochs.csv").read_text().splitlines()) == 1 + 2 * 5
    assert [path.name for path in out.parent.glob(".merged*")] == []
    assert summarise(out) == rows


def test_the_same_run_in_two_folders_counts_once(parts, tmp_path):
    one, _ = parts
    shutil.copytree(one, copy := tmp_path / "copy")
    study = StudyFolder(copy)
    change(study.record("max", 0), train_seconds=99.0)  # times may differ
    rows, _ = merge.merge([*parts, copy], tmp_path / "merged")
    assert [row.seeds for row in rows] == [5, 5]
    change(study.record("avg", 1), test_correct=900, test_accuracy=0.9)
    with pytest.raises(RecordError) as caught:
        merge.merge([*parts, copy], tmp_path / "again")
    said = str(caught.value)
    assert said.startswith(f"{study.record('avg', 1)}: differs from the same run in {one}")
    assert "test_accuracy 0.945 against 0.9; test_correct 945 against 900" in said
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"epochs": 5}, "training.epochs 2 against 5"),
        ({"dataset": "mnist"}, "dataset.name digits against mnist"),
    ],
)
def test_another_config_or_dataset_is_refused(parts, make_study, tmp_path, options, complaint):
    other = make_study("other", SECOND, **options)
    with pytest.raises(
        RecordError, match=f"other: is not of the same study as .*study: {complaint}"
    ):
        merge.merge([parts[0], other], tmp_path / "merged")


def test_another_plug_in_is_refused_by_the_fingerprint(parts, tmp_path):
    for seed in SECOND["avg"]:
        change(StudyFolder(parts[1]).record("avg", seed), fingerprint="cd" * 32)
    with pytest.raises(
        RecordError, match=r"avg/seed-2.*was trained with another config or plug-in"
    ):
        merge.merge(parts, tmp_path / "merged")


def test_what_cannot_be_merged_is_refused_before_anything_is_written(parts, tmp_path):
    one, other = parts
    with pytest.raises(RecordError, match="1 folder given; merge needs two or more"):
        merge.merge([one], tmp_path / "merged")
    with pytest.raises(RecordError, match="given more than once"):
        merge.merge([one, one], tmp_path / "merged")
    with pytest.raises(RecordError, match=f"--out {other}: already exists"):
        merge.merge(parts, other)
    StudyFolder(other).record("max", 3).unlink()
    with pytest.raises(RecordError, match="variant max has no finished run for seed 3"):
        merge.merge(parts, tmp_path / "merged")
    shutil.rmtree(other / "runs")
    with pytest.raises(RecordError, match=r"has no runs \(published results have none\)"):
        merge.merge(parts, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_other_environments_are_merged_and_said(make_study, tmp_path):
    one = make_study("one", FIRST)
    other = make_study("two", SECOND, versions={"python": "3.13.0", "jax": "0.12.0"})
    _, (note,) = merge.merge([one, other], tmp_path / "merged")
    assert "were made in different environments" in note
    assert "'jax': '0.10.2'" in note


def test_the_command_merges_and_shows_the_table(parts, tmp_path):
    process = command("merge", *parts, "--out", tmp_path / "merged")
    assert process.exit_code == 0, process.stderr
    assert "with 5 seeds" in process.stdout or "p < 0.001" in process.stdout
    assert process.stdout.rstrip().endswith(f"results: {tmp_path / 'merged'}")


def test_compare_and_choose_merge_parts_by_themselves(parts):
    for part in parts:
        shutil.rmtree(part / "runs")  # published folders have no runs
    result = compare.compare(parts)
    (contrast,) = result.contrasts
    assert contrast.difference.n == 5
    assert [entry.row.seeds for entry in result.entries] == [5, 5]
    assert (
        "a/study and b/study are one study with different seeds and count as one"
        in (result.notes[0])
    )
    found = choose.choose(parts, {"memory_mb": 100})
    assert [candidate.entry.row.seeds for candidate in found.candidates] == [5, 5]


def test_parts_of_different_machines_are_not_merged_by_compare(make_study):
    paths = [make_study("one", FIRST), make_study("two", SECOND, xla_flags="--xla_some=1")]
    for path in paths:
        write_summary(path)
    assert len(compare.compare(paths).entries) == 4
