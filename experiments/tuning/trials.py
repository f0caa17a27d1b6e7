"""Trials: training runs of candidates, scored on the validation split and never on the test split.

A trial is an ordinary run in its own folder, so it resumes from its checkpoint after a kill. Its
record, trial.json, is written last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments import checkpoint, environment, records, training
from experiments.choices import TrialRecord
from experiments.config import Study, differences, dump
from experiments.data import Dataset
from experiments.folder import StudyFolder, TrialFolder
from experiments.optimizers import program_fingerprint
from experiments.progress import display
from experiments.records import Origin, RecordError

_PROGRAMS = 4
"""Programs kept for later trials that differ in learning rate or weight decay only."""


@dataclass(frozen=True)
class Candidate:
    """A candidate of a choice: one variant with certain settings.

    Attributes:
        name: Unique name of the candidate, such as `trial-3`.
        folder: The folder of its trials, such as `max/trial-3`.
        variant: The variant to train.
        study: The study with the candidate's settings and the budget of the final runs.
        choice: The candidate's settings, by key.
    """

    name: str
    folder: str
    variant: str
    study: Study
    choice: dict[str, Any]


@dataclass(frozen=True)
class Rung:
    """The budget of a set of trials.

    Attributes:
        share: The share of the epochs or steps of the final runs.
        seeds: The seeds of each candidate.
    """

    share: float
    seeds: tuple[int, ...]

    def study(self, candidate: Candidate) -> Study:
        """The candidate's study with this budget."""
        short = candidate.study.training.shortened(self.share, self.seeds)
        return candidate.study.model_copy(update={"training": short})

    def steps(self, candidate: Candidate) -> int:
        """The number of steps of one trial of the candidate."""
        study = self.study(candidate)
        return study.training.total_steps(study.steps_per_epoch)


