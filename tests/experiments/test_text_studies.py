"""Tiny studies of texts through the real command line."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import records
from experiments.__main__ import app
from experiments.config import load
from experiments.folder import StudyFolder
from tests.experiments.data.test_descriptions import write as write_descriptions

ROOT = Path(__file__).parents[2]
TRAINING = """
[training]
epochs = 2
batch_size = 8
learning_rate = 3e-2
seeds = [0]

[measurement]
seconds = 0.1
rounds = 6
latency_samples = 100
"""


def run(folder, config, *arguments):
    path = folder / "tiny.toml"
    path.write_text(config + TRAINING)
    return CliRunner().invoke(app, ["run", str(path), "--out", str(folder), *arguments])


def rows(folder):
    with StudyFolder(folder / "tiny").summary_csv.open() as file:
        return {row["variant"]: row for row in csv.DictReader(file)}


def texts(folder):
    lines = [f"{'good' if n % 2 else 'bad'} number {n},{n % 2}" for n in range(40)]
    path = folder / "texts.csv"
    path.write_text("\n".join(["review,class", *lines]))
    return f"""
[dataset]
name = "csv_text"
path = "{path}"
text = "review"
label = "class"
tokens = "word"
max_length = 6
validation = 0.2

[model]
name = "text_cnn"
features = 8
kernels = [2]
width = 8

[variants.max]
head = "max"
"""


def test_texts_are_classified_beside_the_majority_class(tmp_path):
    process = run(tmp_path, texts(tmp_path), "--set", "training.epochs=8")
    assert process.exit_code == 0, process.output
    assert "majority class" in process.output
    assert float(rows(tmp_path)["max"]["test_accuracy_mean"]) > 0.8


@pytest.mark.thorough
def test_documents_are_summarised_with_rouge_beside_the_first_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = f"""
[dataset]
name = "descriptions"
path = "{write_descriptions(tmp_path)}"
max_sentences = 5
max_length = 6

[model]
name = "sentence_scorer"
features = 4
hidden = 4
position = true

[variants.average]
head = "average"
"""
    process = run(tmp_path, config)
    assert process.exit_code == 0, process.output
    assert "first sentence" in process.output
    assert "ROUGE-L" in process.output
    record = records.read(StudyFolder(tmp_path / "tiny").record("average", 0), records.RunRecord)
    assert set(record.metrics) == {"rouge_1", "rouge_l"}


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("variants.max={pool='max_pool', window=2}", "text_cnn has no stage to pool after"),
        ("variants.max.head=flatten", "flatten divides a text by its padded length"),
        ("variants.max.head={pool='k_max', arguments={k=9}}", "k must lie between 1 and the 6"),
        ("dataset.text=body", "found the columns review, class; expected one called 'body'"),
        ("model={name='sentence_scorer'}", "sentence_scorer reads document"),
    ],
)
def test_what_cannot_work_is_refused_before_training(tmp_path, override, complaint):
    process = run(tmp_path, texts(tmp_path), "--set", override)
    assert process.exit_code == 2, process.output
    assert complaint in " ".join(process.output.split())
    assert not StudyFolder(tmp_path / "tiny").config.exists()


def test_the_published_config_of_reviews_is_allowed():
    study = load(ROOT / "configs" / "sentiment.toml")
    assert (study.dataset.describe().classes, study.dataset.describe().task) == (
        2,
        "classification",
    )


def test_the_published_config_of_summaries_is_allowed(tmp_path):
    override = f"dataset.path={write_descriptions(tmp_path)}"
    study = load(ROOT / "configs" / "summaries.toml", [override, "training.batch_size=8"])
    assert study.dataset.describe().task == "summarization"
