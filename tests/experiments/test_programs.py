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


def order(seed, first, count, *, shuffle=True):
    """Of 50 examples, in epochs of 3 steps of 16."""
    return data_order(seed, first, count, 50, 3, 16, shuffle)


def test_data_order_depends_on_seed_and_epoch_only_and_repeats_nothing():
    orders = {
        (seed, first): np.asarray(order(seed, first, 3)[0]) for seed in (0, 1) for first in (0, 3)
    }
    for place, chosen in orders.items():
        assert chosen.shape == (3, 16)
        assert len(set(chosen.flat)) == 48
        assert chosen.min() >= 0
        assert chosen.max() < 50
        np.testing.assert_array_equal(chosen, order(*place, 3)[0])
    assert len({chosen.tobytes() for chosen in orders.values()}) == 4


def test_data_order_is_the_same_in_rounds_of_any_length():
    whole, keys = order(5, 0, 10)
    for first, count in [(0, 4), (4, 5), (9, 1), (2, 7)]:
        part, own = order(5, first, count)
        np.testing.assert_array_equal(part, whole[first : first + count])
        np.testing.assert_array_equal(
            jax.random.key_data(own), jax.random.key_data(keys[first : first + count])
        )


def test_data_order_without_shuffling_is_that_of_the_dataset_in_each_epoch():
    chosen, keys = order(0, 0, 6, shuffle=False)
    np.testing.assert_array_equal(chosen, [*np.arange(48).reshape(3, 16)] * 2)
    assert len(np.unique(jax.random.key_data(keys), axis=0)) == 6


def test_the_initial_state_is_a_function_of_the_seed(programs):
    one, same, other = (programs.init(seed).parameters for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert not np.array_equal(one["classifier"]["kernel"], other["classifier"]["kernel"])


def test_a_step_lowers_the_loss_of_its_batch(programs):
    inputs, labels = images(16)
    state, step, key = programs.init(0), jax.jit(programs.step), jax.random.key(0)
    losses = []
    for _ in range(12):
        state, loss = step(state, inputs, labels, key)
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.1


def test_a_round_equals_its_steps_run_one_by_one(programs):
    inputs, labels = images(96)
    order, keys = data_order(3, 0, 6, 96, 6, 16, True)
    by_scan, mean = jax.jit(programs.round)(programs.init(3), order, keys, inputs, labels)
    state, step, losses = programs.init(3), jax.jit(programs.step), []
    for chosen, key in zip(np.asarray(order), keys, strict=True):
        state, loss = step(state, inputs[chosen], labels[chosen], key)
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
    scores = jax.jit(programs.evaluate)(state, inputs, labels)
    assert set(scores) == {"loss", "accuracy"}
    np.testing.assert_allclose(scores["loss"][0] / number, losses.mean(), rtol=1e-5)
    assert int(scores["loss"][1]) == int(scores["accuracy"][1]) == number
    assert int(scores["accuracy"][0]) == (np.asarray(logits).argmax(-1) == labels).sum()
