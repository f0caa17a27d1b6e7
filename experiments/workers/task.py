"""One training program, as it is sent to a worker, and how the worker carries it out."""

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
class Task:
    """One training program: a run, or several seeds that train together.

    Attributes:
        cell: The cell of a sweep; empty without a sweep.
        variant: The variant.
        seeds: Its seeds.
        config: The study of that cell, as TOML: plug-ins may have to be loaded to make sense of it.
        folder: The absolute path of the results folder.
        plugins: The plug-ins in use.
        origin: What is recorded as having made the runs, as JSON.
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
        """Tasks with the same one share compiled programs."""
        return self.cell, self.variant

    @property
    def place(self) -> StudyFolder:
        """The results folder."""
        return StudyFolder(self.folder, self.cell)

    def __str__(self) -> str:
        seeds = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"seeds {self.seeds}"
        return f"{self.cell} {self.variant}, {seeds}".strip()


def carry_out(task: Task) -> None:
    """Trains a task, in a worker process.

    Raises:
        RecordError: What the folder holds is damaged or of another config.
    """
    _prepare()
    study = _study(task.config, task.plugins)
    trainer = _trainer(task.config, task.plugins, task.variant, task.origin)
    with training.only_writer(task.place, task.variant, task.seeds):
        if any(seeds == task.seeds for seeds in training.groups(study, task.variant, task.place)):
            trainer.train(task.seeds, task.place, lambda seeds, metrics: None)


def carry_out_elsewhere(task: Task) -> None:
    """`carry_out` in a worker that may be another environment than the process that sends tasks.

    Raises:
        RecordError: It is another one, does not see the results folder, or as `carry_out` does.
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
                f"{task.folder}: a worker is another environment, and one results folder has one: "
                f"{key} is {getattr(here, key)!r} there, and {value!r} here"
            )
    carry_out(task)


@functools.cache
def _prepare() -> None:
    keep_freed_memory()
    use_cache()


# A worker keeps what it compiled for the variant that it is at, and the data of its cell.


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
