"""A whole study: what is checked before it starts, in which order it runs, how it goes on.

A study may be killed and started again at any moment. What is finished is kept if the config that
made it is the config of today, and refused otherwise; the rest is done.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from rich.console import Console

from experiments import allocator, checkpoint, data, environment, records, report, training
from experiments.config import ConfigError, Study, differences, dump
from experiments.data import Dataset, Split
from experiments.folder import StudyFolder
from experiments.measurement import measure
from experiments.models import SlotError
from experiments.programs import Programs
from experiments.progress import display
from experiments.records import Measurement, RecordError, RunRecord


def run(study: Study, out: Path, console: Console) -> Path:
    """Runs a study, or what is left of it, and shows its results.

    Args:
        study: The study.
        out: The folder that holds the results folders of all studies.
        console: Where to show progress and results.

    Returns:
        The study's results folder.

    Raises:
        ConfigError: A pooling cannot work where the config puts it.
        DataError: The dataset is missing or damaged.
        RecordError: The results folder holds work of another config, or is damaged.
    """
    folder = StudyFolder(out / study.name)
    refuse_impossible(study)
    refuse_other_work(study, folder)
    dataset = load(study)
    records.write_atomically(folder.config, dump(study))
    todo = {variant: training.groups(study, variant, folder) for variant in study.variants}
    if any(todo.values()) or not measured(study, folder):
        records.write(folder.environment, environment.capture())
        if allocator.kept():
            console.print("memory: glibc keeps what is freed (mallopt)", highlight=False)
    train(study, dataset, todo, folder, console)
    if not measured(study, folder):
        for result in measure(study, lambda words: console.print(words, highlight=False)):
            records.write(folder.measurement(result.variant), result)
    report.show(report.summarise(folder.path), console, study.name)
    console.print(f"results: {folder.path}", highlight=False, soft_wrap=True)
    return folder.path


def refuse_impossible(study: Study) -> None:
    """Traces every variant's training step on shapes alone.

    Args:
        study: The study.

    Raises:
        ConfigError: A pooling cannot pool the feature map that it meets.
    """
    info = data.describe(study.dataset.name)
    inputs = jax.ShapeDtypeStruct((study.training.batch_size, *info.input_shape), jnp.float32)
    labels = jax.ShapeDtypeStruct((study.training.batch_size,), jnp.int32)
    for variant in study.variants:
        try:
            programs = Programs.build(study, variant)
            state = jax.eval_shape(programs.init, 0)
            jax.eval_shape(programs.predict, state, inputs)
            jax.eval_shape(programs.step, state, inputs, labels, jax.random.key(0))
        except SlotError as error:
            raise ConfigError(str(error)) from error


def refuse_other_work(study: Study, folder: StudyFolder) -> None:
    """Checks that runs that are finished or begun belong to this study.

    Args:
        study: The study.
        folder: Its results.

    Raises:
        RecordError: A run was trained with another config, or what it left is damaged.
    """
    for variant in study.variants:
        made_by = {
            path: records.read(path, RunRecord).fingerprint
            for path in (folder.record(variant, seed) for seed in study.training.seeds)
            if path.exists()
        }
        for seeds in training.groups(study, variant, folder):
            path = training.checkpoint_path(folder, variant, seeds)
            if path.exists():
                made_by[path] = checkpoint.fingerprint(path)
        for path, fingerprint in made_by.items():
            if fingerprint != study.fingerprint(variant):
                before = folder.config.read_text() if folder.config.exists() else ""
                changes = "".join(f"\n  {line}" for line in differences(before, dump(study)))
                raise RecordError(
                    f"{path}: was trained with another config. Give the study another name or "
                    f"--out folder, or remove {folder.variant(variant)} to train it "
                    f"again.{changes}"
                )


def load(study: Study) -> Dataset:
    """The study's dataset, cut to its limits."""
    section = study.dataset
    whole = data.load(section.name, section.directory)
    return Dataset(
        name=whole.name,
        train=Split(
            whole.train.inputs[: section.train_limit], whole.train.labels[: section.train_limit]
        ),
        test=Split(
            whole.test.inputs[: section.test_limit], whole.test.labels[: section.test_limit]
        ),
        classes=whole.classes,
    )


def train(
    study: Study,
    dataset: Dataset,
    todo: dict[str, list[tuple[int, ...]]],
    folder: StudyFolder,
    console: Console,
) -> None:
    """Trains what is left to train.

    Args:
        study: The study.
        dataset: Its data.
        todo: Groups of seeds by variant.
        folder: Where the results go.
        console: Where to show progress.
    """
    runs = {variant: sum(map(len, groups)) for variant, groups in todo.items()}
    if not any(runs.values()):
        return
    with display(console, runs=runs, epochs=study.training.epochs) as shown:
        for variant, groups in todo.items():
            if not groups:
                continue
            trainer = training.Trainer(study, variant, dataset)
            for seeds in groups:
                trainer.train(seeds, folder, _telling(shown.epoch, variant))


def measured(study: Study, folder: StudyFolder) -> bool:
    """Whether all variants have been measured, and side by side."""
    paths = [folder.measurement(variant) for variant in study.variants]
    if not all(path.exists() for path in paths):
        return False
    found = [records.read(path, Measurement) for path in paths]
    return all(one.batch_size == study.training.batch_size for one in found)


def _telling(show: Callable[..., None], variant: str) -> training.Report:
    return lambda seeds, metrics: show(variant, seeds, metrics)
