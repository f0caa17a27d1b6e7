"""A whole study: its initial checks, the order of its runs, and how it is resumed.

A study may be killed and started again at any time. Finished runs are kept if they were made with
the current config and environment, and refused otherwise. The remaining runs are then done.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import jax
from rich.console import Console

from experiments import allocator, environment, processes, records, report, training, tuning
from experiments.checks import finished, measured, refuse_impossible, refuse_other_work
from experiments.config import ConfigError, Study, dump
from experiments.data import Dataset
from experiments.estimation import estimate
from experiments.folder import StudyFolder
from experiments.measurement import measure
from experiments.plugins import load as load_plugins
from experiments.progress import display
from experiments.records import (
    Baselines,
    Environment,
    Origin,
    RecordError,
)
from experiments.workers import TrainingTask, Workers, farm
from experiments.writing import remove_torn, writing

Crew = AbstractContextManager[Workers]
"""Opens worker processes, and ends them."""


def run(
    study: Study,
    out: Path,
    console: Console,
    plugins: Sequence[str] = (),
    workers: Crew | None = None,
) -> bool:
    """Runs the unfinished part of a study, and shows its results.

    Args:
        study: The study.
        out: The folder that holds the results folders of all studies.
        console: The console for progress and results.
        plugins: The loaded plug-ins; see `experiments.plugins.load`.
        workers: Worker processes, for example `experiments.workers.local(2)`; None trains in this
            process. Costs are always measured in this process.

    Returns:
        Whether all runs ended with a finite loss.

    Raises:
        ConfigError: A pooling does not fit its stage of the network, or the number of devices does
            not divide a batch.
        DataError: The dataset is missing or damaged.
        RecordError: The results folder has results of another config or environment, is damaged, or
            is in use by another process.
    """
    folder = StudyFolder(out / study.name)
    cells = study.cells()
    checked: set[str] = set()
    for cell in cells.values():
        refuse_impossible(cell, checked)
    divided = any(cell.training.data_parallel for cell in cells.values())
    if jax.process_count() > 1 and not all(c.training.data_parallel for c in cells.values()):
        raise ConfigError(
            "training.data_parallel = false: --coordinator trains on the devices of all processes; "
            "add --set training.data_parallel=true"
        )
    if divided and workers is not None:
        raise ConfigError(
            "training.data_parallel = true: each batch is divided among all devices; leave out "
            "--workers and --dask"
        )
    here = environment.capture(load_plugins(plugins), divided=divided)
    datasets = _Datasets()
    chooser = tuning.chooser(study, cells, folder, datasets.of, here.origin, console)
    for candidate in chooser.candidates():
        refuse_impossible(candidate, checked)
    chosen = chooser.recalled()
    if chosen is not None and not _refuse_other_work(chosen, folder, here.origin):
        chooser.refuse_other_origin()
    for cell in cells.values():
        datasets.of(cell)  # raises DataError before anything is written
    with only_process(folder):
        remove_torn(folder.path)
        records.write_atomically(folder.config, dump(study))
        if chosen is None:
            records.write(folder.environment, here)
            chosen = chooser.choose()
            _refuse_other_work(chosen, folder, here.origin)
        _train_and_measure(chosen, folder, datasets, here, console, plugins, workers)
        _estimate(chosen, folder, here.origin, plugins, console)
        rows = report.summarise(folder.path)
    source = study.published.source if study.published else ""
    untrained, chose = report.baselines(folder.path), report.choices(folder.path, rows)
    report.show(rows, console, study.name, untrained, source, chose)
    console.print(f"results: {folder.path}", highlight=False, soft_wrap=True)
    return not any(row.diverged for row in rows)


def _refuse_other_work(cells: Mapping[str, Study], folder: StudyFolder, here: Origin) -> bool:
    """Checks the finished runs of every cell; returns whether all runs are finished."""
    for name, cell in cells.items():
        refuse_other_work(cell, folder.of_cell(name), here)
    return all(finished(cell, folder.of_cell(name)) for name, cell in cells.items())


def _train_and_measure(
    cells: Mapping[str, Study],
    folder: StudyFolder,
    datasets: "_Datasets",
    here: Environment,
    console: Console,
    plugins: Sequence[str],
    workers: Crew | None,
) -> None:
    todo = {
        (name, variant): training.groups(cell, variant, folder.of_cell(name))
        for name, cell in cells.items()
        for variant in cell.variants
    }
    whole = all(measured(cell, folder.of_cell(name)) for name, cell in cells.items())
    if any(todo.values()) or not whole:
        records.write(folder.environment, here)
        if allocator.kept():
            console.print("memory: glibc keeps what is freed (mallopt)", highlight=False)
    baselines = {name: datasets.of(cell).baselines for name, cell in cells.items()}
    if any(baselines.values()):
        records.write(folder.baselines, Baselines(cells=baselines))
    train(cells, datasets, todo, folder, here.origin, console, plugins, workers)
    processes.end()  # the rest runs in this process alone
    if not whole:
        results = measure(cells, datasets.of, here.origin, _saying(console))
        for (name, variant), result in results.items():
            records.write(folder.of_cell(name).measurement(variant), result)


def _estimate(
    cells: Mapping[str, Study],
    folder: StudyFolder,
    origin: Origin,
    plugins: Sequence[str],
    console: Console,
) -> None:
    """Estimates the costs on absent devices, unless they are estimated already."""
    targets = next(iter(cells.values())).measurement.targets
    if all(measured(c, folder.of_cell(n), target) for n, c in cells.items() for target in targets):
        return
    results = estimate(cells, origin, plugins, _saying(console))
    for (cell, variant, target), one in results.items():
        records.write(folder.of_cell(cell).measurement(variant, target), one)


def _saying(console: Console) -> Callable[[str], None]:
    return lambda words: console.print(words, highlight=False)


class _Datasets:
    """The datasets of a study's cells; cells with the same examples share one dataset."""

    def __init__(self) -> None:
        self._loaded: dict[str, Dataset] = {}

    def of(self, study: Study) -> Dataset:
        key = repr(study.dataset)
        if key not in self._loaded:
            self._loaded[key] = study.dataset.limited()
        return self._loaded[key]


