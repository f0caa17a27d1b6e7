"""Studies with [tuning], through the command line."""

import csv
import io
import json
import shutil
import signal

import pytest
from rich.console import Console

from experiments import environment, executor, records, tuning
from experiments.config import load
from experiments.folder import StudyFolder
from experiments.records import RunRecord
from experiments.training import Trainer
from tests.experiments.test_command_line import KILLER, command, python, results
from tests.experiments.tiny import TINY

TUNING = """
[tuning]
seeds = [100, 101]
exclude = ["strided"]

[tuning.space]
"training.learning_rate" = [1e-4, 3e-2]
"""
SHORT = ["model.widths=[2]", "training.epochs=2", "dataset.validation=0.5"]
SHORT += ["training.schedule=constant", "training.warmup_epochs=0"]
SETS = [word for change in SHORT for word in ("--set", change)]


def write(folder, text=TUNING):
    path = folder / "tiny.toml"
    path.write_text(TINY + text)
    return path


def trials(folder):
    """Every finished trial as plain JSON by folder, without times."""
    found = {}
    for path in sorted(folder.path.glob("tuning/**/trial.json")):
        found[str(path.parent.relative_to(folder.path))] = json.loads(path.read_text())
    for trial in found.values():
        trial.pop("train_seconds")
    return found


def chosen(folder):
    """tuning.json without times."""
    found = json.loads(folder.tuning.read_text())
    for made in found["cells"].values():
        for one in made.values():
            one.pop("run_seconds")
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tuned study, run once: its config, folder, output, scored splits and compilations."""
    base = tmp_path_factory.mktemp("tuned")
    config, folder = write(base), StudyFolder(base / "tiny")
    scored, compiled = [], []
    original, compile_network = Trainer._scores, executor.compile_network

    def spy(self, state, size, split):
        scored.append((len(split[1]), folder.tuning.exists()))
        return original(self, state, size, split)

    def counted(lowered, purpose):
        compiled.append((purpose, folder.tuning.exists()))
        return compile_network(lowered, purpose)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_scores", spy)
        patch.setattr(executor, "compile_network", counted)
        process = command("run", config, "--out", base, *SETS)
    assert process.exit_code == 0, process.stderr
    return config, folder, process.stdout, scored, compiled


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of that study to change, and a function that runs it again."""
    config, folder, *_ = finished
    shutil.copytree(folder.path, tmp_path / "tiny")

    def again(*changes, file=config):
        return command("run", file, "--out", tmp_path, *SETS, *changes)

    return StudyFolder(tmp_path / "tiny"), again


def test_each_variant_has_what_was_best_on_the_validation_split(finished):
    config, folder, *_ = finished
    means = {}
    for trial in trials(folder).values():
        assert trial["variant"] == "max"
        rate = trial["choice"]["training.learning_rate"]
        means.setdefault(rate, {})[trial["seed"]] = trial["validation_accuracy"]
    assert {rate: sorted(scores) for rate, scores in means.items()} == {
        1e-4: [100, 101],
        3e-2: [100, 101],
    }
    best = max(means, key=lambda rate: sum(means[rate].values()))
    one = chosen(folder)["cells"][""]["max"]
    assert one["choice"] == {"training.learning_rate": best}
    assert one["validation_accuracy"] == pytest.approx(sum(means[best].values()) / 2)
    assert one["run_steps"] == 2 * 2 * 2 * 3  # combinations, seeds, epochs, steps of 16 of 48
    for variant, rate in (("max", best), ("strided", 1e-2)):
        for seed in (0, 7):
            lines = records.read_metrics(folder.metrics(variant, seed))
            assert [line.learning_rate for line in lines] == pytest.approx([rate, rate])
            record = records.read(folder.record(variant, seed), RunRecord)
            plain = load(config, [*SHORT, f"training.learning_rate={rate}"])
            assert record.fingerprint == plain.fingerprint(variant)


