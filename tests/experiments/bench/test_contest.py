import numpy as np
import pytest

from experiments.bench import contest
from experiments.bench.config import Budget
from experiments.bench.contenders import ITSELF, LeftOut, Program
from experiments.bench.judging import Verdict, judge
from experiments.bench.reference import Expected

BUDGET = Budget(seconds=0.05, samples=2, sample_ms=0.01)


def program(answer=1.0, text=None):
    return Program(lambda: answer, lambda output: (np.array(output),), text=text, compile_s=0.5)


def hold(programs, names=None):
    """A contest in which the correct result is 1."""

    def prepare(name):
        made = programs[name]
        if isinstance(made, Exception):
            raise made
        return made

    def check(_, results):
        error = abs(float(results[0]) - 1)
        return Verdict(error, f"off by {error}" if error else "")

    entered = contest.enter(names or tuple(programs), prepare, check, extra={})
    contest.race([entered], BUDGET, 0)
    return {name: standing.fields for name, standing in entered.items()}


def test_contenders_with_correct_results_are_timed():
    fields = hold({"jaxpool": program(), "lax": program()})
    assert {f["outcome"] for f in fields.values()} == {"timed"}
    assert len(fields["lax"]["timing"].samples_s) == 2
    assert fields["lax"]["compile_s"] == 0.5


def test_contenders_with_wrong_results_are_named_and_not_timed():
    fields = hold({"jaxpool": program(), "lax": program(answer=1.5)})
    assert fields["lax"] == {
        "detail": "",
        "compile_s": 0.5,
        "temp_bytes": None,
        "error": 0.5,
        "outcome": "disagrees",
        "reason": "off by 0.5",
    }


def test_a_contender_that_is_left_out_or_fails_does_not_stop_the_others(capsys):
    fields = hold(
        {"torch": LeftOut("is not installed"), "lax": OSError("no luck"), "jaxpool": program()}
    )
    assert fields["torch"] == {"outcome": "left_out", "reason": "is not installed"}
    assert fields["lax"] == {"outcome": "failed", "reason": "OSError: no luck"}
    assert fields["jaxpool"]["outcome"] == "timed"
    assert "no luck" in capsys.readouterr().err


def test_the_same_program_is_timed_once():
    fields = hold({"lax": program(text="module"), "flax": program(text="module")})
    assert (fields["flax"]["outcome"], fields["flax"]["same_as"]) == ("same", "lax")
    assert "timing" not in fields["flax"]
    assert hold({"lax": program(text="a"), "flax": program(text="b")})["flax"]["outcome"] == "timed"


def test_a_program_against_itself_has_two_entries():
    fields = hold({"jaxpool": program()}, ("jaxpool", ITSELF))
    assert len(fields[ITSELF]["timing"].samples_s) == 2
    fields = hold({"jaxpool": program(answer=2.0)}, ("jaxpool", ITSELF))
    assert fields[ITSELF]["outcome"] == "left_out"


@pytest.mark.parametrize(
    ("results", "complaint"),
    [
        ([np.ones(2, np.float64)], "the value is float64, not float32"),
        ([np.ones(3, np.float32)], "the value has shape (3,), not (2,)"),
        ([np.array([1, 1.1], np.float32)], "the value is off by 0.1 of its terms; allowed 0"),
        ([np.ones(2, np.float32)] * 2, "gave 2 results, not 1"),
    ],
)
def test_every_kind_of_wrong_result_is_detected(results, complaint):
    expected = Expected(np.ones(2), np.ones(2), 1)
    verdict = judge(tuple(results), (expected,), np.dtype(np.float32))
    assert verdict.complaint == complaint


def test_contests_of_one_race_are_timed_in_turns():
    order = []

    def entrant(number):
        def run():
            order.append(number)
            return 1.0

        return contest.enter(
            ["jaxpool"],
            lambda _: Program(run, lambda output: (np.array(output),), compile_s=0.5),
            lambda *_: Verdict(0.0, ""),
            extra={},
        )

    contests = [entrant(number) for number in range(2)]
    contest.race(contests, Budget(seconds=1, samples=8, sample_ms=0.001), 0)
    for entered in contests:
        assert len(entered["jaxpool"].fields["timing"].samples_s) == 8
    turns = [who for who, before in zip(order, [None, *order], strict=False) if who != before]
    assert len(turns) > 6


def test_a_contest_without_contenders_is_not_timed():
    entered = {"lax": contest.Standing({"outcome": "left_out"})}
    contest.race([entered], BUDGET, 0)
    assert entered["lax"].fields == {"outcome": "left_out"}