@contextmanager
def only_process(folder: StudyFolder) -> Iterator[None]:
    """Locks a results folder; the operating system releases the lock when the process ends.

    Raises:
        RecordError: Another process holds the lock.
    """
    with writing(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
        file = folder.lock.open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RecordError(
                f"{folder.path}: another process is working in this folder; wait for it to end, "
                "or give this one another --out"
            ) from error
        yield


def train(
    cells: Mapping[str, Study],
    datasets: "_Datasets",
    todo: dict[tuple[str, str], list[tuple[int, ...]]],
    folder: StudyFolder,
    origin: Origin,
    console: Console,
    plugins: Sequence[str] = (),
    workers: Crew | None = None,
) -> None:
    """Trains the unfinished runs.

    Args:
        cells: The studies of a sweep, by cell.
        datasets: The datasets of the cells.
        todo: Groups of seeds to train, by cell and variant.
        folder: The results folder.
        origin: The config and environment to record with the runs.
        console: The console for progress.
        plugins: The plug-ins in use.
        workers: Worker processes; None trains in this process.
    """
    tasks = [
        TrainingTask(
            cell=name,
            variant=variant,
            seeds=seeds,
            config=dump(cells[name].of(variant)),
            folder=folder.path.absolute(),
            plugins=tuple(plugins),
            origin=origin.model_dump_json(),
        )
        for (name, variant), groups in todo.items()
        for seeds in groups
    ]
    rounds = {
        _shown(name, variant): sum(map(len, groups)) * cells[name].of(variant).rounds
        for (name, variant), groups in todo.items()
    }
    if not any(rounds.values()):
        return
    runs = sum(len(task.seeds) for task in tasks)
    if workers is not None:
        with workers as crew, display(console, runs=runs, rounds=rounds, workers=crew.count) as on:
            farm(
                tasks,
                crew,
                lambda task, metrics: on.epoch(
                    _shown(*task.program),
                    task.seeds,
                    metrics,
                    cells[task.cell].of(task.variant).rounds,
                ),
            )
        return
    with display(console, runs=runs, rounds=rounds) as on:
        for name, cell in cells.items():
            data = None
            for variant in cell.variants:
                if not todo[name, variant]:
                    continue
                data = data or training.loaded(cell, datasets.of(cell))
                trainer = training.Trainer(cell, variant, data, origin)
                for seeds in todo[name, variant]:
                    tell = _telling(on.epoch, _shown(name, variant), cell.of(variant).rounds)
                    with training.only_writer(folder.of_cell(name), variant, seeds):
                        trainer.train(seeds, folder.of_cell(name), tell)


def _shown(cell: str, variant: str) -> str:
    return f"{cell} {variant}" if cell else variant


def _telling(show: Callable[..., None], name: str, rounds: int) -> training.Report:
    return lambda seeds, metrics: show(name, seeds, metrics, rounds)
