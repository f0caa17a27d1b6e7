import random
from pathlib import Path

import jax
import numpy as np
import pytest
from mnist1d.data import get_dataset_args, make_dataset
from typer.testing import CliRunner

from experiments.__main__ import app
from experiments.config import ConfigError, load
from experiments.data.mnist1d import Mnist1d
from experiments.programs import Programs

CONFIGS = Path(__file__).parents[3] / "configs"
STUDIES = ["mnist1d", "mnist1d_matched"]


@pytest.mark.parametrize("examples", [1010, 2530])  # of 2,530 the package's own split is one off
def test_signals_are_those_of_the_published_generator(examples):
    arguments = get_dataset_args()
    arguments.num_samples = examples
    state = np.random.get_state()  # noqa: NPY002
    made = make_dataset(arguments)
    np.random.set_state(state)  # noqa: NPY002
    signals = np.concatenate([made["x"], made["x_test"]]).astype(np.float32)
    labels = np.concatenate([made["y"], made["y_test"]])

    dataset = Mnist1d(examples=examples).load()
    assert len(dataset.train) == examples - 1000
    assert len(dataset.test) == 1000
    np.testing.assert_array_equal(dataset.train.inputs[..., 0], signals[:-1000])
    np.testing.assert_array_equal(dataset.test.inputs[..., 0], signals[-1000:])
    np.testing.assert_array_equal(dataset.train.labels, labels[:-1000])
    np.testing.assert_array_equal(dataset.test.labels, labels[-1000:])
    assert dataset.train.inputs.dtype == np.float32
    assert dataset.train.labels.dtype == np.int32


def test_describe_makes_no_signals_and_tells_what_load_gives():
    options = Mnist1d(examples=10_000_000)
    assert options.describe().train_size == 9_999_000
    info, dataset = Mnist1d(examples=1010).describe(), Mnist1d(examples=1010).load()
    assert info.kind == "signal"
    assert info.input_shape == dataset.train.inputs.shape[1:] == (40, 1)
    assert (info.train_size, info.test_size) == (len(dataset.train), len(dataset.test))


def test_the_seed_decides_and_other_random_numbers_are_left_alone():
    before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    other = Mnist1d(examples=1010, seed=43).load()
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert random.getstate() == before[1]
    assert not np.array_equal(other.test.inputs, Mnist1d(examples=1010).load().test.inputs)


def test_standardising_uses_the_training_set_alone():
    dataset = Mnist1d(examples=1200, standardise=True).load()
    assert abs(dataset.train.inputs.mean()) < 1e-5
    assert abs(dataset.train.inputs.std() - 1) < 1e-5
    assert dataset.train.inputs.flags.writeable
    assert not np.array_equal(dataset.test.inputs, Mnist1d(examples=1200).load().test.inputs)


@pytest.mark.parametrize("examples", [1000, 2005])
def test_other_numbers_of_examples_are_refused(examples):
    sweep = 'sweep={"dataset.train_limit"=[500]}'
    with pytest.raises(ConfigError, match=r"more than 1000 \(the test set\) and a multiple of 10"):
        load(CONFIGS / "mnist1d_matched.toml", [sweep, f"dataset.examples={examples}"])


def parameters(study, variant):
    state = jax.eval_shape(Programs.build(study, variant).init, 0)
    return sum(leaf.size for leaf in jax.tree.leaves(state.parameters))


def test_networks_have_as_many_parameters_as_published_and_matched_ones_are_equal():
    study, matched = (load(CONFIGS / f"{name}.toml") for name in STUDIES)
    assert {name: parameters(study, name) for name in study.variants} == {
        "none": 9310,
        "strided": 3310,
        "max": 3310,
        "average": 3310,
        "l2": 3310,
    }
    assert {parameters(matched, name) for name in matched.variants} == {3310}
    assert set(matched.variants) >= set(study.variants)


def test_both_studies_differ_in_their_variants_without_pooling_only():
    study, matched = (load(CONFIGS / f"{name}.toml") for name in STUDIES)
    cells = zip(study.cells().values(), matched.cells().values(), strict=True)
    for one, other in cells:
        same = {v for v in one.variants if one.fingerprint(v) == other.fingerprint(v)}
        assert same == {"strided", "max", "average", "l2"}


@pytest.mark.thorough
def test_a_tiny_version_shows_published_figures_beside_its_own(tmp_path):
    changes = [
        'sweep={"dataset.examples"=[1200]}',
        "published.accuracy={'dataset.examples=1200'={strided=57.4}}",
        "variants={strided={pool='strided'}}",
        "model.widths=[3, 3]",
        "training.steps=3",
        "training.seeds=[0, 1]",
        "measurement={seconds=0.1, rounds=6, latency_samples=100}",
    ]
    flags = [flag for change in changes for flag in ("--set", change)]
    config = str(CONFIGS / "mnist1d.toml")
    ended = CliRunner().invoke(app, ["run", config, "--out", str(tmp_path), *flags])
    assert ended.exit_code == 0, ended.stderr
    rows = (tmp_path / "mnist1d" / "summary.md").read_text().splitlines()
    (row,) = (row for row in rows if row.startswith("| `strided`"))
    assert [cell.strip() for cell in row.split("|")[2:5:2]] == ["1200", "57.4"]
    assert any("Greydanus" in row for row in rows)
    assert "published" in ended.stdout
    assert (tmp_path / "mnist1d" / "sweep.png").is_file()
