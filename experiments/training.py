"""Training of one variant from several seeds, in rounds; a killed run resumes from its last round.

A round is an epoch, or some of the steps if the study counts steps. After each round, one line is
appended to the metrics.jsonl of each run, and then the state is written to a checkpoint. A process
killed at any moment loses at most its current round. A resumed run gives the numbers of an
uninterrupted run, because a round depends only on the state, the seed and the indices of its steps.
During training only the validation split is scored. The test split is scored once, at the end.
"""

import fcntl
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from experiments import lockstep, parallel, records, streaming
from experiments.config import Study
from experiments.data import Dataset
from experiments.executor import Compilations, Device, Executor, streamed
from experiments.folder import StudyFolder
from experiments.programs import State
from experiments.records import EpochMetrics, Origin, RunRecord

Report = Callable[[tuple[int, ...], list[EpochMetrics]], None]
"""A function called after each round with the trained seeds and the metrics of each."""


def seeds_together(setting: bool | Literal["auto"], backend: str) -> bool:
    """Whether to train all seeds of a variant in one vectorised program.

    Vectorised over seeds, convolutions become grouped convolutions. They fill an accelerator.
    XLA:CPU has no fast kernel for them: on two cores, per seed and step, the max-pool network took
    3.0 ms instead of 2.4 on digits (5 seeds) and 162 instead of 77 on Fashion-MNIST (3 seeds), and
    without pooling 15.7 instead of 4.9 and 1,483 instead of 384.

    Args:
        setting: The value of `training.seeds_together`.
        backend: JAX's name of the backend.

    Returns:
        The decision. It depends only on the arguments, so a resumed study decides the same.
    """
    return backend != "cpu" if setting == "auto" else setting


def groups(study: Study, variant: str, folder: StudyFolder) -> list[tuple[int, ...]]:
    """The seeds that are still to be trained, grouped by the program that trains them together.

    Args:
        study: The study.
        variant: One of its variants.
        folder: The study's results.

    Returns:
        Disjoint groups of seeds, in the order in which to train them.
    """
    wanted = study.training.seeds
    todo = [seed for seed in wanted if not folder.record(variant, seed).exists()]
    together = seeds_together(study.training.seeds_together, jax.default_backend())
    if study.training.data_parallel or not together:
        return [(seed,) for seed in todo]
    # An interrupted group is resumed unchanged, because its numbers depend on its program.
    started = [
        tuple(map(int, re.findall(r"\d+", path.stem)))
        for path in sorted(folder.variant(variant).glob("seeds-*.npz"))
    ]
    resumed = [group for group in started if set(group) & set(todo)]
    rest = tuple(seed for seed in todo if not any(seed in group for group in resumed))
    return resumed + ([rest] if rest else [])


def checkpoint_path(
    folder: StudyFolder, variant: str, seeds: Sequence[int], *, sharded: bool = False
) -> Path:
    """The path of the checkpoint of a group of seeds.

    Args:
        folder: The study's results.
        variant: Its variant.
        seeds: The group.
        sharded: Whether the state is divided among devices (`training.shard_state`). The path is
            then that of the JSON file that describes the checkpoint.
    """
    if sharded:
        return folder.run(variant, seeds[0]) / "checkpoint" / "checkpoint.json"
    if len(seeds) == 1:
        return folder.run(variant, seeds[0]) / "checkpoint.npz"
    return folder.variant(variant) / f"seeds-{'-'.join(map(str, seeds))}.npz"


def checkpoints(folder: StudyFolder, variant: str, seeds: Sequence[int]) -> list[Path]:
    """The existing checkpoints of a group of seeds, written under any config."""
    paths = [checkpoint_path(folder, variant, seeds, sharded=each) for each in (False, True)]
    return [path for path in paths if path.exists()]


@contextmanager
def only_writer(folder: StudyFolder, variant: str, seeds: Sequence[int]) -> Iterator[None]:
    """A lock: waits until no other process trains these seeds, and makes other processes wait.

    A worker may still train a run after its parent, or the client of its cluster, has ended.
    """
    path = folder.variant(variant) / f".seeds-{'-'.join(map(str, seeds))}.lock"
    with records.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _executor(study: Study, data: Device) -> type[Executor]:
    """The executor of a study: on one device, on all of this process, or on those of several."""
    if not study.training.data_parallel:
        return streaming.Streaming if streamed(data.train) else Executor
    return lockstep.Leader if jax.process_count() > 1 else parallel.Parallel


def loaded(study: Study, dataset: Dataset) -> Device:
    """A dataset in the form that the study's executor reads: on the device or in host memory."""
    return parallel.host(dataset) if study.training.data_parallel else Device.of(dataset)


