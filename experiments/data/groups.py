"""Splits that keep groups of examples together, such as copies of one text."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.data.dataset import DatasetOptions


@dataclass(frozen=True)
class Places:
    """Indices of the examples of each split, in the order of the split.

    Attributes:
        train: Training examples, after `train_limit`, without validation examples.
        validation: Validation examples; empty if the config asks for none.
        test: Test examples, after `test_limit`.
        train_size: Number of training examples before the limit, including validation examples.
        test_size: Number of test examples before the limit.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    train_size: int
    test_size: int


def places(
    options: DatasetOptions,
    test: float,
    test_seed: int,
    groups: NDArray[Any],
    labels: NDArray[Any] | None = None,
) -> Places:
    """Splits examples into training, validation and test examples; keeps each group in one split.

    Args:
        options: The dataset options, with limits and the share of validation examples.
        test: The share of test examples.
        test_seed: The random seed of the test examples and of the order of all examples.
        groups: The group of each example (N,).
        labels: The class of each example (N,), for splits stratified by class.

    Returns:
        The indices of the examples of each split.
    """
    if labels is None:
        labels = np.zeros(len(groups), np.int32)
    order = np.random.default_rng(test_seed).permutation(len(groups))
    held_out = marked(groups, labels, test, test_seed)[order]
    whole_train, whole_test = order[~held_out], order[held_out]
    train = whole_train[: options.train_limit]
    apart = marked(groups[train], labels[train], options.validation, options.validation_seed)
    return Places(
        train=train[~apart],
        validation=train[apart],
        test=whole_test[: options.test_limit],
        train_size=len(whole_train),
        test_size=len(whole_test),
    )


def marked(
    groups: NDArray[Any], labels: NDArray[Any], share: float, seed: int
) -> NDArray[np.bool_]:
    """Marks random whole groups, with at most a share of the examples of each class.

    Args:
        groups: The group of each example (N,).
        labels: The class of each example (N,); the class of a group is that of its first example.
        share: The share to mark. Small groups reach it almost exactly.
        seed: The random seed.

    Returns:
        Booleans (N,).
    """
    if not len(groups):
        return np.zeros(0, bool)
    _, first, member, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    classes = np.asarray(labels)[first]
    chosen = np.zeros(len(first), bool)
    room = {label: round(share * sizes[classes == label].sum()) for label in np.unique(classes)}
    for group in np.random.default_rng(seed).permutation(len(first)):
        if sizes[group] <= room[classes[group]]:
            chosen[group] = True
            room[classes[group]] -= sizes[group]
    return chosen[member.reshape(-1)]


def connected(parts: Sequence[Sequence[Hashable]]) -> NDArray[np.int64]:
    """Groups examples by connected components: two examples are linked if they share a part.

    Args:
        parts: The parts of each example.

    Returns:
        The group of each example (N,).

    Example:
        >>> connected([["a", "b"], ["c"], ["b", "d"], ["d"]])
        array([0, 1, 0, 0])
    """
    parent = list(range(len(parts)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    owner: dict[Hashable, int] = {}
    for number, own in enumerate(parts):
        for part in own:
            first, second = root(owner.setdefault(part, number)), root(number)
            parent[max(first, second)] = min(first, second)
    return np.array([root(number) for number in range(len(parts))], np.int64)