class Trials:
    """The trials of one cell of a study.

    Args:
        whole: The study, for error messages.
        folder: Its results folder, for one cell.
        kind: The purpose of the trials: `"tuning"` or `"search"`.
        load: Returns the cell's dataset.
        origin: Environment and code to record as the origin of the trials.
        console: The console for progress.
    """

    def __init__(
        self,
        whole: Study,
        folder: StudyFolder,
        kind: str,
        load: Callable[[], Dataset],
        origin: Origin,
        console: Console,
    ):
        self._whole, self._folder, self._kind = whole, folder, kind
        self._load, self._origin, self._console = load, origin, console
        self._compiled = lru_cache(_PROGRAMS)(lambda _fingerprint: {})
        self.granted: dict[Path, tuple[int, TrialRecord]] = {}

    def run(self, candidates: Sequence[Candidate], rung: Rung) -> dict[str, list[TrialRecord]]:
        """Runs the trials of a rung that are not finished.

        Args:
            candidates: The candidates.
            rung: Their budget.

        Returns:
            The finished trials, one per seed, by candidate. `granted` also stores the trials' paths
            and the steps granted to each.

        Raises:
            RecordError: The folder holds damaged trials, or trials of another config.
        """
        places = {one.name: self._trial_folder(one, rung) for one in candidates}
        todo = {
            one.name: training.groups(rung.study(one), one.variant, places[one.name])
            for one in candidates
        }
        rounds = {
            one.folder: sum(map(len, todo[one.name])) * rung.study(one).rounds for one in candidates
        }
        if runs := sum(len(seeds) for groups in todo.values() for seeds in groups):
            with display(self._console, runs=runs, rounds=rounds) as shown:
                for one in candidates:
                    if todo[one.name]:
                        self._train(one, rung, places[one.name], todo[one.name], shown.epoch)
        found = {}
        for one in candidates:
            found[one.name] = []
            for seed in rung.seeds:
                path = places[one.name].record(one.variant, seed)
                trial = self._read(path, one, rung, seed)
                self.granted[path] = (rung.steps(one), trial)
                found[one.name].append(trial)
        return found

    def refuse_others(self, candidates: Sequence[Candidate], rungs: Sequence[Rung]) -> None:
        """Checks that existing trials, finished or not, are of this config and environment.

        Raises:
            RecordError: They are of another config or environment, or their files are damaged.
        """
        for one in candidates:
            for rung in rungs:
                place, study = self._trial_folder(one, rung), rung.study(one)
                for seed in rung.seeds:
                    path = place.record(one.variant, seed)
                    if path.exists():
                        trial = self._read(path, one, rung, seed)
                        environment.refuse_other_origin(
                            path, trial.origin, self._origin, self._folder.path / self._kind
                        )
                for seeds in training.groups(study, one.variant, place):
                    for path in training.checkpoints(place, one.variant, seeds):
                        if checkpoint.fingerprint(path) != study.fingerprint(one.variant):
                            raise self.other_config(path)

    def other_config(self, path: Path) -> RecordError:
        """The error for a file written by trials of another config."""
        config = self._folder.config
        before = config.read_text() if config.exists() else ""
        changes = "".join(f"\n  {line}" for line in differences(before, dump(self._whole)))
        return RecordError(
            f"{path}: was made with another config. Give the study another name or --out folder, "
            f"or remove {self._folder.path / self._kind} and {self._folder.path / self._kind}.json "
            f"to choose again.{changes}"
        )

    def _train(
        self,
        one: Candidate,
        rung: Rung,
        place: TrialFolder,
        groups: list[tuple[int, ...]],
        show: Callable[..., None],
    ) -> None:
        study = rung.study(one)
        compiled = self._compiled(program_fingerprint(study, one.variant))
        trainer = training.Trainer(study, one.variant, self._data, compiled=compiled)
        for seeds in groups:
            _, histories = trainer.fit(
                seeds, place, lambda seeds, lines: show(one.folder, seeds, lines, study.rounds)
            )
            for seed, history in zip(seeds, histories, strict=True):
                trial = self._record(one, study, seed, history)
                records.write(place.record(one.variant, seed), trial)

    @cached_property
    def _data(self) -> training.Device:
        """The dataset without its test split."""
        dataset = self._load()
        untested = replace(dataset, test=dataset.test.take(slice(0)))
        return training.loaded(self._whole, untested)

    def _record(
        self, one: Candidate, study: Study, seed: int, history: list[records.EpochMetrics]
    ) -> TrialRecord:
        last = history[-1]
        if last.validation_loss is None or last.validation_accuracy is None:
            raise ValueError("a trial needs a validation split")
        return TrialRecord(
            candidate=one.name,
            variant=one.variant,
            seed=seed,
            cell=self._folder.cell,
            choice=one.choice,
            fingerprint=study.fingerprint(one.variant),
            steps=last.step,
            diverged=training.diverged(history),
            train_loss=last.train_loss,
            validation_loss=last.validation_loss,
            validation_accuracy=last.validation_accuracy,
            train_seconds=sum(line.seconds for line in history),
            origin=self._origin,
        )

    def _trial_folder(self, one: Candidate, rung: Rung) -> TrialFolder:
        short = rung.study(one).training
        budget = f"epochs-{short.epochs}" if short.epochs else f"steps-{short.steps}"
        return TrialFolder(self._folder, self._kind, one.folder, budget)

    def _read(self, path: Path, one: Candidate, rung: Rung, seed: int) -> TrialRecord:
        trial = records.read(path, TrialRecord)
        if (trial.variant, trial.seed, trial.cell) != (one.variant, seed, self._folder.cell):
            raise RecordError(
                f"{path}: does not belong here: it is of variant {trial.variant}, seed "
                f"{trial.seed}; remove the folder {path.parent} to run this trial again"
            )
        if trial.fingerprint != rung.study(one).fingerprint(one.variant):
            raise self.other_config(path)
        return trial


def refuse_final_runs(folder: StudyFolder, variant: str, missing: Path) -> None:
    """Refuses final runs of a variant whose choice has not been made.

    Args:
        folder: The study's results folder, for one cell.
        variant: The variant.
        missing: The file that would contain the choice.

    Raises:
        RecordError: Final runs of the variant exist.
    """
    if folder.seeds(variant):
        raise RecordError(
            f"{folder.variant(variant)}: has finished runs, but {missing.name} lacks the "
            "settings of their training. Give the study another name or --out folder, or remove "
            f"{folder.variant(variant)} to train it again"
        )
