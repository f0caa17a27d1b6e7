"""Detection: loss and scores computed by hand, and a tiny study through the command line."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from experiments import boxes, evaluation, records
from experiments.__main__ import app
from experiments.config import ConfigError, load
from experiments.folder import StudyFolder
from experiments.programs import Programs
from experiments.records import Baselines, RunRecord
from experiments.tasks import METRICS, Detection
from tests.experiments.data.conftest import idx_bytes

TINY = """
[dataset]
name = "scenes"
directory = "{folder}"
size = 24
scales = [6, 9, 16]
train_scenes = 24
test_scenes = 10
proposals = 4

[model]
name = "region_net"
widths = [4]
hidden = 8

[training]
epochs = 2
batch_size = 8
learning_rate = 1e-2
seeds = [0]

[measurement]
seconds = 0.1
rounds = 6
latency_samples = 100

[variants.align]
pool = "max_pool"
window = 2
head = {{ pool = "roi_align", arguments = {{ output = [1, 2], sampling_ratio = 1 }} }}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detection")
    random = np.random.default_rng(0)
    for part, number in (("train", 30), ("t10k", 12)):
        images = random.integers(0, 256, (number, 28, 28))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        labels = np.arange(number) % 10
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    path = folder / "tiny.toml"
    path.write_text(TINY.format(folder=folder))
    return path


def softmax_loss(logits, label):
    return np.log(np.exp(logits).sum()) - logits[label]


def test_the_loss_is_cross_entropy_and_smooth_l1_on_the_items_regions():
    logits = np.array([[[2.0, 0, 1], [0, 1, 0]]])
    delta = np.array([[[0.5, -3, 0, 0], [9.0, 9, 9, 9]]])
    labels = {"class": np.array([[2, 0]]), "target": np.zeros((1, 2, 4))}
    entropy = softmax_loss(logits[0, 0], 2) + softmax_loss(logits[0, 1], 0)
    smooth_l1 = 0.5 * 0.5**2 + (3 - 0.5)
    for weight in (0.0, 2.5):
        task = Detection(name="detection", box_weight=weight)
        loss = jax.jit(task.loss)({"class": logits, "delta": delta}, labels)
        np.testing.assert_allclose(loss, [(entropy + weight * smooth_l1) / 2], rtol=1e-6)


def test_scores_by_hand():
    proposals = jnp.array([[[0.0, 0, 8, 8], [8, 8, 16, 16], [0, 8, 8, 16], [8, 0, 16, 8]]])
    box = jnp.array([[[0.0, 0, 8, 8], [8, 8, 16, 12], [0, 8, 8, 16], [8, 0, 16, 8]]])
    labels = {
        "class": jnp.array([[1, 2, 0, 0]]),
        "size": jnp.array([[0, 2, -1, -1]]),
        "box": box,
        "target": boxes.encode(proposals, box),
    }
    outputs = {
        "class": jax.nn.one_hot(jnp.array([[1, 0, 0, 2]]), 3),
        "delta": jnp.zeros((1, 4, 4)),
    }
    inputs = {"image": jnp.zeros((1, 16, 16, 1)), "boxes": proposals}
    score = jax.jit(lambda *batch: Detection().scores(lambda _: outputs, *batch, None))
    scores = score(inputs, labels)
    assert set(scores) - {"loss", "accuracy"} <= set(METRICS)
    found = {}
    for name, (value, weight) in scores.items():
        assert not name.startswith("accuracy") or value.dtype == weight.dtype == jnp.int32
        found[name] = (float((value * weight).sum()), float(weight.sum()))
    del found["loss"]
    assert found == {
        "accuracy": (1, 2),
        "accuracy_background": (1, 2),
        "accuracy_small": (1, 1),
        "accuracy_medium": (0, 0),
        "accuracy_large": (0, 1),
        "box_iou": (1.5, 2),
        "box_iou_small": (1, 1),
        "box_iou_medium": (0, 0),
        "box_iou_large": (0.5, 1),
    }


def test_evaluation_counts_every_region_once(config, monkeypatch):
    study = load(config, ["variants.align.head=global"])
    built, test = Programs.build(study, "align"), study.dataset.limited().test
    monkeypatch.setattr(evaluation, "EVALUATION_CHUNK", 4)  # 3 chunks of 4 for 10 scenes
    parts = jax.jit(built.evaluate)(built.init(0), test.inputs, test.labels)
    assert int(parts["accuracy"][1]) == (test.labels["class"] > 0).sum()
    assert int(parts["accuracy_background"][1]) == (test.labels["class"] == 0).sum()


@pytest.mark.thorough
def test_a_tiny_study_ends_with_columns_for_each_size(config, tmp_path):
    process = CliRunner().invoke(
        app, ["run", str(config), "--out", str(tmp_path)], env={"COLUMNS": "200"}
    )
    assert process.exit_code == 0, process.output
    assert "the proposal itself: box IoU 0." in process.stdout
    assert "majority class: accuracy" in process.stdout
    folder = StudyFolder(tmp_path / "tiny")
    with folder.summary_csv.open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    record = records.read(folder.record("align", 0), RunRecord)
    assert record.test_size > 10  # regions of items, not scenes
    for name in ("box_iou", "box_iou_small", "accuracy_large", "accuracy_background"):
        assert 0 <= record.metrics[name] <= 1
        assert float(rows["align"][f"{name}_mean"]) == pytest.approx(record.metrics[name], 1e-4)
    cells = records.read(folder.baselines, Baselines).cells
    assert set(cells[""]) == {"majority class", "the proposal itself"}


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("model.head=average", "region_net takes no head 'average'; known: roi_pool, roi_align"),
        ("variants.align.head=pyramid", "did you mean 'spatial_pyramid'?"),
        ("variants.align.head=roi_aligned", "did you mean 'roi_align'?"),
        (
            "variants.align.head.arguments={bins=2}",
            "roi_align has no such argument; known: output, sampling_ratio, reduce",
        ),
        ("model={widths=[4], head='roi_align'}", "small_cnn takes no head 'roi_align'"),
        ("model={widths=[4]}", "small_cnn reads image or signal, and the dataset scenes is of"),
        ("task={name='classification'}", "the dataset scenes is for the task detection"),
        ("task={name='detection', box_weight=-1}", "greater than or equal to 0"),
        ("dataset.size=12", "must be at least 19, to hold items of scale 16"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(config, override, complaint):
    with pytest.raises(ConfigError) as caught:
        load(config, [override])
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value).strip()


def test_a_region_pooling_that_cannot_work_is_refused_before_training(config, tmp_path):
    override = "variants.align.head={pool='ps_roi_align', arguments={output=3}}"
    process = CliRunner().invoke(
        app, ["run", str(config), "--out", str(tmp_path / "results"), "--set", override]
    )
    assert process.exit_code == 2
    assert "variants.align.head: ps_roi_align cannot pool" in process.stderr
    assert "needs a multiple of 9 channels" in process.stderr
    assert not (tmp_path / "results").exists()
