"""Checks of a study before it starts, and of the runs and measurements that already exist."""

from typing import Any

import jax

from experiments import checkpoint, environment, parallel, placement, records, training
from experiments.config import ConfigError, Study, differences, dump
from experiments.folder import StudyFolder
from experiments.models import ModelError
from experiments.programs import Programs
from experiments.records import Environment, Measurement, Origin, RecordError, RunRecord
from experiments.state_sharding import bytes_per_device, state_shardings


def refuse_impossible(study: Study, checked: set[str] | None = None) -> None:
    """Refuses a study whose networks cannot be built, by tracing every training step on shapes.

    Args:
        study: The study.
        checked: Fingerprints of programs that were already traced, such as those of cells that
            differ only in the size of the training set. Those traced here are added.

    Raises:
        ConfigError: A pooling does not fit its feature map, the parameters of the network are
            larger than the device's memory, or the devices do not divide a batch.
    """
    inputs, labels = study.dataset.describe().batch(study.training.batch_size)
    parallel.refuse_uneven(study)
    checked = set() if checked is None else checked
    for variant in study.variants:
        if study.cost_fingerprint(variant) in checked:
            continue
        checked.add(study.cost_fingerprint(variant))
        try:
            programs = Programs.build(study, variant)
            state = jax.eval_shape(programs.init, 0)
            _refuse_larger_than_memory(state, variant, shard=study.of(variant).training.shard_state)
            jax.eval_shape(programs.evaluate, state, inputs, labels)
            jax.eval_shape(programs.step, state, inputs, labels, jax.random.key(0))
        except ModelError as error:
            raise ConfigError(str(error)) from error


def _refuse_larger_than_memory(state: Any, variant: str, *, shard: bool) -> None:
    """Refuses a network whose parameters and optimizer state exceed a device's memory."""
    needed = bytes_per_device(state, state_shardings(state, placement.mesh(), shard=shard))
    available = environment.memory()
    if needed > available:
        raise ConfigError(
            f"variants.{variant}: parameters and optimizer state take {needed / 1e9:,.0f} GB, and "
            f"the device has {available / 1e9:,.0f} GB; make [model] smaller (model.widths)"
        )


def refuse_other_work(study: Study, folder: StudyFolder, here: Origin | None = None) -> None:
    """Checks that existing runs, finished or not, are of this study and of this environment.

    Args:
        study: The study.
        folder: Its results.
        here: The environment for the remaining runs; None skips the check of the environment.

    Raises:
        RecordError: A run was made by another config or in another environment, does not belong to
            its path, or its files are damaged.
    """
    whole = finished(study, folder)
    for variant in study.variants:
        made_by = {}
        for seed in study.training.seeds:
            path = folder.record(variant, seed)
            if not path.exists():
                continue
            record = records.read(path, RunRecord)
            if (record.variant, record.seed, record.cell) != (variant, seed, folder.cell):
                cell = f" of {record.cell}" if record.cell else ""
                raise RecordError(
                    f"{path}: does not belong here: it is of variant {record.variant}{cell}, seed "
                    f"{record.seed}; remove the folder {path.parent} to train this again"
                )
            if here is not None and not whole:
                environment.refuse_other_origin(path, record.origin, here, path.parents[1])
            made_by[path] = record.fingerprint
        for seeds in training.groups(study, variant, folder):
            for path in training.checkpoints(folder, variant, seeds):
                made_by[path] = checkpoint.fingerprint(path)
        for path, fingerprint in made_by.items():
            if fingerprint != study.fingerprint(variant):
                changes = "".join(f"\n  {line}" for line in _changes(folder, study))
                raise RecordError(
                    f"{path}: was trained with another config. Give the study another name or "
                    f"--out folder, or remove {folder.variant(variant)} to train it "
                    f"again.{changes}"
                )


def _changes(folder: StudyFolder, study: Study) -> list[str]:
    """The differences between the config in the folder, if readable, and that of the study."""
    try:
        before = folder.config.read_text()
        return differences(before, dump(study))
    except (OSError, ValueError):
        return []


def finished(study: Study, folder: StudyFolder) -> bool:
    """Whether all variants are trained and measured."""
    return all(
        folder.record(variant, seed).exists()
        for variant in study.variants
        for seed in study.training.seeds
    ) and measured(study, folder)


def measured(study: Study, folder: StudyFolder, target: str | None = None) -> bool:
    """Whether all variants have been measured together, with the costs that the config describes.

    Measurements count only if environment.json, which records their machine, exists.

    Args:
        study: The study.
        folder: Its results.
        target: An absent device: checks for estimates instead of measurements.

    Raises:
        RecordError: A measurement or environment.json is damaged.
    """
    if target is None and not folder.environment.exists():
        return False
    for variant in study.variants:
        path = folder.measurement(variant, target)
        if not path.exists():
            return False
        found = records.read(path, Measurement)
        if found.fingerprint != study.cost_fingerprint(variant):
            return False
    if target is None:
        records.read(folder.environment, Environment)
    return True
