"""The training step: the NumPy reference against finite differences, libraries against it."""

import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

from experiments.bench import network
from experiments.bench.contenders import LIBRARIES, LeftOut
from experiments.bench.network import Network, TrainingProblem
from experiments.bench.network.problem import FirstStep


@pytest.fixture(scope="module")
def training():
    tiny = Network(name="n", batch=4, image=(9, 8, 1), widths=(3, 2), classes=5)
    return TrainingProblem.draw(tiny, seed=0)


def test_the_reference_s_update_follows_the_loss_downhill(training):
    step = FirstStep.of(training)
    rng = np.random.default_rng(1)
    for index, parameter in enumerate(training.parameters):
        direction = rng.standard_normal(parameter.shape)

        def loss(distance, index=index, parameter=parameter, direction=direction):
            moved = list(training.parameters)
            moved[index] = parameter + distance * direction
            return FirstStep.of(replace(training, parameters=tuple(moved))).loss

        slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
        expected = -np.sum(step.updates[index] * direction) / training.network.learning_rate
        assert slope == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", ["jaxpool", "flax", "torch"])
def test_every_library_takes_the_same_first_step(name, training, monkeypatch):
    pytest.importorskip(LIBRARIES[name])
    monkeypatch.setattr(jax, "clear_caches", lambda: None)
    step = FirstStep.of(training)
    program = network.prepare(name, training)
    first = program.fetch(program.run())
    assert step.error(first) < step.tolerance
    second = program.fetch(program.run())  # momentum takes it on
    assert step.error(second) > 0.1
    assert float(second[0]) < float(first[0])


def test_another_interpreter_trains_where_a_library_is_not_installed(training, monkeypatch):
    monkeypatch.setitem(LIBRARIES, "flax", "a_flax_that_is_not_there")
    with pytest.raises(LeftOut, match="a_flax_that_is_not_there is not installed"):
        network.prepare("flax", training)
    program = network.prepare("flax", training, sys.executable)
    step = FirstStep.of(training)
    assert step.error(program.fetch(program.run())) < step.tolerance


def test_a_wrong_training_step_is_detected(training):
    step = FirstStep.of(training)
    moved = [p + u for p, u in zip(training.parameters, step.updates, strict=True)]
    right = (np.array(step.loss), *moved)
    assert step.error(right) < 1e-6
    assert step.error((right[0], moved[0] * np.float32(1.01), *right[2:])) > step.tolerance
    assert step.error((np.array(np.nan), *moved)) == float("inf")


def test_libraries_without_a_network_are_left_out(training):
    with pytest.raises(LeftOut, match="trains no network here"):
        network.prepare("lax", training)


def test_a_network_whose_map_vanishes_is_refused():
    with pytest.raises(ValueError, match="4 poolings leave nothing of"):
        Network(name="n", batch=1, image=(8, 8, 1), widths=(1, 1, 1, 1), classes=2)
