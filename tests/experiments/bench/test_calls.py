"""Operators timed against max pooling: all are included, and wrong results are not timed."""

from pathlib import Path

import jax
import numpy as np
import pytest

import jaxpool
from experiments.bench import worker
from experiments.bench.calls import Calls, Trial, draws
from experiments.bench.calls.examples import EXAMPLES
from experiments.bench.config import Bench, Budget
from experiments.bench.contenders import ITSELF, YARDSTICK, Operands
from experiments.bench.records import COPY
from experiments.config import ConfigError, load

BENCH = Path(__file__).parents[3] / "configs" / "bench" / "operators.toml"
TINY = {"name": "k2", "shape": (1, 8, 8, 16), "window": 2, "strides": 2}


def call(operator, **changes):
    (one,) = Calls(**{**TINY, "operators": (operator,), **changes}).each
    return one


@pytest.fixture(autouse=True)
def _shared_caches(monkeypatch):
    monkeypatch.setattr(jax, "clear_caches", lambda: None)


def test_every_public_operator_is_timed():
    assert {name.partition(".")[0] for name in EXAMPLES} == {*jaxpool.pooling.__all__}
    timed = {call.operator for call in load(BENCH, (), Bench).problems}
    assert timed == set(EXAMPLES)


@pytest.mark.parametrize("operator", EXAMPLES)
def test_every_example_can_be_called(operator):
    one = call(operator)
    x, (y, *_) = one.shapes("float32")
    assert one.describe().startswith(f"{operator.partition('.')[0]} {'x'.join(map(str, x.shape))} ")
    assert one.traffic_bytes("float32", "forward") >= 4 * (x.size + y.size)
    windowed = not operator.startswith(("global", "spatial", "roi", "ps_roi", "max_unpool"))
    assert y.shape == (1, 4, 4, 16) or not windowed


@pytest.mark.parametrize("operator", ["gated_pool", "stochastic_pool"])
def test_correct_results_pass(operator):
    trial = Trial.draw(call(operator), "gradient", 0)
    program = trial.prepare()
    assert trial.check(program.fetch(program.run())).complaint == ""


def test_wrong_results_fail():
    trial = Trial.draw(call("max_pool_with_argmax"), "forward", 0)
    program = trial.prepare()
    value, index = program.fetch(program.run())
    assert trial.check((value, index)).complaint == ""
    assert "a further result is off by 1" in trial.check((value, index + 1)).complaint
    assert (
        "a further result is int64, not int32"
        in trial.check((value, index.astype(np.int64))).complaint
    )
    assert "the value is off" in trial.check((value * np.float32(1.001), index)).complaint
    assert "gave 1 results, not 2" in trial.check((value,)).complaint


class TestDraws:
    """Random draws by NumPy, correct and wrong ones."""

    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 16, 16, 8), np.float32)
    dy = rng.standard_normal((4, 8, 8, 8), np.float32)

    def drawn(self, chances):
        """Values, and the derivative that the drawn elements take."""
        blocks = self.x.reshape(4, 8, 2, 8, 2, 8).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 4)
        share = chances(blocks.astype(np.float64))
        upto = np.cumsum(share / share.sum(-1, keepdims=True), -1)
        number = (self.rng.random((len(blocks), 1)) > upto).sum(-1)
        values = blocks[np.arange(len(blocks)), number]
        taken = np.zeros_like(blocks)
        taken[np.arange(len(blocks)), number] = self.dy.ravel()
        dx = taken.reshape(4, 8, 8, 8, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(self.x.shape)
        return values.reshape(self.dy.shape), dx

    def complaint(self, *results):
        return draws.check(Operands("gradient", self.x, self.dy, self.x), results, 2, 2).complaint

    @staticmethod
    def by_value(blocks):
        positive = np.maximum(blocks, 0)
        return np.where(positive.sum(-1, keepdims=True) > 0, positive, 1)

    def test_draws_by_value_pass(self):
        assert self.complaint(*self.drawn(self.by_value)) == ""

    def test_draws_from_another_distribution_are_detected(self):
        squares = self.drawn(lambda blocks: self.by_value(blocks) ** 2)
        assert "standard errors off" in self.complaint(*squares)
        uniform = self.drawn(np.ones_like)
        assert "has probability 0" in self.complaint(*uniform)

    def test_a_value_outside_the_window_is_detected(self):
        values, dx = self.drawn(self.by_value)
        assert "not in the window" in self.complaint(values + np.float32(1e-3), dx)
        assert "shape" in self.complaint(values[:, :4], dx)

    def test_a_derivative_at_the_wrong_element_is_detected(self):
        values, dx = self.drawn(self.by_value)
        assert "the derivative is off" in self.complaint(values, np.roll(dx, 1, 1))


def test_a_contest_has_the_operator_its_double_and_max_pooling(tmp_path):
    def records(operator):
        job = worker.Job(
            problems=(call(operator),),
            dtype="float32",
            modes=("forward",),
            contenders=("jaxpool", ITSELF, YARDSTICK, "torch"),
            allocator="default",
            group="g",
            budget=Budget(seconds=0.02, samples=2, sample_ms=0.01),
            busy_cores=None,
            output=tmp_path / "records.jsonl",
        )
        return {
            r.contender: r
            for r in worker.run(worker.Job.model_validate_json(job.model_dump_json()))
        }

    average = records("avg_pool")
    assert {name: r.outcome for name, r in average.items()} == {
        "jaxpool": "timed",
        ITSELF: "timed",
        YARDSTICK: "timed",
        "torch": "left_out",
        COPY: "timed",
    }
    assert average["jaxpool"].case == "avg_pool-k2"
    assert average["jaxpool"].description == "avg_pool 1x8x8x16 k2 s2"
    assert average[COPY].traffic_bytes == 2 * 4 * 8 * 8 * 16
    largest = records("max_pool")
    assert (largest[YARDSTICK].outcome, largest[YARDSTICK].same_as) == ("same", "jaxpool")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('operators = ["max_pol"]', "unknown 'max_pol'; did you mean 'max_pool'?"),
        ("shape = [1, 4, 8, 16]", "must have room for two windows and 5 elements"),
        ("windw = 2", "unknown key; did you mean 'window'?"),
    ],
)
def test_calls_that_make_no_sense_are_refused(tmp_path, change, message):
    lines = {
        "name": 'name = "k2"',
        "shape": "shape = [1, 8, 8, 16]",
        "window": "window = 2",
        "strides": "strides = 2",
        "operators": 'operators = ["max_pool"]',
    }
    lines[change.partition(" ")[0]] = change
    file = tmp_path / "x.toml"
    file.write_text(
        'title = "x"\ncontenders = ["jaxpool"]\n[[calls]]\n' + "\n".join(lines.values())
    )
    with pytest.raises(ConfigError) as error:
        load(file, (), Bench)
    assert message in str(error.value)
