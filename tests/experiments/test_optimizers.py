import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config import Training
from experiments.optimizers import build_optimizer, learning_rate, program_fingerprint
from tests.experiments.tiny import tiny_study


def training(**changes):
    values = {"epochs": 10, "batch_size": 4, "seeds": (0,), "learning_rate": 0.5}
    return Training(**{**values, **changes})


def test_cosine_with_warmup_rises_to_its_peak_and_falls_to_zero():
    schedule = learning_rate(training(warmup_epochs=2), steps=5)
    rates = [float(schedule(step)) for step in range(51)]
    np.testing.assert_allclose(rates[:11], np.linspace(0, 0.5, 11), atol=1e-6)
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(41) / 40))
    np.testing.assert_allclose(rates[10:], expected, atol=1e-6)


def test_a_constant_schedule_stays_at_its_peak():
    schedule = learning_rate(training(schedule="constant", warmup_epochs=0.4), steps=5)
    assert [float(schedule(step)) for step in (0, 1, 2, 30)] == [0, 0.25, 0.5, 0.5]
    assert float(learning_rate(training(schedule="constant"), steps=5)(0)) == 0.5


@pytest.mark.parametrize(
    ("length", "unit"), [({"epochs": 10}, 5), ({"steps": 50, "epochs": None}, 1)]
)
def test_steps_multiply_the_learning_rate_at_each_milestone(length, unit):
    options = training(**length, schedule="steps", milestones=(4, 6), factor=0.5)
    schedule = learning_rate(options, steps=5)
    first, second = 4 * unit, 6 * unit
    steps = (0, first - 1, first, second - 1, second, 49)
    rates = [float(schedule(step)) for step in steps]
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.25, 0.25, 0.125, 0.125], rtol=1e-6)


def test_milestones_count_from_the_start_of_training_whatever_the_warmup():
    options = training(schedule="steps", milestones=(4,), factor=0.1, warmup_epochs=2)
    schedule = learning_rate(options, steps=5)
    rates = [float(schedule(step)) for step in (5, 10, 19, 20)]
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.5, 0.05], rtol=1e-6)


def test_a_warmup_as_long_as_training_is_allowed():
    schedule = learning_rate(training(warmup_epochs=10), steps=5)
    assert float(schedule(49)) == pytest.approx(0.49)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_only_kernels_decay(optimizer):
    options = training(optimizer=optimizer, weight_decay=0.1)
    rule = build_optimizer(options, 5)
    parameters = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    nothing = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
    updates, _ = rule.update(nothing, rule.init(parameters), parameters)
    np.testing.assert_allclose(updates["kernel"], -0.5 * 0.1, rtol=1e-6)
    np.testing.assert_array_equal(updates["bias"], 0)


def test_sgd_is_nesterov_momentum():
    options = training(optimizer="sgd", schedule="constant", momentum=0.5)
    rule = build_optimizer(options, 5)
    parameters, gradient = {"w": jnp.zeros((1, 1))}, {"w": jnp.ones((1, 1))}
    state, steps = rule.init(parameters), []
    for _ in range(3):
        update, state = rule.update(gradient, state, parameters)
        steps.append(float(update["w"][0, 0]))
    # The trace is 1, 1.5, 1.75; nesterov adds half of it to the gradient.
    np.testing.assert_allclose(steps, [-0.75, -0.875, -0.9375], rtol=1e-6)


def test_momentum_without_nesterov_and_decay_that_passes_through_it():
    options = training(
        optimizer="sgd",
        schedule="constant",
        momentum=0.5,
        nesterov=False,
        weight_decay=0.1,
        coupled_decay=True,
    )
    rule = build_optimizer(options, 5)
    parameters, gradient = {"w": jnp.full((1, 1), 10.0)}, {"w": jnp.ones((1, 1))}
    state, steps = rule.init(parameters), []
    for _ in range(3):
        update, state = rule.update(gradient, state, parameters)
        steps.append(float(update["w"][0, 0]))
    # Gradient and decay are 1 + 0.1 * 10 = 2; the trace is 2, 3, 3.5.
    np.testing.assert_allclose(steps, [-1, -1.5, -1.75], rtol=1e-6)


def test_programs_differ_unless_only_learning_rate_and_weight_decay_do(tmp_path):
    def fingerprint(*changes):
        return program_fingerprint(tiny_study(tmp_path, *changes), "max")

    same = fingerprint("training.learning_rate=0.3", "training.weight_decay=0.1")
    assert fingerprint() == same != program_fingerprint(tiny_study(tmp_path), "strided")
    for change in ("weight_decay=0", "epochs=4", "schedule='constant'", "optimizer='sgd'"):
        assert fingerprint(f"training.{change}") != same, change
