"""Combination of the parts of one study that were run separately with different seeds.

`merge` copies the runs of several results folders into a new one. `together` combines the
accuracies of summaries, for `compare` and `choose`, which need no runs.
"""

import itertools
import os
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from experiments import records, report, results, statistics
from experiments.folder import StudyFolder
from experiments.records import Environment, RecordError, RunRecord
from experiments.report.plan import Plan, read_plan
from experiments.report.rows import SummaryRow, gather
from experiments.results import Result, StudyResults

_MAY_DIFFER = {"train_seconds", "origin"}
"""Fields that may differ between two records of the same run."""


def merge(folders: Sequence[Path], out: Path) -> tuple[list[SummaryRow], list[str]]:
    """Writes a results folder that contains the runs of several folders, each run once.

    The config is that of the first folder with the seeds of all folders. Measurements, baselines
    and the environment are those of the first folder.

    Args:
        folders: Two or more results folders of one study, with their runs.
        out: The folder to write. It must be empty or not exist.

    Returns:
        The rows of the new summary, and notes on further differences between the folders.

    Raises:
        RecordError: The folders are not of one study, a study is not finished, a folder has no
            runs, two folders have different numbers for one run, or `out` is in use.
    """
    if len(folders) < 2:
        raise RecordError(f"RESULTS: {len(folders)} folder given; merge needs two or more")
    results.labels(folders)  # raises if a folder is given twice
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecordError(f"--out {out}: already exists; give a folder that does not exist")
    parts = [StudyFolder(folder) for folder in folders]
    plans = [_finished_plan(part) for part in parts]
    for part, plan in zip(parts[1:], plans[1:], strict=True):
        if found := results.differences(_decisive(plans[0]), _decisive(plan)):
            raise RecordError(
                f"{part.path}: is not of the same study as {parts[0].path}: {'; '.join(found)}"
            )
    chosen = _runs(parts, plans)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        _write(StudyFolder(temporary), parts[0], plans, chosen)
        rows = report.summarise(temporary)
        if out.exists():
            out.rmdir()
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return rows, _notes(parts)


def together(studies: Sequence[StudyResults]) -> tuple[list[StudyResults], list[str]]:
    """Joins studies that are one study with different seeds and equal environments.

    Args:
        studies: The studies as read.

    Returns:
        The studies, fewer if some were joined, and a note on each join. A joined study has the
        accuracies of all its seeds, the costs of its first part, and no other metrics.
    """
    whole: list[StudyResults] = []
    notes = []
    for study in studies:
        index = next((i for i, one in enumerate(whole) if _one_study(one, study)), None)
        if index is None:
            whole.append(study)
            continue
        first = whole[index]
        notes.append(
            f"{first.label} and {study.label} are one study with different seeds and count as one; "
            f"speeds are those of {first.label}."
        )
        whole[index] = StudyResults(
            label=f"({first.label.strip('()')}+{study.label})",
            plan=replace(first.plan, seeds=(*first.plan.seeds, *study.plan.seeds)),
            environment=first.environment,
            rows=tuple(_joined(a, b) for a, b in zip(first.rows, study.rows, strict=True)),
        )
    return whole, notes


def _finished_plan(part: StudyFolder) -> Plan:
    """The plan of a study; refuses a study that is not finished or whose runs are missing."""
    plan = read_plan(part)
    if part.summary_csv.is_file() and not (part.path / "runs").is_dir():
        raise RecordError(
            f"{part.path}: has no runs (published results have none): `compare` and `choose` "
            "read their summary.csv, but merge needs the folder runs/ as well"
        )
    for cell, swept in plan.cells.items():
        gather(part.of_cell(cell), plan.variants, plan.seeds, swept, plan.targets)
    return plan


def _decisive(plan: Plan) -> dict[str, Any]:
    """The parts of the plan that must be equal in all parts of one study, by key."""
    return {
        "dataset.name": plan.dataset,
        **plan.settings,
        **{f"variants.{name}": definition for name, definition in plan.definitions.items()},
        **{f"sweep.{key}": values for key, values in plan.sweep.items()},
    }


def _runs(
    parts: Sequence[StudyFolder], plans: Sequence[Plan]
) -> dict[tuple[str, str, int], StudyFolder]:
    """The folder to copy each run from, by cell, variant and seed."""
    chosen: dict[tuple[str, str, int], StudyFolder] = {}
    fingerprints: dict[tuple[str, str], tuple[str, Path]] = {}
    for part, (cell, variant, seed) in _every_run(parts, plans):
        path = part.of_cell(cell).record(variant, seed)
        record = records.read(path, RunRecord)
        expected, earlier = fingerprints.setdefault((cell, variant), (record.fingerprint, path))
        if record.fingerprint != expected:
            raise RecordError(f"{path}: was trained with another config or plug-in than {earlier}")
        if (cell, variant, seed) in chosen:
            _refuse_other_numbers(chosen[cell, variant, seed].of_cell(cell), path, record)
        else:
            chosen[cell, variant, seed] = part
    return chosen


