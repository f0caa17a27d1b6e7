"""A training program as it is sent to a worker, and the functions by which the worker runs it."""

import functools
from dataclasses import dataclass
from pathlib import Path

from experiments import environment, plugins, toml, training
from experiments.allocator import keep_freed_memory
from experiments.compilation import use_cache
from experiments.config import Study
from experiments.folder import StudyFolder
from experiments.records import Origin, RecordError


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """One training program: a run, or several seeds trained together.

    Attributes:
        cell: The sweep cell; empty without a sweep.
        variant: The variant.
        seeds: The seeds.
        config: The study of the cell, as TOML, since plug-ins may have to be loaded before it can
            be parsed.
        folder: The absolute path of the results folder.
        plugins: The plug-ins in use.
        origin: Environment and code to record as the origin of the runs, as JSON.
    """

    cell: str
    variant: str
    seeds: tuple[int, ...]
    config: str
    folder: Path
    plugins: tuple[str, ...]
    origin: str

    @property
    def program(self) -> tuple[str, str]:
        """Cell and variant; tasks with equal values share compiled programs."""
        return self.cell, self.variant

    @property
    def place(self) -> StudyFolder:
        """The results folder."""
        return StudyFolder(self.folder, self.cell)

    def __str__(self) -> str:
        seeds = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"seeds {self.seeds}"
        return f"{self.cell} {self.variant}, {seeds}".strip()


def carry_out(task: TrainingTask) -> None:
    """Trains a task in a worker process.

    Raises:
        RecordError: The files in the folder are damaged or of another config.
    """
    _prepare()
    study = _study(task.config, task.plugins)
    trainer = _trainer(task.config, task.plugins, task.variant, task.origin)
    with training.only_writer(task.place, task.variant, task.seeds):
        if any(seeds == task.seeds for seeds in training.groups(study, task.variant, task.place)):
            trainer.train(task.seeds, task.place, lambda seeds, metrics: None)


def carry_out_elsewhere(task: TrainingTask) -> None:
    """Runs `carry_out` in a worker whose environment may differ from that of the sending process.

    Raises:
        RecordError: The environments differ, the worker cannot see the results folder, or
            `carry_out` raised it.
    """
    if not task.folder.is_dir():
        raise RecordError(
            f"{task.folder}: a worker does not see this folder; workers must share it"
        )
    here = environment.capture(plugins.load(task.plugins)).origin
    sent = Origin.model_validate_json(task.origin)
    for key, value in sent:
        if getattr(here, key) != value:
            raise RecordError(
                f"{task.folder}: a worker runs in another environment; a results folder has one: "
                f"{key} is {getattr(here, key)!r} there, and {value!r} here"
            )
    carry_out(task)


@functools.cache
def _prepare() -> None:
    keep_freed_memory()
    use_cache()


# A worker keeps the compiled programs of its current variant, and the data of its current cell.


@functools.lru_cache(maxsize=1)
def _study(config: str, used: tuple[str, ...]) -> Study:
    plugins.load(used)
    return Study.model_validate(toml.parse(config))


@functools.lru_cache(maxsize=1)
def _data(config: str, used: tuple[str, ...]) -> training.Device:
    return training.Device.of(_study(config, used).dataset.limited())


@functools.lru_cache(maxsize=1)
def _trainer(config: str, used: tuple[str, ...], variant: str, origin: str) -> training.Trainer:
    study, data = _study(config, used), _data(config, used)
    return training.Trainer(study, variant, data, Origin.model_validate_json(origin))
