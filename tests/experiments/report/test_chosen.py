"""The sentences about tuning and search, from records with invented numbers."""

import pytest

from experiments.choices import Chosen, RungRecord, Score, SearchRecord, TuningRecord
from experiments.folder import StudyFolder
from experiments.records import Origin, write
from experiments.report.chosen import sentences
from experiments.report.plan import Plan
from experiments.report.summary_csv import read_csv, to_csv

ORIGIN = Origin(device="cpu", versions={}, xla_flags="", git_commit=None, plugins={})
PLAN = Plan("study", "digits", {}, (0, 1, 2), {}, {}, ())


def chosen(candidate, choice, scores=1):
    score = Score(validation_accuracy=0.9, diverged=0)
    rung = RungRecord(
        steps=10, seeds=(100,), scores={f"trial-{n}": score for n in range(1, scores + 1)}
    )
    return Chosen(
        fingerprint="ab" * 32,
        candidate=candidate,
        choice=choice,
        validation_accuracy=0.9,
        rungs=(rung,),
        run_steps=1200,
        run_seconds=12.5,
        origin=ORIGIN,
    )


def of_search(folder, rows):
    made = SearchRecord(
        mixed=chosen("a-b", {"poolings": ["a", "b"]}, 6),
        uniform=chosen("a", {"poolings": ["a", "a"]}, 3),
        run_steps=1000,
        run_seconds=3.25,
        full_run_steps=4500,
        full_run_seconds=1234.5,
    )
    write(folder.search, made)
    plan = Plan(**{**vars(PLAN), "poolings": ("a", "b", "c")})
    return " ".join(sentences(folder, plan, rows))


@pytest.mark.parametrize(
    ("mixed", "uniform", "verdict"),
    [
        (
            [952, 950, 954],
            [930, 929, 931],
            "`a-b` beats `a` (+2.20 points over 3 seeds, paired; 95",
        ),
        ([930, 929, 931], [952, 950, 954], "`a-b` does not beat `a`, but is worse (-2.20 points"),
        ([950, 930, 960], [945, 940, 950], "nothing shows that `a-b` beats `a` (+0.17 points"),
        ([950, 950, 950], [940, 940, 940], "nothing shows that `a-b` beats `a` (+1.00 points"),
        ([950], [940], "`a-b` is at +1.00 points of `a`; one seed allows no test."),
    ],
)
def test_a_search_says_whether_its_choice_beats_the_uniform_one(
    tmp_path, make_rows, mixed, uniform, verdict
):
    said = of_search(StudyFolder(tmp_path / "searched"), make_rows({"a": uniform, "a-b": mixed}))
    assert f"On the test split {verdict}" in said
    assert said.startswith(
        "Of the 6 networks that mix `a`, `b` and `c` over the stages, successive halving chose "
        "`a-b` (90.00 % on the validation split); of those that pool alike at every stage, `a` "
    )
    assert said.endswith(
        "The search took 3.2 seconds of training, compilation aside; all 9 networks with all steps "
        "and 1 seed each would have taken about 1,234 seconds (4.5 times as many steps)."
    )


def test_a_tuning_says_how_at_what_cost_and_which_choices_are_at_an_end(tmp_path, make_rows):
    folder = StudyFolder(tmp_path / "tuned")
    rate, p = "training.learning_rate", "variants.b.arguments.p"
    cells = {
        "": {
            "a": chosen("trial-3", {rate: 0.1}, 3),
            "b": chosen("trial-2", {rate: 0.01, p: 4}, 3),
        }
    }
    write(folder.tuning, TuningRecord(cells=cells))
    space = {rate: [0.001, 0.01, 0.1], p: [2, 4]}
    plan = Plan(**{**vars(PLAN), "tuning": {"method": "random", "space": space}})
    rows = make_rows({"a": [950, 951], "b": [930, 931], "c": [930, 931]})
    choices = [{rate: 0.1}, {rate: 0.01, p: 4}, {}]
    rows = [
        row.model_copy(update={"tuned": tuned}) for row, tuned in zip(rows, choices, strict=True)
    ]
    assert sentences(folder, plan, rows) == [
        "Each variant was tuned by itself for learning_rate and p, by random draws of 3 "
        "combinations and by its accuracy on the validation split. Each had 1,200 training steps "
        "for that; all together took 25 seconds of training, compilation aside. The test split "
        "was scored only then, with other seeds.",
        "`c` was not tuned and has the settings of the config.",
        "The best value was the last of those tried for `a` (learning_rate 0.1); one beyond it may "
        "be better.",
    ]


def test_choices_survive_a_csv_round_trip(tmp_path, make_rows):
    rows = make_rows({"a": [950, 951], "b": [930, 931]})
    choices = ({"training.learning_rate": 0.1, "training.optimizer": "sgd"}, {})
    tuned = [
        row.model_copy(update={"tuned": choice}) for row, choice in zip(rows, choices, strict=True)
    ]
    path = tmp_path / "summary.csv"
    path.write_text(to_csv(tuned))
    assert [row.tuned for row in read_csv(path)] == list(choices)
    path.write_text(to_csv(rows))
    assert "tuned" not in path.read_text()
    assert [row.tuned for row in read_csv(path)] == [None, None]


def test_a_study_without_tuning_or_search_has_no_note(tmp_path):
    assert sentences(StudyFolder(tmp_path), PLAN, []) == []
