"""Successive halving among candidates with given scores."""

from itertools import pairwise
from types import SimpleNamespace

import pytest

from experiments.records import Origin
from experiments.tuning.halving import choose, rungs
from experiments.tuning.trials import Rung
from tests.experiments.tiny import tiny_study

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
