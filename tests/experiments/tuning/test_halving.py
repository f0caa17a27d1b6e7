"""Successive halving: among candidates with given scores, and through the command line."""

import json
from itertools import pairwise
from types import SimpleNamespace

import pytest

from experiments import records
from experiments.config import load
from experiments.folder import StudyFolder
from experiments.records import Origin, RunRecord
from experiments.tuning.halving import choose, rungs
from experiments.tuning.trials import Rung
from tests.experiments.test_command_line import command
from tests.experiments.tiny import tiny_study
from tests.experiments.tuning.test_settings import SETS, SHORT, chosen, trials, write

ORIGIN = Origin(device="cpu", versions={}, xla_flags="", git_commit=None, plugins={})


class Scores:
    """Replaces `Trials`: returns given accuracies per candidate and rung."""

    def __init__(self, *rungs, diverged=()):
        self.rungs, self.diverged, self.asked = list(rungs), diverged, []

    def run(self, candidates, rung):
        scores = self.rungs[len(self.asked)]
        self.asked.append([one.name for one in candidates])
        return {
            one.name: [
                SimpleNamespace(
                    seed=seed,
                    validation_accuracy=scores[one.name],
                    diverged=one.name in self.diverged,
                    train_seconds=1.0,
                )
                for seed in rung.seeds
            ]
            for one in candidates
        }


def candidates(study, names):
    return [
        SimpleNamespace(name=name, variant="max", study=study, choice={"is": name})
        for name in names
    ]


@pytest.fixture
def study(tmp_path):
    return tiny_study(tmp_path, "training.epochs=9")


def test_a_third_of_the_candidates_goes_on_with_three_times_the_steps(study):
    names = "abcdefghi"
    first = {name: 0.1 * number for number, name in enumerate(names)}
    scores = Scores(first, {"i": 0.2, "h": 0.9, "g": 0.5})
    chosen = choose(candidates(study, names), rungs(9, 3, (7, 8)), 3, scores, ORIGIN)
    assert scores.asked == [list(names), ["i", "h", "g"]]
    assert [(rung.steps, rung.seeds) for rung in chosen.rungs] == [(18, (7,)), (54, (7, 8))]
    assert (chosen.candidate, chosen.choice) == ("h", {"is": "h"})
    assert chosen.validation_accuracy == pytest.approx(0.9)
    assert chosen.run_steps == 9 * 18 + 3 * 2 * 54
    assert chosen.run_seconds == 9 + 3 * 2


def test_ties_go_to_the_first_candidate_and_diverged_ones_are_never_chosen(study):
    every = candidates(study, "abc")
    equal = {"a": 0.5, "b": 0.7, "c": 0.7}
    assert choose(every, [Rung(1, (7,))], 3, Scores(equal), ORIGIN).candidate == "b"
    lost = choose(every, [Rung(1, (7,))], 3, Scores(equal, diverged="bc"), ORIGIN)
    assert lost.candidate == "a"


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_last_rung_has_all_steps_all_seeds_and_at_most_factor_candidates(factor):
    for count in range(1, 70):
        every = rungs(count, factor, (7, 8, 9))
        assert every[-1] == Rung(1, (7, 8, 9))
        assert every[0].seeds
        left = count
        for rung, following in pairwise(every):
            assert following.share == pytest.approx(rung.share * factor)
            assert left > factor
            left = -(-left // factor)
        assert left <= factor


@pytest.mark.thorough
def test_halving_gives_the_best_half_twice_the_steps_and_more_seeds(tmp_path):
    text = """
[tuning]
method = "halving"
factor = 2
trials = 4
seeds = [100, 101]

[tuning.space]
"training.learning_rate" = { low = 1e-4, high = 1e-1, log = true }
"variants.max.window" = [2, 3]
"""
    config = write(tmp_path, text)
    process = command("run", config, "--out", tmp_path, *SETS)
    assert process.exit_code == 0, process.stderr
    folder = StudyFolder(tmp_path / "tiny")
    made, scores = chosen(folder)["cells"][""], {}
    for path, trial in trials(folder).items():
        _, variant, name, epochs, _ = path.split("/")
        scores.setdefault((variant, epochs), {}).setdefault(name, {})[trial["seed"]] = trial[
            "validation_accuracy"
        ]
    for variant in ("max", "strided"):
        first, last = scores[variant, "epochs-1"], scores[variant, "epochs-2"]
        assert {name: list(found) for name, found in first.items()} == {
            f"trial-{number}": [100] for number in (1, 2, 3, 4)
        }
        better = sorted(sorted(first), key=lambda name: first[name][100], reverse=True)[:2]
        assert {name: sorted(found) for name, found in last.items()} == {
            name: [100, 101] for name in better
        }
        best = max(better, key=lambda name: sum(last[name].values()))
        assert made[variant]["candidate"] == best
        assert made[variant]["run_steps"] == 4 * 3 + 2 * 2 * 6
    rates = {
        variant: [
            json.loads(path.read_text())["choice"]["training.learning_rate"]
            for path in sorted(folder.path.glob(f"tuning/{variant}/*/epochs-1/seed-100/trial.json"))
        ]
        for variant in ("max", "strided")
    }
    assert rates["max"] == rates["strided"]
    assert "variants.max.window" not in made["strided"]["choice"]
    study = load(config, SHORT).with_choices({"max": made["max"]["choice"]})
    record = records.read(folder.record("max", 0), RunRecord)
    assert record.fingerprint == study.fingerprint("max")
    assert study.of("max").variants["max"].window == made["max"]["choice"]["variants.max.window"]
