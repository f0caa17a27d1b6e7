"""Studies on streams: the numbers of the same study in memory, also when they are interrupted."""

import json
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from experiments import executor, placement, records, training
from experiments.__main__ import app
from experiments.config import load
from experiments.data import DataError
from experiments.folder import StudyFolder
from experiments.programs import Programs, data_order
from experiments.report.summary_csv import read_csv
from experiments.training import Device, Trainer
from tests.experiments import divided_scores
from tests.experiments.test_command_line import ROOT
from tests.experiments.test_faults import free_port
from tests.experiments.tiny import TINY

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Noise of two classes, one darker than the other."""
    path, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number, name in enumerate(["dark", "light"]):
        (path / name).mkdir()
        for i in range(50):
            image = random.integers(0, 200, (8, 8, 3)) + 30 * number
            Image.fromarray(image.astype(np.uint8)).save(path / name / f"{i:02}.png")
    return path


@pytest.fixture(scope="module")
def config(images, tmp_path_factory):
    table = f'[dataset]\nname = "image_folder"\npath = "{images}"\nsize = [8, 8]\n'
    table += "validation = 0.25\ntest = 0.2\n"
    file = tmp_path_factory.mktemp("config") / "tiny.toml"
    digits = '[dataset]\nname = "digits"\ntrain_limit = 96\ntest_limit = 50\n'
    file.write_text(TINY.replace(digits, table).replace("seeds = [0, 7]", "seeds = [3]"))
    return file


@pytest.fixture(scope="module")
def in_memory(config, tmp_path_factory):
    return trained(make_trainer(load(config, ())), tmp_path_factory.mktemp("memory"))


@pytest.fixture(scope="module")
def trainer(config):
    """Streams its examples; its programs are compiled once for all tests."""
    return make_trainer(load(config, ["dataset.stream=true"]))


@pytest.fixture(scope="module")
def streamed(trainer, tmp_path_factory):
    return trained(trainer, tmp_path_factory.mktemp("stream"))


def ignore(seeds, lines):
    pass


def make_trainer(study):
    return Trainer(study, "max", Device.of(study.dataset.limited()))


def trained(trainer, path, seeds=(3,), report=ignore):
    folder = StudyFolder(path)
    trainer.train(seeds, folder, report)
    return found(folder)


def found(folder, seed=3):
    metrics = records.read_metrics(folder.metrics("max", seed))
    record = records.read(folder.record("max", seed), records.RunRecord)
    return metrics, record


def numbers(metrics, record):
    lines = [(m.step, m.train_loss, m.validation_loss, m.validation_accuracy) for m in metrics]
    return lines, (record.test_accuracy, record.test_loss, record.train_loss)


def test_a_stream_gives_the_losses_of_the_same_examples_in_memory(in_memory, streamed):
    (lines, last), (expected_lines, expected_last) = numbers(*streamed), numbers(*in_memory)
    assert len(lines) == 3
    np.testing.assert_allclose(lines, expected_lines, rtol=1e-4)
    np.testing.assert_allclose(last, expected_last, rtol=1e-4)
    assert streamed[1].fingerprint != in_memory[1].fingerprint


class KilledError(Exception):
    pass


def test_a_killed_run_goes_on_to_equal_numbers(trainer, streamed, tmp_path):
    def kill(seeds, lines):
        if lines[0].epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        trained(trainer, tmp_path, report=kill)
    assert numbers(*trained(trainer, tmp_path)) == numbers(*streamed)


@pytest.mark.thorough
def test_several_seeds_train_together_each_on_its_own_batches(config, tmp_path):
    options = ["dataset.stream=true", "training.epochs=1", "training.warmup_epochs=0"]
    trainer = make_trainer(load(config, [*options, "training.seeds=[3, 4]"]))
    folder = StudyFolder(tmp_path / "together")
    trainer.train((3, 4), folder, ignore)
    alone = trained(trainer, tmp_path / "alone")
    np.testing.assert_allclose(numbers(*found(folder, 3))[1], numbers(*alone)[1], rtol=1e-4)
    assert numbers(*found(folder, 4)) != numbers(*found(folder, 3))


def test_every_step_reads_what_the_data_order_says(config, trainer, streamed, monkeypatch):
    study, stream, asked = trainer._programs, trainer._data.train[0], []
    read = type(stream).batches

    def watch(self, order, size, *further):
        asked.append(np.asarray(order).reshape(-1, size))
        return read(self, order, size, *further)

    monkeypatch.setattr(type(stream), "batches", watch)
    steps, batch = study.steps_per_epoch, study.batch_size
    trainer._round(study.init(3), (3,), 2)
    expected, _ = data_order(3, steps, steps, len(stream), steps, batch, True)
    assert expected.shape == (3, 16)
    np.testing.assert_array_equal(asked[0], expected)


def test_the_command_line_trains_packed_shards(config, images, in_memory, tmp_path):
    run = CliRunner().invoke
    answer = run(app, ["pack", str(config), "--out", str(tmp_path / "shards"), "--per-shard", "30"])
    assert answer.exit_code == 0, answer.output
    table = f"dataset={{name='array_record', path='{tmp_path / 'shards'}', validation=0.25}}"
    command = ["run", str(config), "--set", table, "--out", str(tmp_path)]
    answer = run(app, [*command, "--set", "variants={max={pool='max_pool', window=2}}"])
    assert answer.exit_code == 0, answer.output
    (row,) = read_csv(tmp_path / "tiny" / "summary.csv")
    assert row.test_accuracy_mean == pytest.approx(in_memory[1].test_accuracy)
    shard = tmp_path / "shards" / "train-00001.array_record"
    shard.write_bytes(shard.read_bytes()[:1000])
    answer = run(app, [*command, "--out", str(tmp_path / "other")])
    assert answer.exit_code == 2
    assert f"error: {shard}: found a damaged shard (" in answer.output
    assert not (tmp_path / "other").exists()


def test_a_damaged_image_ends_training_in_one_line_that_names_it(images, trainer, tmp_path):
    file = images / "dark" / "07.png"
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    try:
        with pytest.raises(DataError) as caught:
            trained(trainer, tmp_path)
    finally:
        file.write_bytes(whole)
    assert str(caught.value).startswith(f"{file}: found a broken image (")
    assert "\n" not in str(caught.value)


def test_an_empty_split_stays_a_stream(trainer):
    stream = trainer._data.test[0]
    assert len(executor.held(stream.take(slice(0)), jax.device_put)[0]) == 0


def test_a_stream_divided_among_devices_gives_the_losses_of_one_device(config, streamed, tmp_path):
    changes = ["dataset.stream=true", "training.data_parallel=true"]
    study = load(config, changes)
    trainer = Trainer(study, "max", training.loaded(study, study.dataset.limited()))
    (lines, last), expected = numbers(*trained(trainer, tmp_path)), numbers(*streamed)
    np.testing.assert_allclose(lines, expected[0], rtol=1e-3)
    np.testing.assert_allclose(last, expected[1], rtol=1e-3)


def test_a_process_reads_the_examples_of_its_own_devices_only(config):
    stream = load(config, ["dataset.stream=true"]).dataset.limited().train
    read = []

    class Watched:
        def __getitem__(self, number):
            read.append(number)
            return stream.source[number]

        def __len__(self):
            return len(stream.source)

    order = np.random.default_rng(0).permutation(len(stream))[:32].reshape(2, 16)
    watched = replace(stream, source=Watched())
    whole = list(placement.read_divided(watched, order, placement.mesh()))
    assert sorted(read) == sorted(stream.chosen[order].ravel())
    expected = list(stream.batches(order.ravel(), 16))
    for (inputs, labels), (all_inputs, all_labels) in zip(whole, expected, strict=True):
        np.testing.assert_array_equal(inputs, all_inputs)
        np.testing.assert_array_equal(labels, all_labels)
        assert {shard.data.shape for shard in inputs.addressable_shards} == {(2, 8, 8, 3)}


@pytest.mark.thorough
def test_two_processes_score_a_part_each_and_have_the_scores_of_one(config):
    file = config.with_name("limited.toml")
    file.write_text(config.read_text().replace("test = 0.2\n", "test = 0.2\ntest_limit = 18\n"))
    command = [sys.executable, "-m", "tests.experiments.divided_scores"]
    address = f"127.0.0.1:{free_port()}"
    group = [
        subprocess.Popen([*command, address, str(number), file], cwd=ROOT, stdout=subprocess.PIPE)
        for number in range(2)
    ]
    said = [process.communicate(timeout=300)[0].decode() for process in group]
    lines = [[line for line in each.splitlines() if line.startswith("[{")] for each in said]
    (memory, stream), (other_memory, other_stream) = [list(map(json.loads, each)) for each in lines]
    study = load(file, ())
    built, test = Programs.build(study, "max"), study.dataset.limited().test
    expected = jax.jit(built.evaluate)(built.init(divided_scores.SEED), test.inputs, test.labels)
    for scores, _ in (memory, stream, other_memory, other_stream):
        assert scores["accuracy"] == list(map(float, expected["accuracy"]))
        assert scores["accuracy"][1] == scores["loss"][1] == 18
        np.testing.assert_allclose(scores["loss"], list(map(float, expected["loss"])), rtol=1e-5)
    # 3 chunks of 8 examples, the last one repeated: process 0 has the first half of each chunk.
    assert memory[1] == other_memory[1] == 12
    assert stream[1] == [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 17, 17]
    assert other_stream[1] == [4, 5, 6, 7, 12, 13, 14, 15, 17, 17, 17, 17]