def test_trials_neither_score_the_test_split_nor_record_it(finished):
    _, folder, _, scored, _ = finished
    before = [size for size, tuned in scored if not tuned]
    after = [size for size, tuned in scored if tuned]
    assert set(before) == {48}
    assert sorted(after) == [48] * 8 + [50] * 4
    files = [path for path in folder.path.glob("tuning/**/*") if path.suffix.startswith(".json")]
    assert len(files) == 2 * 4
    assert not any("test" in path.read_text() for path in [*files, folder.tuning])


def test_trials_that_differ_in_numbers_only_share_their_programs(finished):
    *_, compiled = finished
    assert [purpose for purpose, tuned in compiled if not tuned] == ["training", "inference"]


def test_tables_show_what_was_chosen_and_who_was_not_tuned(finished):
    _, folder, printed, *_ = finished
    rate = chosen(folder)["cells"][""]["max"]["choice"]["training.learning_rate"]
    with folder.summary_csv.open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert json.loads(rows["max"]["tuned"]) == {"training.learning_rate": rate}
    assert json.loads(rows["strided"]["tuned"]) == {}
    page = folder.summary_md.read_text()
    assert "| variant | tuned (learning\\_rate) |" in page
    assert f"| `max` | {rate:g} |" in page
    assert "| `strided` | untuned |" in page
    for text in (page, " ".join(printed.split())):
        text = text.replace("\\", "")
        assert "Each variant was tuned by itself for learning_rate, by a grid of 2" in text
        assert "Each had 24 training steps for that" in text
        assert "`strided` was not tuned and has the settings of the config." in text
        assert "same settings" not in text
    assert f"max: chose training.learning_rate={rate}" in printed


def test_a_finished_study_needs_no_trials_any_more(finished, copied):
    _, _, printed, *_ = finished
    folder, again = copied
    shutil.rmtree(folder.path / "tuning")
    kept = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*.json")}
    process = again()
    assert process.exit_code == 0, process.stderr
    assert kept == {path: path.stat().st_mtime_ns for path in folder.path.rglob("*.json")}
    tables = [text[text.index("tiny\n") :].splitlines()[:-1] for text in (printed, process.stdout)]
    assert tables[0] == tables[1]
    assert command("compare", folder.path).exit_code == 0


def test_another_space_does_not_mix_with_finished_trials(copied, tmp_path):
    folder, again = copied
    other = write(tmp_path, TUNING.replace("3e-2", "2e-2"))
    before = folder.config.read_text()
    process = again(file=other)
    assert process.exit_code == 2
    assert process.stderr.startswith(f"error: {folder.tuning}: was made with another config.")
    assert "tuning.space.training.learning_rate was [0.0001, 0.03], is [0.0001, 0.02]" in (
        process.stderr
    )
    assert folder.config.read_text() == before
    # Also if there are only trials, finished or begun.
    shutil.rmtree(folder.runs)
    folder.tuning.unlink()
    trial = folder.path / "tuning/max/trial-2/epochs-2/seed-100"
    for name in ("trial.json", "checkpoint.npz"):
        process = again(file=other)
        assert process.exit_code == 2
        assert process.stderr.startswith(f"error: {trial / name}: was made with another config.")
        for path in folder.path.glob("tuning/**/trial.json"):
            path.unlink()


def test_final_runs_without_a_recorded_choice_are_refused(copied):
    folder, again = copied
    folder.tuning.unlink()
    process = again()
    assert process.exit_code == 2
    assert process.stderr.startswith(
        f"error: {folder.variant('max')}: has finished runs, but tuning"
    )


def test_choices_and_trials_that_are_damaged_or_foreign_are_named(copied):
    folder, again = copied
    whole = folder.tuning.read_text()
    folder.tuning.write_text("{}")
    process = again()
    assert process.exit_code == 2
    assert process.stderr.startswith(f"error: {folder.tuning}: not a valid TuningRecord")
    other = json.loads(whole)
    other["cells"][""]["max"]["origin"]["versions"]["jax"] = "0.0.1"
    folder.tuning.write_text(json.dumps(other))
    assert again().exit_code == 0  # it is finished, so nothing would be mixed
    folder.record("max", 7).unlink()
    process = again()
    assert process.exit_code == 2
    assert process.stderr.startswith(f"error: {folder.tuning}: was made in another environment")
    folder.tuning.unlink()
    shutil.rmtree(folder.runs)
    trial = folder.path / "tuning/max/trial-1/epochs-2/seed-100/trial.json"
    trial.write_bytes((trial.parents[1] / "seed-101/trial.json").read_bytes())
    process = again()
    assert process.exit_code == 2
    assert process.stderr.startswith(
        f"error: {trial}: does not belong here: it is of variant max, seed 101"
    )


