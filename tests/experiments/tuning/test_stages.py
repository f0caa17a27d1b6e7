"""A study with [search], through the command line."""

import csv
import json
import shutil

import pytest
from rich.console import Console

from experiments import environment, records, statistics, tuning
from experiments.config import load
from experiments.folder import StudyFolder
from experiments.records import RecordError, RunRecord
from tests.experiments.test_command_line import command
from tests.experiments.tiny import TINY

pytestmark = pytest.mark.thorough

SEARCH = """
[search]
poolings = ["max", "strided"]
seeds = [100, 101]
factor = 2
"""
STAGES = {
    "max": ["max", "max"],
    "strided": ["strided", "strided"],
    "max-strided": ["max", "strided"],
    "strided-max": ["strided", "max"],
}
KINDS = {"uniform": ["max", "strided"], "mixed": ["max-strided", "strided-max"]}
NETWORKS = [*STAGES]
SHORT = ["model.widths=[2, 2]", "training.epochs=2", "dataset.validation=0.5"]
SETS = [word for change in SHORT for word in ("--set", change)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A search, run once: its config, its folder and its output."""
    base = tmp_path_factory.mktemp("searched")
    config = base / "tiny.toml"
    config.write_text(TINY + SEARCH)
    process = command("run", config, "--out", base, *SETS)
    assert process.exit_code == 0, process.stderr
    return config, StudyFolder(base / "tiny"), process.stdout


def trials(folder):
    """Every finished trial as plain JSON, by epochs, network and seed."""
    found = {}
    for path in folder.path.glob("search/*/epochs-*/seed-*/trial.json"):
        network, epochs, _, _ = path.relative_to(folder.path / "search").parts
        trial = json.loads(path.read_text())
        assert trial["variant"] == trial["candidate"] == network
        found[int(epochs.removeprefix("epochs-")), network, trial["seed"]] = trial
    return found


def best(found, epochs, networks):
    """The networks by mean validation accuracy, the best first; of equals, the first."""

    def mean(network):
        scores = [
            trial["validation_accuracy"]
            for key, trial in found.items()
            if key[:2] == (epochs, network)
        ]
        return sum(scores) / len(scores)

    return sorted(networks, key=mean, reverse=True)


def test_half_of_a_rung_goes_on_and_the_best_of_the_last_is_chosen(finished):
    _, folder, _ = finished
    found, made = trials(folder), json.loads(folder.search.read_text())
    # Two candidates of each kind, so there is one rung, with all epochs and all seeds.
    assert set(found) == {(2, network, seed) for network in NETWORKS for seed in (100, 101)}
    for kind, networks in KINDS.items():
        (rung,) = made[kind]["rungs"]
        assert list(rung["scores"]) == networks
        winner = best(found, 2, networks)[0]
        assert made[kind]["candidate"] == winner
        assert made[kind]["choice"] == {"poolings": STAGES[winner]}
    assert made["run_steps"] == 3 * sum(epochs for epochs, _, _ in found)
    assert made["run_seconds"] == pytest.approx(sum(t["train_seconds"] for t in found.values()))
    assert made["full_run_steps"] == 4 * 2 * 6
    text = folder.search.read_text() + "".join(map(json.dumps, found.values()))
    assert "test" not in text


def test_the_finalists_are_trained_on_fresh_seeds_and_compared(finished):
    _, folder, printed = finished
    made = json.loads(folder.search.read_text())
    names = [made[one]["candidate"] for one in ("uniform", "mixed")]
    assert sorted(folder.variants()) == sorted(names)
    with folder.summary_csv.open() as file:
        assert [row["variant"] for row in csv.DictReader(file)] == names
    uniform, mixed = (
        {seed: records.read(folder.record(name, seed), RunRecord).test_accuracy for seed in (0, 7)}
        for name in names
    )
    d = statistics.paired_difference(mixed, uniform)
    page = folder.summary_md.read_text()
    for text in (page.replace("\\", ""), " ".join(printed.split())):
        assert "Of the 2 networks that mix `max` and `strided` over the stages" in text
        assert f"successive halving chose `{names[1]}` (" in text
        assert f"of those that pool alike at every stage, `{names[0]}` (" in text
        assert f"`{names[1]}`" in text
        assert f"{100 * d.mean:+.2f} points over 2 seeds, paired" in text
    assert command("compare", folder.path).exit_code == 0


def test_a_finished_search_is_shown_again_and_kept(finished, tmp_path):
    config, folder, printed = finished
    kept = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*.json")}
    process = command("run", config, "--out", folder.path.parent, *SETS)
    assert process.exit_code == 0, process.stderr
    assert kept == {path: path.stat().st_mtime_ns for path in folder.path.rglob("*.json")}
    assert process.stdout == printed[printed.index("tiny\n") :]


def test_a_search_resumes_and_refuses_another_config(finished, tmp_path):
    config, whole, _ = finished
    folder = StudyFolder(tmp_path / "tiny")
    shutil.copytree(whole.path, folder.path)

    def chooser(*changes):
        study = load(config, [*SHORT, *changes])
        origin = environment.capture().origin
        return tuning.chooser(
            study,
            {"": study},
            folder,
            lambda cell: cell.dataset.limited(),
            origin,
            Console(quiet=True),
        )

    def refusal(*changes):
        with pytest.raises(RecordError) as caught:
            chooser(*changes).recalled()
        return str(caught.value)

    other = "training.learning_rate=1"
    assert refusal(other).startswith(f"{folder.search}: was made with another config.")
    folder.search.unlink()
    assert "has finished runs, but search.json lacks the settings" in refusal()
    shutil.rmtree(folder.runs)
    assert "trial.json: was made with another config" in refusal(other)
    assert "training.learning_rate was 0.01, is 1" in refusal(other)
    lost = folder.path / "search/strided/epochs-2/seed-101"
    shutil.rmtree(lost)
    again = chooser()
    assert again.recalled() is None
    studies = again.choose()
    assert lost.is_dir()
    made, before = (json.loads(f.search.read_text()) for f in (folder, whole))
    for which in ("mixed", "uniform"):
        assert made[which]["candidate"] == before[which]["candidate"]
        assert made[which]["rungs"] == before[which]["rungs"]
    assert chooser().recalled() == studies


def test_a_network_that_cannot_pool_is_refused_before_anything_is_written(tmp_path):
    config = tmp_path / "tiny.toml"
    config.write_text(TINY + SEARCH)
    big = ["--set", "variants.max.window=5"]
    process = command("run", config, "--out", tmp_path / "results", *SETS, *big)
    assert process.exit_code == 2
    assert "cannot pool the feature map" in process.stderr
    assert not (tmp_path / "results").exists()
