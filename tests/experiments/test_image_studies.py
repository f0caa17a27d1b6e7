"""The image studies in configs/: shapes of the full networks, and tiny runs on files."""

from pathlib import Path

import numpy as np
import pytest

from experiments import records
from experiments.checks import refuse_impossible
from experiments.config import load
from experiments.data import cifar10
from experiments.folder import StudyFolder
from experiments.records import Measurement, RunRecord
from tests.experiments.data.conftest import write_archive
from tests.experiments.test_command_line import command

CONFIGS = Path(__file__).parents[2] / "configs"
MEASURE = ["measurement.seconds=0.01", "measurement.rounds=6", "measurement.latency_samples=100"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A folder with CIFAR-10's archive: 40 images to train and 8 to test, in its true format."""
    folder = tmp_path_factory.mktemp("cifar10")
    random = np.random.default_rng(0)
    members = {}
    for name in (*cifar10.TRAIN_MEMBERS, cifar10.TEST_MEMBER):
        images = random.integers(0, 256, (8, 1 + 3 * 32 * 32), dtype=np.uint8)
        images[:, 0] %= 10
        members[name] = images.tobytes()
    write_archive(folder, members)
    return folder


def run(name, folder, archive, *changes):
    sets = [f"dataset.directory={archive}", "dataset.train_limit=40", "training.batch_size=12"]
    sets += ["training.seeds=[0]", *MEASURE, *changes]
    words = [word for change in sets for word in ("--set", change)]
    process = command("run", CONFIGS / f"{name}.toml", "--out", folder, *words)
    assert process.exit_code == 0, process.stderr
    return StudyFolder(folder / name), process


@pytest.mark.parametrize("name", ["allcnn_cifar10", "resnet_cifar10", "fashion_mnist"])
def test_every_variant_fits_its_network(name):
    study = load(CONFIGS / f"{name}.toml", ["training.batch_size=2"])
    refuse_impossible(study)
    published = (CONFIGS / f"{name}.toml").read_text()
    assert study.question.endswith("?")
    assert f"python -m experiments run configs/{name}.toml" in published


@pytest.mark.thorough
def test_the_four_all_cnns_run_on_the_true_format(tmp_path, archive):
    folder, process = run(
        "allcnn_cifar10", tmp_path, archive, "model.widths=[1, 2]", "training.epochs=1"
    )
    assert "base, seed 0: epoch 1/1, training loss" in process.stdout
    sizes = {}
    for variant in ("base", "strided", "conv_pool", "all_conv"):
        record = records.read(folder.record(variant, 0), RunRecord)
        assert (record.steps, record.test_size) == (3, 8)
        sizes[variant] = records.read(folder.measurement(variant), Measurement).parameters
    assert sizes["base"] == sizes["strided"] < sizes["conv_pool"] == sizes["all_conv"]


@pytest.mark.thorough
def test_a_small_resnet_runs_on_the_true_format(tmp_path, archive):
    folder, process = run(
        "resnet_cifar10",
        tmp_path,
        archive,
        "model.depth=8",
        "model.widths=[1, 2, 3]",
        "training.steps=3",
        "training.milestones=[1, 2]",
        "variants={strided={pool='strided'}, "
        "blur={pool='max_blur_pool', window=3, stride=2, padding='SAME'}}",
    )
    assert "blur, seed 0: epoch 1/1, training loss" in process.stdout
    assert "validation accuracy" in process.stdout
    for variant in ("strided", "blur"):
        record = records.read(folder.record(variant, 0), RunRecord)
        assert (record.steps, record.test_size) == (3, 8)
        assert 0 <= record.metrics["shift_consistency"] <= 1
        (line,) = records.read_metrics(folder.metrics(variant, 0))
        assert line.learning_rate == pytest.approx(0.1 * 0.1**2)