class Trainer:
    """Trains one variant; its programs are compiled once.

    Args:
        study: The study.
        variant: One of its variants.
        data: The study's dataset; see `loaded`.
        origin: What is recorded as having made the runs.
        compiled: Compiled programs to share; see `Executor`.
    """

    def __init__(
        self,
        study: Study,
        variant: str,
        data: Device,
        origin: Origin | None = None,
        compiled: Compilations | None = None,
    ):
        study = study.of(variant)
        self._variant = variant
        self._fingerprint = study.fingerprint(variant)
        self._sharded, self._data = study.training.shard_state, data
        self._executor = _executor(study, data)(study, variant, data, compiled)
        self._programs = self._executor.programs
        self._origin = origin
        self._rounds = study.rounds
        per_epoch = study.steps_per_epoch
        self._total = study.training.total_steps(per_epoch)
        self._round_steps = study.training.round_steps(per_epoch)

    def train(self, seeds: tuple[int, ...], folder: StudyFolder, report: Report) -> None:
        """Trains a group of seeds as `fit` does, and scores and records each on the test split."""
        state, histories = self.fit(seeds, folder, report)
        scores = self._scores(state, len(seeds), self._data.test)
        for seed, history, score in zip(seeds, histories, scores, strict=True):
            record = self._record(folder.cell, seed, history, score)
            records.write(folder.record(self._variant, seed), record)

    def fit(
        self, seeds: tuple[int, ...], folder: StudyFolder, report: Report
    ) -> tuple[State, list[list[EpochMetrics]]]:
        """Trains a group of seeds to the end, from its checkpoint if there is one.

        Args:
            seeds: The seeds; more than one train together in one program.
            folder: Where metrics and checkpoints go.
            report: Told after each round, those before the checkpoint included.

        Returns:
            The last state, and the metrics of every round for each seed.

        Raises:
            RecordError: What the folder holds is damaged or of another config.
        """
        path = checkpoint_path(folder, self._variant, seeds, sharded=self._sharded)
        state, done = self._executor.start(path, seeds, self._fingerprint)
        histories = [self._history(folder, seed, done) for seed in seeds]
        for past in zip(*histories, strict=True):
            report(seeds, list(past))
        for number in range(done + 1, self._rounds + 1):
            if histories[0] and all(diverged(history) for history in histories):
                break
            state, metrics = self._round(state, seeds, number)
            for seed, history, line in zip(seeds, histories, metrics, strict=True):
                records.append_metrics(folder.metrics(self._variant, seed), line)
                history.append(line)
            self._executor.save(path, state, epoch=number, fingerprint=self._fingerprint)
            report(seeds, metrics)
        return state, histories

    def _round(
        self, state: State, seeds: tuple[int, ...], number: int
    ) -> tuple[State, list[EpochMetrics]]:
        """Trains one round, and scores it on the validation split; only the training is timed."""
        first = (number - 1) * self._round_steps
        steps = min(self._round_steps, self._total - first)
        state, losses, seconds = self._executor.train(state, seeds, first, steps)
        scores: list[dict[str, Any]] = [{}] * len(seeds)
        if self._data.validation is not None:
            scores = self._scores(state, len(seeds), self._data.validation)
        examples = steps * self._programs.batch_size * len(seeds)
        step = first + steps
        return state, [
            EpochMetrics(
                epoch=number,
                step=step,
                train_loss=float(loss),
                validation_loss=_mean(score["loss"]) if score else None,
                validation_accuracy=_mean(score["accuracy"]) if score else None,
                learning_rate=float(np.asarray(self._programs.learning_rate(step - 1))),
                seconds=seconds / len(seeds),
                examples_per_s=examples / seconds,
            )
            for loss, score in zip(losses, scores, strict=True)
        ]

    def _scores(
        self, state: State, size: int, split: tuple[Any, ...]
    ) -> list[dict[str, tuple[Any, Any]]]:
        """The scores of every seed of a group on one split."""
        scores = self._executor.score(state, size, split)
        return [jax.tree.map(operator.itemgetter(i), scores) for i in range(size)]

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

    def _record(
        self, cell: str, seed: int, history: list[EpochMetrics], score: dict[str, Any]
    ) -> RunRecord:
        last, (correct, size) = history[-1], score["accuracy"]
        others = set(score) - {"accuracy", "loss"}
        return RunRecord(
            variant=self._variant,
            seed=seed,
            cell=cell,
            fingerprint=self._fingerprint,
            epochs=-(-last.step // self._programs.steps_per_epoch),
            steps=last.step,
            diverged=diverged(history),
            test_accuracy=int(correct) / int(size),
            test_loss=_mean(score["loss"]),
            train_loss=last.train_loss,
            validation_accuracy=last.validation_accuracy,
            metrics={name: _mean(score[name]) for name in sorted(others)},
            test_correct=int(correct),
            test_size=int(size),
            train_seconds=sum(line.seconds for line in history),
            origin=self._origin,
        )


def _mean(score: tuple[Any, Any]) -> float:
    total, weight = score
    return float(total) / float(weight) if weight else math.nan


def diverged(history: Sequence[EpochMetrics]) -> bool:
    """Whether a run's loss has ceased to be finite."""
    return not math.isfinite(history[-1].train_loss)