def _every_run(
    parts: Sequence[StudyFolder], plans: Sequence[Plan]
) -> Iterator[tuple[StudyFolder, tuple[str, str, int]]]:
    for part, plan in zip(parts, plans, strict=True):
        for run in itertools.product(plan.cells, plan.variants, plan.seeds):
            yield part, run


def _refuse_other_numbers(folder: StudyFolder, path: Path, record: RunRecord) -> None:
    earlier = folder.record(record.variant, record.seed)
    before = records.read(earlier, RunRecord).model_dump(mode="json", exclude=_MAY_DIFFER)
    after = record.model_dump(mode="json", exclude=_MAY_DIFFER)
    if found := results.differences(before, after):
        raise RecordError(
            f"{path}: differs from the same run in {earlier}, so the two cannot both be kept: "
            f"{'; '.join(found)}"
        )


def _write(
    target: StudyFolder,
    first: StudyFolder,
    plans: Sequence[Plan],
    chosen: dict[tuple[str, str, int], StudyFolder],
) -> None:
    config = tomllib.loads(first.config.read_text(encoding="utf-8"))
    config["training"]["seeds"] = sorted({seed for plan in plans for seed in plan.seeds})
    records.write_atomically(target.config, tomli_w.dumps(config))
    shutil.copy(first.environment, target.environment)
    for file in (first.baselines, first.tuning, first.search):  # equal in all parts, or missing
        if file.exists():
            shutil.copy(file, target.path / file.name)
    for (cell, variant, seed), part in chosen.items():
        source, copy = part.of_cell(cell), target.of_cell(cell)
        copy.run(variant, seed).mkdir(parents=True)
        shutil.copy(source.record(variant, seed), copy.record(variant, seed))
        if source.metrics(variant, seed).exists():
            shutil.copy(source.metrics(variant, seed), copy.metrics(variant, seed))
    for cell, variant in itertools.product(plans[0].cells, plans[0].variants):
        for target_device in (None, *plans[0].targets):
            source = first.of_cell(cell).measurement(variant, target_device)
            shutil.copy(source, target.of_cell(cell).measurement(variant, target_device))


def _notes(parts: Sequence[StudyFolder]) -> list[str]:
    """Notes on the differences between the environments of the parts."""
    first, *others = (records.read(part.environment, Environment).origin for part in parts)
    notes = []
    for part, other in zip(parts[1:], others, strict=True):
        if found := results.differences(first.model_dump(), other.model_dump()):
            notes.append(
                f"{parts[0].path} and {part.path} were made in different environments, so seeds "
                f"differ in their environment too: {'; '.join(found)}."
            )
    return notes


def _one_study(one: StudyResults, other: StudyResults) -> bool:
    """Whether two studies differ only in their seeds and share no seed."""
    if len(one.rows) != len(other.rows) or one.environment.versions != other.environment.versions:
        return False
    return all(
        a.key == b.key
        and a.fingerprint == b.fingerprint
        and Result(one, a).test_set == Result(other, b).test_set
        and Result(one, a).conditions == Result(other, b).conditions
        and not a.test_correct_by_seed.keys() & b.test_correct_by_seed.keys()
        for a, b in zip(one.rows, other.rows, strict=True)
    )


def _joined(one: SummaryRow, other: SummaryRow) -> SummaryRow:
    correct = dict(sorted({**one.test_correct_by_seed, **other.test_correct_by_seed}.items()))
    accuracy = statistics.estimate([n / one.test_size for n in correct.values()], bounds=(0, 1))
    seconds = one.train_seconds_mean * one.seeds + other.train_seconds_mean * other.seeds
    return one.model_copy(
        update={
            "seeds": len(correct),
            "test_correct_by_seed": correct,
            "test_accuracy_mean": accuracy.mean,
            "test_accuracy_std": accuracy.std,
            "test_accuracy_ci95_low": accuracy.low,
            "test_accuracy_ci95_high": accuracy.high,
            "train_seconds_mean": seconds / len(correct),
            "diverged": one.diverged + other.diverged,
            "test_loss_mean": None,
            "metrics": {},
        }
    )
