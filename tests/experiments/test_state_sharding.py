"""Parameters and optimizer state divided among eight virtual devices: the numbers of whole ones."""

import json
import re
import shutil
import sys

import jax
import numpy as np
import pytest

from experiments import checks, sharded_checkpoint, state_sharding, training
from experiments.config import ConfigError
from experiments.folder import StudyFolder
from experiments.records import RecordError
from tests.experiments.tiny import tiny_study

CHANGES = (
    *("training.seeds=[0]", "dataset.validation=0.1", "dataset.train_limit=80"),
    *("training.epochs=2", "training.data_parallel=true", "model.widths=[16]"),
)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The same study with a replicated and with a sharded state."""
    folder = tmp_path_factory.mktemp("config")
    return [
        tiny_study(folder, f"training.shard_state={shard}", *CHANGES) for shard in ("false", "true")
    ]


def fitted(study, folder):
    trainer = training.Trainer(study, "max", training.loaded(study, study.dataset.limited()))
    state, (history,) = trainer.fit((0,), StudyFolder(folder), lambda seeds, lines: None)
    return trainer, state, history


@pytest.fixture(scope="module")
def runs(studies, tmp_path_factory):
    """Both trained: folders, trainers, states and histories."""
    folders = [tmp_path_factory.mktemp(name) for name in ("replicated", "sharded")]
    return [
        (folder, *fitted(study, folder)) for folder, study in zip(folders, studies, strict=True)
    ]


def test_losses_and_scores_are_those_of_a_replicated_state(runs):
    (_, _, replicated, expected), (_, _, sharded, found) = runs
    for one, other in zip(found, expected, strict=True):
        assert (one.epoch, one.step) == (other.epoch, other.step)
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=1e-4)
        assert one.validation_accuracy == other.validation_accuracy
        np.testing.assert_allclose(one.validation_loss, other.validation_loss, rtol=1e-3)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-4),
        *(sharded, replicated),
    )


def test_a_device_holds_its_part_of_the_state_and_whole_what_cannot_be_divided(runs):
    (_, _, replicated, _), (_, _, sharded, _) = runs
    total = sum(leaf.nbytes for leaf in jax.tree.leaves(replicated))
    held = dict.fromkeys(jax.devices(), 0)
    for leaf in jax.tree.leaves(sharded):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    whole = sum(
        leaf.nbytes for leaf in jax.tree.leaves(sharded) if leaf.sharding.is_fully_replicated
    )
    assert set(held.values()) == {(total - whole) // 8 + whole}
    # Ten biases with their moments, three counters, learning rate and weight decay.
    assert whole == 3 * 40 + 5 * 4
    shardings = jax.tree.map(lambda leaf: leaf.sharding, sharded)
    assert state_sharding.bytes_per_device(sharded, shardings) == (total - whole) // 8 + whole


def test_a_step_divides_the_batch_and_gathers_parameters_alone(runs):
    programs = runs[1][1]._executor._compiled
    (text,) = (
        program.as_text() for (purpose, _), program in programs.items() if purpose == "training"
    )
    gathers = re.findall(r"= (\S+)\{\S* all-gather\(", text)
    assert set(gathers) == {"f32[16]", "f32[16,10]", "f32[3,3,1,16]"}
    assert "all-reduce" in text
    assert "all-to-all" not in text
    assert "f32[2,8,8,16]" in text  # of 16 examples each device convolves two, to all channels
    assert "f32[16,8,8" not in text


def test_a_killed_run_goes_on_to_the_same_numbers(runs, tmp_path, monkeypatch):
    _, trainer, expected, history = runs[1]
    commit = sharded_checkpoint.commit

    def killed(index, state, *, epoch, fingerprint):
        if epoch == 2:  # its arrays are written
            raise KeyboardInterrupt
        commit(index, state, epoch=epoch, fingerprint=fingerprint)

    monkeypatch.setattr(sharded_checkpoint, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit((0,), StudyFolder(tmp_path), lambda seeds, lines: None)
    monkeypatch.undo()
    index = training.checkpoint_path(StudyFolder(tmp_path), "max", (0,), sharded=True)
    assert json.loads(index.read_text())["epoch"] == 1
    (index.parent / "epoch-2.orbax-checkpoint-tmp").mkdir()  # of a kill while orbax writes
    state, (found,) = trainer.fit((0,), StudyFolder(tmp_path), lambda seeds, lines: None)
    losses = [[line.train_loss for line in lines] for lines in (found, history)]
    assert losses[0] == losses[1]
    jax.tree.map(np.testing.assert_array_equal, state, expected)
    shardings, wanted = (jax.tree.map(lambda leaf: leaf.sharding, s) for s in (state, expected))
    assert shardings == wanted
    assert sorted(path.name for path in index.parent.iterdir()) == ["checkpoint.json", "epoch-2"]


@pytest.fixture
def saved(runs, tmp_path):
    """A copy of the sharded run's checkpoint, and its state."""
    index = training.checkpoint_path(StudyFolder(runs[1][0]), "max", (0,), sharded=True)
    shutil.copytree(index.parent, tmp_path / "checkpoint")
    return tmp_path / "checkpoint" / index.name, runs[1][2]


