"""What every dataset shares: limits and the validation split."""

import numpy as np
import pytest

from experiments.data.dataset import stratified
from experiments.data.digits import Digits

SIZES = {0: 40, 1: 20, 2: 8, 3: 4}
LABELS = np.random.default_rng(0).permutation(np.repeat(list(SIZES), list(SIZES.values())))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_share_is_drawn_of_each_class_alike(share):
    marked = stratified(LABELS, share, seed=0)
    assert marked.sum() == round(len(LABELS) * share)
    for label, size in SIZES.items():
        assert abs(marked[label == LABELS].sum() - share * size) <= 1


def test_what_is_drawn_is_a_function_of_the_seed():
    one, same, other = (stratified(LABELS, 0.5, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_labels_that_are_no_classes_are_drawn_from_all():
    labels = {"boxes": np.zeros((20, 3, 4)), "classes": np.zeros((20, 3))}
    assert stratified(labels, 0.3, seed=0).sum() == 6


def rows(inputs):
    return [image.tobytes() for image in inputs]


def test_training_and_validation_share_nothing_and_are_all_there_is():
    whole = Digits(name="digits").load()
    options = Digits(name="digits", train_limit=400, test_limit=30, validation=0.2)
    cut = options.limited()
    assert options.train_size == len(cut.train) == 320
    assert len(cut.validation) == 80
    assert len(cut.test) == 30
    np.testing.assert_array_equal(cut.test.inputs, whole.test.inputs[:30])
    together = rows(cut.train.inputs) + rows(cut.validation.inputs)
    assert sorted(together) == sorted(rows(whole.train.inputs[:400]))
    # In the dataset's own order, each with its own label.
    for split in (cut.train, cut.validation):
        places = [rows(whole.train.inputs[:400]).index(row) for row in rows(split.inputs)]
        assert places == sorted(places)
        np.testing.assert_array_equal(split.labels, whole.train.labels[places])
    counts = np.bincount(whole.train.labels[:400], minlength=10)
    drawn = np.bincount(cut.validation.labels, minlength=10)
    assert np.abs(drawn - 0.2 * counts).max() <= 1


def test_without_a_share_there_is_no_validation_split():
    cut = Digits(name="digits", train_limit=50).limited()
    assert cut.validation is None
    assert len(cut.train) == 50


def test_where_files_lie_does_not_decide_a_run_but_the_validation_seed_does():
    one, other = (Digits(name="digits", validation=0.2, validation_seed=s) for s in (0, 1))
    assert one.identity() != other.identity()
    assert one.identity() == {"name": "digits", "validation": 0.2, "validation_seed": 0}
