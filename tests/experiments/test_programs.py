import jax
import numpy as np
import optax
import pytest

from experiments.programs import Programs, data_order
from tests.experiments.tiny import tiny_study

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    return Programs.build(tiny_study(tmp_path_factory.mktemp("config")), "max")


def images(number):
    labels = RANDOM.integers(0, 10, number).astype(np.int32)
    return RANDOM.normal(size=(number, 8, 8, 1)).astype(np.float32), labels


def test_data_order_depends_on_seed_and_epoch_only_and_repeats_nothing():
    orders = {
        (seed, epoch): np.asarray(data_order(seed, epoch, 50, 3, 16)[0])
        for seed in (0, 1)
        for epoch in (1, 2)
    }
    for place, order in orders.items():
        assert order.shape == (3, 16)
        assert len(set(order.flat)) == 48
        assert order.min() >= 0
        assert order.max() < 50
        np.testing.assert_array_equal(order, data_order(*place, 50, 3, 16)[0])
    assert len({order.tobytes() for order in orders.values()}) == 4


def test_the_initial_state_is_a_function_of_the_seed(programs):
    one, same, other = (programs.init(seed).parameters for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert not np.array_equal(one["head"]["kernel"], other["head"]["kernel"])


def test_a_step_lowers_the_loss_of_its_batch(programs):
    inputs, labels = images(16)
    state, step, key = programs.init(0), jax.jit(programs.step), jax.random.key(0)
    losses = []
    for _ in range(12):
        state, loss = step(state, inputs, labels, key)
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.1


def test_an_epoch_is_its_steps_one_after_the_other(programs):
    inputs, labels = images(96)
    order, key = data_order(3, 1, 96, 6, 16)
    by_scan, mean = jax.jit(programs.epoch)(programs.init(3), order, key, inputs, labels)
    state, step, losses = programs.init(3), jax.jit(programs.step), []
    for number, chosen in enumerate(np.asarray(order)):
        step_key = jax.random.fold_in(key, number)
        state, loss = step(state, inputs[chosen], labels[chosen], step_key)
        losses.append(float(loss))
    np.testing.assert_allclose(mean, np.mean(losses), rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), by_scan, state
    )


@pytest.mark.parametrize("number", [7, 500, 1003])
def test_evaluation_counts_every_example_once(programs, number):
    inputs, labels = images(number)
    state = programs.init(0)
    logits = jax.jit(programs.predict)(state, inputs)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    loss, right = jax.jit(programs.evaluate)(state, inputs, labels)
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-5)
    assert int(right) == (np.asarray(logits).argmax(-1) == labels).sum()
