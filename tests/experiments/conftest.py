"""Finished studies on disk, with valid records of invented numbers."""

import hashlib

import pytest
import tomli_w

from experiments import records
from experiments.folder import StudyFolder
from experiments.report.plan import read_plan
from experiments.report.rows import gather
from experiments.report.summary_csv import to_csv
from tests import quick
from tests.experiments.browser import Browser, find

TEST_SIZE = 1000


@pytest.fixture(autouse=True, scope="module")
def networks_are_compiled_quickly(compile_quickly):
    """Half of the time of the lab's tests is compilation, and no result of theirs depends on it.

    Child processes compile with the same options, since tests compare their numbers bit for bit.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", quick.flags())
        yield


def measurement(variant, speed=10_000.0, noise=0.02, **changes):
    def throughput(median):
        low, high = median * (1 - noise), median * (1 + noise)
        return records.Throughput(median=median, low=low, high=high, samples=(low, median, high))

    values = {
        "variant": variant,
        "device": "cpu: Test Processor, 2 cores",
        "device_source": "measured",
        "batch_size": 64,
        "parameters": 1234,
        "flops_per_example": 56_789.0,
        "peak_memory_mb": 12.5,
        "compile_s": 1.25,
        "train_examples_per_s": throughput(speed / 4),
        "infer_examples_per_s": throughput(speed),
        "latency_ms": records.Latency(p50=0.1, p95=0.2, p99=0.4, samples=100),
    }
    return records.Measurement(**{**values, **changes})


def run_record(variant, seed, correct, **changes):
    size = changes.get("test_size", TEST_SIZE)
    values = {
        "variant": variant,
        "seed": seed,
        "fingerprint": "ab" * 32,
        "epochs": 2,
        "steps": 20,
        "test_accuracy": correct / size,
        "test_loss": 0.5,
        "train_loss": 0.25,
        "test_correct": correct,
        "test_size": size,
        "train_seconds": 1.5,
    }
    return records.RunRecord(**{**values, **changes})


def environment(**changes):
    values = {
        "started": "2026-01-01T00:00:00+00:00",
        "versions": {"python": "3.11.0", "jax": "0.10.2"},
        "platform": "Linux",
        "device": "cpu: Test Processor, 2 cores",
        "device_kind": "cpu",
        "devices": 1,
        "cpu_model": "Test Processor",
        "cores": 2,
        "xla_flags": "",
        "allocator": {},
        "git_commit": None,
        "git_dirty": None,
    }
    return records.Environment(**{**values, **changes})


def write_summary(path):
    """Writes the summary.csv of a finished study without drawing anything."""
    study = StudyFolder(path)
    plan = read_plan(study)
    records.write_atomically(study.summary_csv, to_csv(gather(study, plan.variants, plan.seeds)))
    return path


@pytest.fixture
def make_study(tmp_path):
    """Writes a finished study's config, environment and records; returns its folder.

    `correct` has the number of correct answers of 1,000, by variant and seed (a list from seed 0,
    or a dict).
    """

    def make(
        name,
        correct,
        *,
        speeds=None,
        dataset="digits",
        epochs=2,
        measured=None,
        fingerprint="ab" * 32,
        **where,
    ):
        folder = StudyFolder(tmp_path / name)
        by_variant = {
            variant: answers if isinstance(answers, dict) else dict(enumerate(answers))
            for variant, answers in correct.items()
        }
        config = {
            "name": folder.path.name,
            "dataset": {"name": dataset},
            "training": {"epochs": epochs, "seeds": sorted(set().union(*by_variant.values()))},
            "variants": {variant: {"pool": variant, "window": 2} for variant in correct},
        }
        records.write_atomically(folder.config, tomli_w.dumps(config))
        records.write(folder.environment, environment(**where))
        for variant, by_seed in by_variant.items():
            for seed, count in by_seed.items():
                digest = hashlib.sha256(f"{fingerprint} {variant}".encode()).hexdigest()
                record = run_record(variant, seed, count, fingerprint=digest)
                records.write(folder.record(variant, seed), record)
            speed = (speeds or {}).get(variant, 10_000.0)
            made = measurement(variant, speed, **(measured or {}).get(variant, {}))
            records.write(folder.measurement(variant), made)
        return folder.path

    return make


@pytest.fixture
def make_rows(make_study):
    """Makes a study and gathers its rows, without drawing anything."""

    def make(correct, **options):
        folder = StudyFolder(make_study("study", correct, **options))
        plan = read_plan(folder)
        return gather(folder, plan.variants, plan.seeds)

    return make


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium."""
    program = find()
    if program is None:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    running = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """The user's cache folder is an empty one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
