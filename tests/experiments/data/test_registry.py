import numpy as np
import pytest

from experiments import data
from experiments.config import ConfigError, load
from experiments.data import cifar10, digits, fashion_mnist, mnist
from tests.experiments.tiny import write_tiny

BUILT_IN = {
    "digits": digits.INFO,
    "mnist": mnist.INFO,
    "fashion_mnist": fashion_mnist.INFO,
    "cifar10": cifar10.INFO,
}


def options(name):
    return data.datasets()[name](name=name)


def test_the_four_datasets_are_built_in():
    assert set(BUILT_IN) <= set(data.datasets())


def test_an_unknown_dataset_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown dataset.* known: .*cifar10.*fashion_mnist"):
        load(write_tiny(tmp_path), ["dataset.name=cifar100"])


@pytest.mark.parametrize("name", BUILT_IN)
def test_describe_knows_shapes_without_loading(name):
    info = options(name).describe()
    assert info == BUILT_IN[name]
    assert info.kind == "image"
    assert info.task == "classification"
    assert len(info.input_shape) == 3
    assert info.classes == 10
    assert info.train_size > info.test_size > 0
    inputs, labels = info.batch(5)
    assert inputs.shape == (5, *info.input_shape)
    assert labels.shape == (5,)


def test_digits_are_what_describe_says_and_standardised_by_the_training_set():
    digits, info = options("digits").load(), options("digits").describe()
    assert digits.train.inputs.shape == (info.train_size, *info.input_shape)
    assert digits.test.inputs.shape == (info.test_size, *info.input_shape)
    assert digits.train.inputs.dtype == np.float32
    assert digits.train.labels.dtype == np.int32
    assert digits.classes == 10
    assert abs(digits.train.inputs.mean(dtype=np.float64)) < 1e-5
    assert abs(digits.train.inputs.std(dtype=np.float64) - 1) < 1e-5
    assert abs(digits.test.inputs.mean(dtype=np.float64)) > 1e-5


def test_digits_split_is_stratified_complete_and_disjoint():
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    seen = dict.fromkeys(range(10), 0)
    in_test = []
    for target in targets:
        in_test.append(seen[target] % 3 == 0)
        seen[target] += 1
    in_test = np.array(in_test)
    train = pixels[~in_test]

    digits = options("digits").load()
    np.testing.assert_array_equal(digits.test.labels, targets[in_test])
    np.testing.assert_array_equal(digits.train.labels, targets[~in_test])
    np.testing.assert_allclose(
        digits.test.inputs.reshape(-1, 64),
        (pixels[in_test] - train.mean()) / train.std(),
        rtol=1e-5,
        atol=1e-6,
    )
    for label in range(10):
        share = (digits.test.labels == label).sum() / (targets == label).sum()
        assert abs(share - 1 / 3) < 0.01
