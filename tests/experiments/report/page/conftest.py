"""A finished study with a sweep, an absent device and learning curves, from valid records."""

import shutil

import pytest
import tomli_w

from experiments import records, report
from experiments.folder import StudyFolder
from tests.experiments.conftest import environment, measurement, run_record

CORRECT = {
    "max": {100: [900, 910, 905], 1000: [950, 955, 952]},
    "average": {100: [880, 870, 875], 1000: [940, 948, 943]},
    "strided": {100: [800, 810, 790], 1000: [930, 935, 925]},
}


@pytest.fixture(scope="session")
def summarised(tmp_path_factory):
    """The folder of a study of three variants over two sizes, estimated for one more device.

    It is summarised. Tests must not change it.
    """
    folder = StudyFolder(tmp_path_factory.mktemp("pages") / "sizes")
    config = {
        "name": "sizes",
        "dataset": {"name": "digits"},
        "training": {"epochs": 3, "seeds": [0, 1, 2]},
        "measurement": {"targets": ["h100"]},
        "variants": {
            "max": {"pool": "max_pool", "window": 2},
            "average": {"pool": "avg_pool", "window": 2},
            "strided": {"pool": "strided"},
        },
        "sweep": {"dataset.train_limit": [100, 1000]},
        "published": {
            "source": "Someone 2020",
            "accuracy": {"dataset.train_limit=100": {"max": 91.5}},
        },
    }
    records.write_atomically(folder.config, tomli_w.dumps(config))
    records.write(folder.environment, environment())
    for number, (variant, by_size) in enumerate(CORRECT.items(), start=1):
        for size, correct in by_size.items():
            cell = f"dataset.train_limit={size}"
            inner = folder.of_cell(cell)
            for seed, count in enumerate(correct):
                records.write(
                    inner.record(variant, seed), run_record(variant, seed, count, cell=cell)
                )
                records.write_metrics(inner.metrics(variant, seed), _metrics(seed))
            here = {"cell": cell}
            records.write(
                inner.measurement(variant), measurement(variant, 10_000.0 * number, **here)
            )
            there = {"device": "NVIDIA H100", "device_source": "estimated", **here}
            records.write(
                inner.measurement(variant, "h100"),
                measurement(variant, 1e6 * number, noise=0.0, **there),
            )
    report.summarise(folder.path)
    return folder


@pytest.fixture
def swept(summarised, tmp_path):
    """A copy of the study that a test may change."""
    return StudyFolder(shutil.copytree(summarised.path, tmp_path / "sizes"))


def _metrics(seed):
    losses = [2.0 + seed, 1.0, float("inf") if seed == 2 else 0.5]
    return [
        records.EpochMetrics(
            epoch=epoch,
            step=10 * epoch,
            train_loss=loss,
            learning_rate=0.1,
            seconds=1.0,
            examples_per_s=100.0,
        )
        for epoch, loss in enumerate(losses, start=1)
    ]