def test_a_tuning_that_was_interrupted_ends_with_the_same_choice(finished, tmp_path):
    config, whole, *_ = finished
    study, folder = load(config, SHORT), StudyFolder(tmp_path / "tiny")

    def chooser(console):
        origin = environment.capture().origin
        return tuning.chooser(
            study, study.cells(), folder, lambda cell: cell.dataset.limited(), origin, console
        )

    # The first combination is finished. Of the second, one seed has a checkpoint, another nothing.
    shutil.copytree(whole.path / "tuning/max", folder.path / "tuning/max")
    for seed in (100, 101):
        (folder.path / f"tuning/max/trial-2/epochs-2/seed-{seed}/trial.json").unlink()
    shutil.rmtree(folder.path / "tuning/max/trial-2/epochs-2/seed-101")
    shown = io.StringIO()
    one = chooser(Console(file=shown))
    assert one.recalled() is None
    studies = one.choose()
    assert "training 2 runs, 4 epochs in all" in shown.getvalue()
    assert trials(folder) == trials(whole)
    assert chosen(folder) == chosen(whole)
    again = chooser(Console(file=shown))
    assert again.recalled() == studies
    choice = chosen(folder)["cells"][""]["max"]["choice"]
    assert studies[""].of("max").training.learning_rate == choice["training.learning_rate"]


KILLS = [
    ("experiments.records", "append_metrics", 3),  # A trial's second epoch is not checkpointed.
    ("experiments.checkpoint", "save", 5),  # A trial has ended and is not recorded.
    ("experiments.records", "write", 2),  # A trial is recorded, the next one not begun.
    ("experiments.tuning.settings", "choose", 1),  # A choice is made and not recorded.
]


@pytest.mark.thorough
def test_a_tuning_killed_at_any_moment_ends_with_the_same_numbers(tmp_path):
    config, folder = write(tmp_path), StudyFolder(tmp_path / "broken" / "tiny")
    for module, name, count in KILLS:
        process = python(
            "-c", KILLER, module, name, count, "run", config, "--out", tmp_path / "broken", *SETS
        )
        assert process.returncode == -signal.SIGKILL, process.stderr
    for out in ("broken", "whole"):
        process = python("-m", "experiments", "run", config, "--out", tmp_path / out, *SETS)
        assert process.returncode == 0, process.stderr
    whole = StudyFolder(tmp_path / "whole" / "tiny")
    assert trials(folder) == trials(whole)
    assert chosen(folder) == chosen(whole)
    assert results(folder) == results(whole)
    assert not list(folder.path.rglob("*.tmp"))


@pytest.mark.thorough
def test_every_cell_of_a_sweep_chooses_for_itself(tmp_path):
    sweep = ["--set", "sweep={'dataset.train_limit'=[64, 96]}"]
    process = command("run", write(tmp_path), "--out", tmp_path, *SETS, *sweep)
    assert process.exit_code == 0, process.stderr
    folder = StudyFolder(tmp_path / "tiny")
    cells = ["dataset.train_limit=64", "dataset.train_limit=96"]
    made = chosen(folder)["cells"]
    assert list(made) == cells
    assert made[cells[0]]["max"]["fingerprint"] != made[cells[1]]["max"]["fingerprint"]
    assert {path.split("/")[1] for path in trials(folder)} == set(cells)
    with folder.summary_csv.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        cell = f"dataset.train_limit={row['dataset.train_limit']}"
        expected = made[cell]["max"]["choice"] if row["variant"] == "max" else {}
        assert json.loads(row["tuned"]) == expected
