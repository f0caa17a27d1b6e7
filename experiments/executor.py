"""Runs the programs of one variant on one device that holds the dataset."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments import checkpoint
from experiments.clock import Stopwatch
from experiments.compilation import compile_network
from experiments.config import Study
from experiments.data import Dataset, Split, Stream
from experiments.programs import Programs, State, data_order

T = TypeVar("T")
Compilations = dict[Any, Callable[..., Any]]
"""Compiled programs by purpose and shape."""


@dataclass(frozen=True)
class Device:
    """The splits of a dataset on the device, shared by all variants.

    A split in memory is a pair of inputs and labels. A streamed split is a tuple with its `Stream`.
    """

    train: tuple[Any, ...]
    test: tuple[Any, ...]
    validation: tuple[Any, ...] | None

    @classmethod
    def of(cls, dataset: Dataset) -> "Device":
        """Puts a dataset on the device."""
        splits = (dataset.train, dataset.test, dataset.validation)
        return cls(*(None if s is None else held(s, jax.device_put) for s in splits))  # type: ignore[arg-type]


def held(split: Split | Stream, place: Callable[[Any], Any]) -> tuple[Any, ...]:
    """A split in the form that `Device` stores.

    Args:
        split: The split.
        place: Transfers inputs and labels to the device.
    """
    return (split,) if isinstance(split, Stream) else place((split.inputs, split.labels))


def examples(split: tuple[Any, ...]) -> int:
    """The number of examples in a split."""
    return len(split[0]) if streamed(split) else len(jax.tree.leaves(split[1])[0])


def streamed(split: tuple[Any, ...]) -> bool:
    """Whether the examples of a split are streamed from files."""
    return isinstance(split[0], Stream)


class Executor:
    """Trains and scores one variant on one device.

    Args:
        study: The study.
        variant: One of its variants.
        data: The dataset, on the device.
        compiled: The compiled programs of executors with the same `program_fingerprint`; programs
            that are compiled here are added.
    """

    def __init__(
        self, study: Study, variant: str, data: Device, compiled: Compilations | None = None
    ):
        self.programs = Programs.build(study, variant)
        self._shuffle, self._data = study.of(variant).training.shuffle, data
        self._examples = examples(data.train)
        self._compiled = {} if compiled is None else compiled

    def split(self, name: str) -> Any:
        """The `"test"` or `"validation"` split."""
        return self._data.test if name == "test" else self._data.validation

    def start(self, path: Path, seeds: Sequence[int], fingerprint: str) -> tuple[State, int]:
        """The state from which the training of a group goes on.

        Args:
            path: The group's checkpoint, which need not exist.
            seeds: The seeds.
            fingerprint: Of the config that must have made the checkpoint.

        Returns:
            The state and how many rounds it has seen.

        Raises:
            RecordError: The checkpoint is damaged, or was made by another config.
        """
        state = grouped([self.programs.init(seed) for seed in seeds])
        restored = checkpoint.restore(path, state, fingerprint=fingerprint)
        state, done = restored or (state, 0)
        return self.place(state), done

    def save(self, path: Path, state: State, *, epoch: int, fingerprint: str) -> None:
        """Replaces a group's checkpoint; see `start`."""
        checkpoint.save(path, state, epoch=epoch, fingerprint=fingerprint)

    def place(self, state: State) -> State:
        """Transfers a state that was read from a checkpoint to the device."""
        return jax.device_put(state)

    def train(
        self, state: State, seeds: Sequence[int], first: int, steps: int
    ) -> tuple[State, np.ndarray, float]:
        """Trains a group of seeds for some steps.

        Args:
            state: The state of the group; its buffers are donated.
            seeds: The seeds; several seeds run in one vectorised program.
            first: The index of the first step, from 0.
            steps: Number of steps.

        Returns:
            The state after the steps, the mean loss per seed, and the run time in seconds without
            compilation.
        """
        order = self._order(seeds, first, steps)
        program = self._training_program(state, order, len(seeds))
        with Stopwatch() as watch:
            state, losses = jax.block_until_ready(program(state, *order, *self._data.train))
        return state, np.atleast_1d(losses), watch.seconds

    def score(self, state: State, size: int, split: tuple[Any, ...]) -> Any:
        """The scores of a group of seeds on one split: a sum and a weight per metric and seed."""
        program = self._scoring_program(state, split, size)
        return jax.tree.map(np.atleast_1d, jax.device_get(program(state, *split)))

    def _training_program(self, state: State, order: Any, size: int) -> Callable[..., Any]:
        """The program of one round of a group, compiled at first use."""
        key = ("train", size, math.prod(order[1].shape))
        if key not in self._compiled:
            program = self.programs.round
            if size > 1:
                program = jax.vmap(program, in_axes=(0, 0, 0, None, None))
            lowered = jax.jit(program, donate_argnums=0).lower(state, *order, *self._data.train)
            self._compiled[key] = compile_network(lowered, "training")
        return self._compiled[key]

    def _scoring_program(self, state: State, split: Any, size: int) -> Callable[..., Any]:
        """The program that scores a split for a group, compiled at first use."""
        key = ("score", size, examples(split))
        if key not in self._compiled:
            program = self.programs.evaluate
            if size > 1:
                program = jax.vmap(program, in_axes=(0, None, None))
            lowered = jax.jit(program).lower(state, *split)
            self._compiled[key] = compile_network(lowered, "inference")
        return self._compiled[key]

    def _order(self, seeds: Sequence[int], first: int, steps: int) -> tuple[jax.Array, jax.Array]:
        """The data order and the keys of some steps of a group."""
        programs = self.programs
        sizes = (self._examples, programs.steps_per_epoch, programs.batch_size)
        return jax.block_until_ready(
            grouped([data_order(seed, first, steps, *sizes, self._shuffle) for seed in seeds])
        )


def grouped(trees: Sequence[T]) -> T:
    """The trees of a group as one operand: one tree unchanged, several stacked on a first axis."""
    if len(trees) == 1:
        return trees[0]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
