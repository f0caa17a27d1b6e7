"""Data-parallel training on eight virtual devices: the numbers of one device."""

import jax
import numpy as np
import pytest

from experiments import checks, environment, evaluation, parallel, placement, training
from experiments.config import ConfigError
from experiments.folder import StudyFolder
from tests.experiments.tiny import tiny_study

CHANGES = (
    *("training.seeds=[0]", "dataset.validation=0.125", "dataset.train_limit=80"),
    *("training.epochs=2", "training.augmentation={shift=1, flip=true}"),
)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The same study on one device and on all."""
    folder = tmp_path_factory.mktemp("config")
    return [
        tiny_study(folder, f"training.data_parallel={parallel}", *CHANGES)
        for parallel in ("false", "true")
    ]


def fitted(study, folder):
    trainer = training.Trainer(study, "max", training.loaded(study, study.dataset.limited()))
    return trainer, *trainer.fit((0,), StudyFolder(folder), lambda seeds, lines: None)


def test_losses_scores_and_parameters_are_those_of_one_device(studies, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "EVALUATION_CHUNK", 4)
    (_, alone, (expected,)), (trainer, state, (found,)) = (
        fitted(study, tmp_path / str(number)) for number, study in enumerate(studies)
    )
    assert len(jax.tree.leaves(alone.parameters)[0].devices()) == 1
    leaves = jax.tree.leaves(state)
    assert {len(leaf.devices()) for leaf in leaves} == {8}
    assert all(leaf.sharding.is_fully_replicated for leaf in leaves)
    for one, other in zip(found, expected, strict=True):
        assert (one.epoch, one.step, one.learning_rate) == (
            *(other.epoch, other.step, other.learning_rate),
        )
        assert one.validation_accuracy == other.validation_accuracy
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=1e-4)
        np.testing.assert_allclose(one.validation_loss, other.validation_loss, rtol=1e-3)
    # The 10 examples for validation are 2 chunks of 8; each device holds one example of a chunk.
    ((inputs, _, _),) = trainer._executor._placed.values()
    assert {shard.data.shape for shard in inputs.addressable_shards} == {(2, 1, 8, 8, 1)}
    # A checkpoint is the same file; what was begun goes on to the same numbers, bit for bit.
    again, resumed, (history,) = fitted(studies[1], tmp_path / "1")
    assert again is not trainer
    assert history == found
    jax.tree.map(np.testing.assert_array_equal, resumed, state)


def test_a_device_holds_only_its_part_of_each_batch():
    examples = np.arange(40 * 3).reshape(40, 3)
    order = np.random.default_rng(0).permutation(40)[:32].reshape(2, 16)
    whole = placement.divided(examples, order, placement.mesh())
    np.testing.assert_array_equal(whole, examples[order])
    for number, shard in enumerate(whole.addressable_shards):
        part = order[:, 2 * number : 2 * number + 2]
        np.testing.assert_array_equal(shard.data, examples[part])


def test_a_step_adds_up_over_devices_and_gathers_no_feature_map(studies):
    data = parallel.host(studies[1].dataset.limited())
    runner = parallel.Parallel(studies[1], "max", data)
    state = runner.place(runner.programs.init(0))
    order, keys = runner._order((0,), 0, 2)
    batches = placement.divided(data.train, np.asarray(order), placement.mesh())
    key_data = placement.replicated(jax.random.key_data(keys), placement.mesh())
    arguments = (state, key_data, *batches)
    text = runner._program("training", 2, runner._round, arguments).as_text()
    assert "all-reduce" in text
    assert "f32[2,8,8,4]" in text  # of 16 examples each device convolves two
    assert "f32[16,8,8" not in text
    assert "all-gather" not in text


def test_a_batch_that_devices_do_not_divide_is_refused_in_one_line(tmp_path):
    study = tiny_study(tmp_path, "training.data_parallel=true", "training.batch_size=12")
    with pytest.raises(ConfigError) as error:
        checks.refuse_impossible(study)
    assert str(error.value) == (
        "training.batch_size = 12: must be a multiple of 8, for training.data_parallel divides "
        "each batch among 8 devices of 1 process"
    )


def test_seeds_are_trained_one_by_one(studies, tmp_path):
    assert training.groups(studies[1], "max", StudyFolder(tmp_path)) == [(0,)]
    together = "training.seeds_together=true"
    with pytest.raises(ConfigError, match="data_parallel trains seeds one by one"):
        tiny_study(tmp_path, "training.data_parallel=true", together)


def test_records_say_among_how_many_devices_a_batch_was_divided(studies):
    assert environment.capture().mesh == ""
    assert environment.capture(divided=True).origin.mesh == "8 devices of 1 process"
    one, other = (study.fingerprint("max") for study in studies)
    assert one != other
    assert studies[0].cost_fingerprint("max") == studies[1].cost_fingerprint("max")
