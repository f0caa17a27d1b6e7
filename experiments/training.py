"""Training: one variant from several seeds, an epoch at a time, ready to be killed at any moment.

After each epoch a line goes to each run's metrics.jsonl and then the state to a checkpoint, so a
process killed at any moment loses at most the epoch it was in; whoever goes on from there gets the
numbers of an uninterrupted run, for an epoch depends on nothing but the state, the seed and the
epoch's number.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments import checkpoint, records
from experiments.compilation import compile_network
from experiments.config import Study
from experiments.data import Dataset
from experiments.folder import StudyFolder
from experiments.programs import Programs, State, data_order
from experiments.records import EpochMetrics, RunRecord

T = TypeVar("T")
Report = Callable[[tuple[int, ...], list[EpochMetrics]], None]
"""Told after each epoch: the seeds that were trained, and the metrics of each."""


def seeds_together(setting: bool | Literal["auto"], backend: str) -> bool:
    """Whether to train all seeds of a variant in one vectorised program.

    Vectorised over seeds, convolutions become grouped ones. On accelerators that fills the device.
    XLA:CPU has no fast kernel for them: on two cores, per seed and step, the max-pool network took
    3.0 ms instead of 2.4 on digits (5 seeds) and 162 instead of 77 on Fashion-MNIST (3 seeds), and
    without pooling 15.7 instead of 4.9 and 1,483 instead of 384.

    Args:
        setting: What the config says.
        backend: JAX's name of the backend.

    Returns:
        The decision; it depends on nothing else, so a resumed study decides the same.
    """
    return backend != "cpu" if setting == "auto" else setting


def groups(study: Study, variant: str, folder: StudyFolder) -> list[tuple[int, ...]]:
    """The seeds that are still to be trained, those of one program side by side.

    Args:
        study: The study.
        variant: One of its variants.
        folder: The study's results.

    Returns:
        Disjoint groups of seeds, in the order in which to train them.
    """
    wanted = study.training.seeds
    todo = [seed for seed in wanted if not folder.record(variant, seed).exists()]
    if not seeds_together(study.training.seeds_together, jax.default_backend()):
        return [(seed,) for seed in todo]
    # A group that was interrupted goes on as it was, for its numbers belong to its program.
    started = [
        tuple(map(int, re.findall(r"\d+", path.stem)))
        for path in sorted(folder.variant(variant).glob("seeds-*.npz"))
    ]
    resumed = [group for group in started if set(group) & set(todo)]
    rest = tuple(seed for seed in todo if not any(seed in group for group in resumed))
    return resumed + ([rest] if rest else [])


def checkpoint_path(folder: StudyFolder, variant: str, seeds: Sequence[int]) -> Path:
    """Where the state of a group of seeds is kept."""
    if len(seeds) == 1:
        return folder.run(variant, seeds[0]) / "checkpoint.npz"
    return folder.variant(variant) / f"seeds-{'-'.join(map(str, seeds))}.npz"


@dataclass(frozen=True)
class _Compiled:
    """The executables for a group of a certain size."""

    epoch: Callable[..., Any]
    evaluate: Callable[..., Any]


class Trainer:
    """Trains one variant; the data lie on the device, the programs are compiled once."""

    def __init__(self, study: Study, variant: str, dataset: Dataset):
        self._training = study.training
        self._variant = variant
        self._fingerprint = study.fingerprint(variant)
        self._programs = Programs.build(study, variant)
        self._train = jax.device_put((dataset.train.inputs, dataset.train.labels))
        self._test = jax.device_put((dataset.test.inputs, dataset.test.labels))
        self._compiled: dict[int, _Compiled] = {}

    def train(self, seeds: tuple[int, ...], folder: StudyFolder, report: Report) -> None:
        """Trains a group of seeds to the end, from its checkpoint if there is one.

        Args:
            seeds: The seeds; more than one train together in one program.
            folder: Where metrics, checkpoints and records go.
            report: Told after each epoch, those before the checkpoint included.

        Raises:
            RecordError: What the folder holds is damaged or of another config.
        """
        compiled = self._compile(len(seeds))
        path = checkpoint_path(folder, self._variant, seeds)
        state = _grouped([self._programs.init(seed) for seed in seeds])
        restored = checkpoint.restore(path, state, fingerprint=self._fingerprint)
        state, done = (jax.device_put(restored[0]), restored[1]) if restored else (state, 0)
        histories = [self._history(folder, seed, done) for seed in seeds]
        for past in zip(*histories, strict=True):
            report(seeds, list(past))
        for epoch in range(done + 1, self._training.epochs + 1):
            state, metrics = self._epoch(compiled, state, seeds, epoch)
            for seed, history, line in zip(seeds, histories, metrics, strict=True):
                records.append_metrics(folder.metrics(self._variant, seed), line)
                history.append(line)
            checkpoint.save(path, state, epoch=epoch, fingerprint=self._fingerprint)
            report(seeds, metrics)
        for seed, history in zip(seeds, histories, strict=True):
            records.write(folder.record(self._variant, seed), self._record(seed, history))

    def _epoch(
        self, compiled: _Compiled, state: State, seeds: tuple[int, ...], epoch: int
    ) -> tuple[State, list[EpochMetrics]]:
        """Trains and evaluates for one epoch; only the training is timed."""
        order = self._order(seeds, epoch)
        start = time.perf_counter()
        state, train_losses = jax.block_until_ready(compiled.epoch(state, *order, *self._train))
        seconds = time.perf_counter() - start
        test_losses, correct = compiled.evaluate(state, *self._test)
        steps = self._programs.steps
        examples = steps * self._programs.batch_size * len(seeds)
        columns = (np.atleast_1d(column) for column in (train_losses, test_losses, correct))
        return state, [
            EpochMetrics(
                epoch=epoch,
                step=epoch * steps,
                train_loss=float(train_loss),
                test_loss=float(test_loss),
                test_accuracy=int(right) / len(self._test[1]),
                learning_rate=float(np.asarray(self._programs.learning_rate(epoch * steps - 1))),
                seconds=seconds / len(seeds),
                examples_per_s=examples / seconds,
            )
            for train_loss, test_loss, right in zip(*columns, strict=True)
        ]

    def _history(self, folder: StudyFolder, seed: int, done: int) -> list[EpochMetrics]:
        """The metrics up to a checkpoint; what was written after it is taken back."""
        path = folder.metrics(self._variant, seed)
        history = [line for line in records.read_metrics(path) if line.epoch <= done]
        if [line.epoch for line in history] != list(range(1, done + 1)):
            raise records.RecordError(
                f"{path}: lacks epochs before its checkpoint, which has {done}; remove the folder "
                f"{path.parent} to train this again"
            )
        records.write_metrics(path, history)
        return history

    def _record(self, seed: int, history: list[EpochMetrics]) -> RunRecord:
        last, size = history[-1], len(self._test[1])
        return RunRecord(
            variant=self._variant,
            seed=seed,
            fingerprint=self._fingerprint,
            epochs=last.epoch,
            steps=last.step,
            test_accuracy=last.test_accuracy,
            test_loss=last.test_loss,
            train_loss=last.train_loss,
            test_correct=round(last.test_accuracy * size),
            test_size=size,
            train_seconds=sum(line.seconds for line in history),
        )

    def _compile(self, size: int) -> _Compiled:
        """The programs for groups of a size, compiled at its first use."""
        if size not in self._compiled:
            epoch, evaluate = self._programs.epoch, self._programs.evaluate
            if size > 1:
                epoch = jax.vmap(epoch, in_axes=(0, 0, 0, None, None))
                evaluate = jax.vmap(evaluate, in_axes=(0, None, None))
            state = jax.eval_shape(lambda: _grouped([self._programs.init(0)] * size))
            order = self._order(range(size), epoch=1)
            self._compiled[size] = _Compiled(
                epoch=compile_network(
                    jax.jit(epoch, donate_argnums=0).lower(state, *order, *self._train), "training"
                ),
                evaluate=compile_network(jax.jit(evaluate).lower(state, *self._test), "inference"),
            )
        return self._compiled[size]

    def _order(self, seeds: Sequence[int], epoch: int) -> tuple[jax.Array, jax.Array]:
        """The data order and the key of a group's epoch."""
        examples, steps, batch = (
            len(self._train[1]),
            self._programs.steps,
            self._programs.batch_size,
        )
        return jax.block_until_ready(
            _grouped([data_order(seed, epoch, examples, steps, batch) for seed in seeds])
        )


def _grouped(trees: Sequence[T]) -> T:
    """What belongs to each seed, as a program takes it: one alone, or several along an axis."""
    if len(trees) == 1:
        return trees[0]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
