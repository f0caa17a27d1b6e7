import numpy as np
import pytest

from experiments import records, training
from experiments.config import load
from experiments.folder import StudyFolder
from experiments.records import RecordError, RunRecord
from experiments.training import Device, Trainer, groups, seeds_together
from tests.experiments.tiny import TINY, tiny_study


class InterruptionError(Exception):
    pass


def ignore(seeds, metrics):
    pass


def trainer(study, variant="max"):
    return Trainer(study, variant, Device.of(study.dataset.limited()))


def results(folder, seed, variant="max"):
    """All that training leaves of a run, but for the clock's readings."""
    record = records.read(folder.record(variant, seed), RunRecord)
    metrics = records.read_metrics(folder.metrics(variant, seed))
    return (
        record.model_copy(update={"train_seconds": 0.0}),
        [m.model_copy(update={"seconds": 0.0, "examples_per_s": 0.0}) for m in metrics],
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tiny_study(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def one(study):
    """A trainer, whose programs are compiled once for all tests."""
    return trainer(study)


@pytest.fixture(scope="module")
def alone(study, one, tmp_path_factory):
    """Both seeds, trained one after the other without a break."""
    folder = StudyFolder(tmp_path_factory.mktemp("alone"))
    for seed in study.training.seeds:
        one.train((seed,), folder, ignore)
    return folder


def test_a_record_says_what_the_last_epoch_found(study, alone):
    record, metrics = results(alone, 7)
    assert [line.epoch for line in metrics] == [1, 2, 3]
    assert [line.step for line in metrics] == [6, 12, 18]
    assert record.fingerprint == study.fingerprint("max")
    assert (record.epochs, record.steps, record.test_size) == (3, 18, 50)
    assert record.test_accuracy == record.test_correct / 50
    assert record.validation_accuracy is metrics[-1].validation_accuracy is None
    assert not record.diverged
    assert record.train_loss == metrics[-1].train_loss < metrics[0].train_loss
    assert 0 < metrics[-1].learning_rate < metrics[0].learning_rate


def test_seeds_together_agree_with_one_by_one(one, alone, tmp_path):
    folder = StudyFolder(tmp_path)
    seen = []
    one.train((0, 7), folder, lambda seeds, metrics: seen.append((seeds, len(metrics))))
    assert seen == [((0, 7), 2)] * 3
    for seed in (0, 7):
        record, metrics = results(folder, seed)
        own_record, own_metrics = results(alone, seed)
        np.testing.assert_allclose(record.test_loss, own_record.test_loss, rtol=1e-3)
        for together, single in zip(metrics, own_metrics, strict=True):
            np.testing.assert_allclose(together.train_loss, single.train_loss, rtol=1e-4)
            assert together.learning_rate == single.learning_rate


@pytest.mark.parametrize("seeds", [(0,), (0, 7)])
def test_an_interrupted_run_goes_on_to_the_same_numbers(study, one, tmp_path, seeds):
    whole, broken = StudyFolder(tmp_path / "whole"), StudyFolder(tmp_path / "broken")
    one.train(seeds, whole, ignore)

    def interrupt(seeds, metrics):
        if metrics[0].epoch == 2:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        one.train(seeds, broken, interrupt)
    # A kill between the metrics and the checkpoint leaves a line too many; another, half a line.
    path = broken.metrics("max", seeds[0])
    line = path.read_text().splitlines()[-1]
    path.write_text(path.read_text() + line.replace('"epoch":2', '"epoch":3') + '\n{"epoch":')
    told = []
    trainer(study).train(seeds, broken, lambda seeds, metrics: told.append(metrics[0].epoch))
    assert told == [1, 2, 3]
    for seed in seeds:
        assert results(broken, seed) == results(whole, seed)


def test_a_trained_run_is_recorded_without_training_again(one, tmp_path):
    folder = StudyFolder(tmp_path)
    one.train((0,), folder, ignore)
    before = results(folder, 0)
    folder.record("max", 0).unlink()
    one.train((0,), folder, ignore)
    assert results(folder, 0) == before


def test_metrics_that_lack_epochs_are_refused(one, tmp_path):
    folder = StudyFolder(tmp_path)
    one.train((0,), folder, ignore)
    folder.metrics("max", 0).unlink()
    with pytest.raises(RecordError, match=r"lacks epochs before its checkpoint, which has 3"):
        one.train((0,), folder, ignore)


def test_auto_trains_seeds_together_except_on_a_cpu():
    assert [seeds_together("auto", backend) for backend in ("cpu", "gpu", "tpu")] == [
        False,
        True,
        True,
    ]
    assert seeds_together(True, "cpu")
    assert not seeds_together(False, "gpu")


def test_groups_are_the_seeds_still_to_be_trained(study, alone, tmp_path):
    folder = StudyFolder(tmp_path)
    assert groups(study, "max", folder) == [(0,), (7,)]
    assert groups(study, "max", alone) == []
    folder.record("max", 0).parent.mkdir(parents=True)
    folder.record("max", 0).write_bytes(alone.record("max", 0).read_bytes())
    assert groups(study, "max", folder) == [(7,)]


def test_an_interrupted_group_stays_together(tmp_path):
    study = tiny_study(tmp_path, "training.seeds=[0, 7, 8]", "training.seeds_together=true")
    folder = StudyFolder(tmp_path / "results")
    assert groups(study, "max", folder) == [(0, 7, 8)]
    path = training.checkpoint_path(folder, "max", (0, 7))
    path.parent.mkdir(parents=True)
    path.touch()
    assert groups(study, "max", folder) == [(0, 7), (8,)]
    folder.record("max", 0).parent.mkdir(parents=True)
    folder.record("max", 0).touch()
    assert groups(study, "max", folder) == [(0, 7), (8,)]
    folder.record("max", 7).parent.mkdir(parents=True)
    folder.record("max", 7).touch()
    assert groups(study, "max", folder) == [(8,)]


def interrupted(one, seeds, folder, after):
    """Trains until a round is done, and stops."""

    def interrupt(seeds, metrics):
        if metrics[0].epoch == after:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        one.train(seeds, folder, interrupt)


@pytest.mark.thorough
def test_a_study_that_counts_steps_goes_on_from_any_round_to_the_same_numbers(tmp_path):
    text = TINY.replace("epochs = 3", "steps = 1100", 1)
    path = tmp_path / "steps.toml"
    path.write_text(text)
    study = load(path, ["model.widths=[1]", "dataset.validation=0.1"])
    assert (study.steps_per_epoch, study.rounds) == (5, 3)
    one = trainer(study)
    whole, broken = StudyFolder(tmp_path / "whole"), StudyFolder(tmp_path / "broken")
    one.train((0,), whole, ignore)
    record, metrics = results(whole, 0)
    # Rounds of 500 steps, the last one shorter; in epochs of 5 steps.
    assert [line.step for line in metrics] == [500, 1000, 1100]
    assert (record.steps, record.epochs) == (1100, 220)
    assert metrics[-1].learning_rate < metrics[0].learning_rate
    interrupted(one, (0,), broken, after=2)
    one.train((0,), broken, ignore)
    assert results(broken, 0) == results(whole, 0)


def test_the_validation_split_is_scored_each_round_and_the_test_split_once(tmp_path, monkeypatch):
    study = tiny_study(tmp_path, "dataset.validation=0.25")
    data = Device.of(study.dataset.limited())
    assert (len(data.train[1]), len(data.validation[1]), len(data.test[1])) == (72, 24, 50)
    scored = []
    original = Trainer._scores

    def spy(self, state, size, split):
        scored.append("test" if split is data.test else "validation")
        return original(self, state, size, split)

    monkeypatch.setattr(Trainer, "_scores", spy)
    folder = StudyFolder(tmp_path / "results")
    Trainer(study, "max", data).train((0,), folder, ignore)
    assert scored == ["validation"] * 3 + ["test"]
    record, metrics = results(folder, 0)
    shares = [line.validation_accuracy for line in metrics]
    assert all(abs(share * 24 - round(share * 24)) < 1e-5 for share in shares)
    assert record.validation_accuracy == shares[-1]


def test_a_run_whose_loss_is_not_finite_ends_there_and_is_marked(tmp_path):
    study = tiny_study(tmp_path, "training.optimizer=sgd", "training.learning_rate=1e6")
    folder = StudyFolder(tmp_path / "results")
    one = trainer(study)
    one.train((0,), folder, ignore)
    record, metrics = results(folder, 0)
    assert record.diverged
    assert len(metrics) < 3
    assert not np.isfinite(metrics[-1].train_loss)
    assert record.steps == metrics[-1].step
    # Whoever comes back before the record was written trains no further either.
    folder.record("max", 0).unlink()
    one.train((0,), folder, ignore)
    assert len(results(folder, 0)[1]) == len(metrics)