def test_damaged_and_foreign_checkpoints_are_named(saved, studies):
    index, state = saved
    mark = studies[1].fingerprint("max")
    assert sharded_checkpoint.fingerprint(index) == mark
    folder, epoch = sharded_checkpoint.find(index, state, fingerprint=mark)
    assert (folder, epoch) == (index.parent / "epoch-2", 2)
    with pytest.raises(RecordError, match=r"checkpoint\.json: was made by another config; remove"):
        sharded_checkpoint.find(index, state, fingerprint="other")
    with pytest.raises(RecordError, match="does not hold this network's state; remove it"):
        sharded_checkpoint.find(index, state.parameters, fingerprint=mark)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        for damaged in (content[:-1], bytes([content[0] ^ 1]) + content[1:], None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            with pytest.raises(RecordError, match=r"epoch-2: damaged \(.*\); remove /") as error:
                sharded_checkpoint.find(index, state, fingerprint=mark)
            assert len(str(error.value).splitlines()) == 1
            path.write_bytes(content)
    whole = index.read_text()
    for damaged in ("", "\0", whole[:-5], "{}", whole.replace('"epoch":2', '"epoch":"../2"')):
        index.write_text(damaged)
        with pytest.raises(RecordError, match=r"checkpoint\.json: damaged \(.*\); remove") as error:
            sharded_checkpoint.fingerprint(index)
        assert len(str(error.value).splitlines()) == 1
    index.write_text(whole)
    shutil.rmtree(folder)
    with pytest.raises(RecordError, match="epoch-2: damaged"):
        sharded_checkpoint.find(index, state, fingerprint=mark)
    index.unlink()
    assert sharded_checkpoint.find(index, state, fingerprint=mark) is None


def test_arrays_that_orbax_cannot_read_or_write_are_named(saved, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back afterwards
    index, state = saved
    folder = index.parent / "epoch-2"
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    jax.tree.map(
        np.testing.assert_array_equal, sharded_checkpoint.read(folder, state, shardings), state
    )
    absent = index.parent / "epoch-7"
    with pytest.raises(sharded_checkpoint.CollectiveError, match=r"epoch-7: damaged \(") as error:
        sharded_checkpoint.read(absent, state, shardings)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(sharded_checkpoint.CollectiveError, match="epoch-7: cannot be w") as error:
        sharded_checkpoint.write(absent, [object()])
    assert len(str(error.value).splitlines()) == 1
    absent.touch()
    with pytest.raises(RecordError, match="cannot be written"):
        sharded_checkpoint.write(absent / "epoch-1", state)


def test_a_resumed_study_of_another_config_is_refused(runs, studies, tmp_path):
    shutil.copytree(runs[1][0], tmp_path / "results")
    folder = StudyFolder(tmp_path / "results")
    checks.refuse_other_work(studies[1], folder)
    with pytest.raises(RecordError, match=r"checkpoint\.json: was trained with another config"):
        checks.refuse_other_work(studies[0], folder)


def test_sharding_needs_data_parallel_and_leaves_other_fingerprints_alone(studies, tmp_path):
    with pytest.raises(ConfigError, match="shard_state = true: needs data_parallel = true"):
        tiny_study(tmp_path, "training.shard_state=true")
    without = tiny_study(tmp_path, *CHANGES)
    assert studies[0].fingerprint("max") == without.fingerprint("max")
    assert studies[1].fingerprint("max") != without.fingerprint("max")
