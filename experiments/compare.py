"""Several studies, or one study from several machines, side by side.

What may be compared is decided here, in two questions asked of every pair:

- Accuracy: were both scored on the same test set? Then they are compared seed by seed. A variant
  that occurs in several studies is compared with itself in the first of them; within a study every
  variant is compared with a baseline. Holm's correction is for all of these together.
- Speed: were both measured under the same `Conditions`? If not, their speeds are never ranked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import records, statistics
from experiments.folder import StudyFolder
from experiments.records import Environment, RecordError
from experiments.report.conclusion import Contrast
from experiments.report.plan import Plan, read_plan
from experiments.report.rows import SummaryRow, read_csv


@dataclass(frozen=True)
class Conditions:
    """What a speed depends on besides the variant; equal conditions make speeds comparable."""

    dataset: str
    device: str
    device_source: str
    xla_flags: str
    allocator: tuple[tuple[str, str], ...]
    batch_size: int


@dataclass(frozen=True)
class Study:
    """One results folder, read from its published files alone."""

    label: str
    plan: Plan
    environment: Environment
    rows: tuple[SummaryRow, ...]


@dataclass(frozen=True)
class Entry:
    """One variant of one study."""

    study: Study
    row: SummaryRow

    @property
    def label(self) -> str:
        """STUDY/VARIANT, unique in a comparison."""
        return f"{self.study.label}/{self.row.key}"

    @property
    def test_set(self) -> tuple[str, int]:
        """The dataset and its size: entries that share it are comparable in accuracy."""
        return self.study.plan.dataset, self.row.test_size

    @property
    def conditions(self) -> Conditions:
        """How its speed was measured."""
        environment = self.study.environment
        return Conditions(
            dataset=self.study.plan.dataset,
            device=self.row.device,
            device_source=self.row.device_source,
            xla_flags=environment.xla_flags,
            allocator=tuple(sorted(environment.allocator.items())),
            batch_size=self.row.batch_size,
        )


@dataclass(frozen=True)
class Comparison:
    """Everything that the studies allow to be compared.

    Attributes:
        entries: All variants of all studies, in the order given.
        groups: The entries that share their conditions, by these, in order of appearance; the
            first of each is the one that the others' speed is related to.
        contrasts: Differences of accuracy, first minus second; names are the entries' labels.
        notes: What was not compared and why, and what else the studies differ in.
    """

    entries: tuple[Entry, ...]
    groups: dict[Conditions, tuple[Entry, ...]]
    contrasts: tuple[Contrast, ...]
    notes: tuple[str, ...]


def compare(folders: Sequence[Path], baseline: str | None = None) -> Comparison:
    """Reads results folders and compares them.

    Args:
        folders: One or more results folders.
        baseline: The variant that others are compared with, inside each study that has it; None
            takes each study's first variant.

    Returns:
        The comparison.

    Raises:
        RecordError: A folder is not a finished study, is given twice, or no study has the baseline.
    """
    studies = [
        _read(folder, label) for folder, label in zip(folders, _labels(folders), strict=True)
    ]
    entries = tuple(Entry(study, row) for study in studies for row in study.rows)
    trained = [entry for entry in entries if entry.row.device_source == "measured"] or entries
    variants = list(dict.fromkeys(entry.row.variant for entry in entries))
    if baseline is not None and baseline not in variants:
        raise RecordError(f"baseline {baseline!r} is in no study; variants are {_join(variants)}")
    groups: dict[Conditions, tuple[Entry, ...]] = {}
    for entry in entries:
        group = groups.get(entry.conditions, ())
        first = entry.row.variant == baseline and group
        groups[entry.conditions] = (entry, *group) if first else (*group, entry)
    pairs = [*_across(trained), *_within(studies, trained, baseline)]
    differences = [
        statistics.paired_difference(one.row.accuracies, other.row.accuracies)
        for one, other in pairs
    ]
    adjusted = statistics.holm([difference.p for difference in differences])
    return Comparison(
        entries=entries,
        groups=groups,
        contrasts=tuple(
            Contrast(one.label, other.label, difference, p)
            for (one, other), difference, p in zip(pairs, differences, adjusted, strict=True)
        ),
        notes=tuple(_notes(studies, entries, groups)),
    )


def _read(path: Path, label: str) -> Study:
    folder = StudyFolder(path)
    if not folder.summary_csv.is_file():
        raise RecordError(
            f"{path}: no summary.csv, so this is no results folder or its study is not finished; "
            "finish it with `python -m experiments run` and its config"
        )
    return Study(
        label=label,
        plan=read_plan(folder),
        environment=records.read(folder.environment, Environment),
        rows=tuple(read_csv(folder.summary_csv)),
    )


def _labels(folders: Sequence[Path]) -> list[str]:
    """The folders' names, with as many parents as it takes to tell them apart."""
    paths = [folder.resolve() for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise RecordError(f"{path}: given more than once")
    return [_shortest(path, paths) for path in paths]


def _shortest(path: Path, paths: Sequence[Path]) -> str:
    depth = 1
    while sum(path.parts[-depth:] == other.parts[-depth:] for other in paths) > 1:
        depth += 1
    return "/".join(path.parts[-depth:])


def _across(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Each variant against itself in the first study with the same test set."""
    first: dict[tuple[Any, ...], Entry] = {}
    pairs = []
    for entry in entries:
        reference = first.setdefault((entry.row.variant, entry.row.cell, entry.test_set), entry)
        if reference is not entry:
            pairs.append((entry, reference))
    return pairs


def _within(
    studies: Sequence[Study], entries: Sequence[Entry], baseline: str | None
) -> list[tuple[Entry, Entry]]:
    """Each variant against the baseline: its own study's, else another's with the same test set."""
    pairs = []
    for study in studies:
        name = baseline or study.rows[0].variant
        for entry in (entry for entry in entries if entry.study is study):
            candidates = [
                other
                for other in entries
                if (other.row.variant, other.row.cell) == (name, entry.row.cell)
                and other.test_set == entry.test_set
            ]
            candidates.sort(key=lambda other: other.study is not study)
            if candidates and entry.row.variant != name:
                pairs.append((entry, candidates[0]))
    return pairs


def _notes(
    studies: Sequence[Study],
    entries: Sequence[Entry],
    groups: dict[Conditions, tuple[Entry, ...]],
) -> list[str]:
    notes = []
    if len(groups) > 1:
        notes.append(
            f"Speeds were measured under {len(groups)} different conditions: they are related "
            "inside a group only, and never ranked across groups."
        )
    if any(len({entry.study.label for entry in group}) > 1 for group in groups.values()):
        notes.append(
            "Speeds of different studies come from separate runs even inside a group: between "
            "them, a small difference may be the machine's and not the pooling's."
        )
    test_sets = list(dict.fromkeys(entry.test_set for entry in entries))
    if len(test_sets) > 1:
        names = _join([f"{dataset} ({size:,} test examples)" for dataset, size in test_sets])
        notes.append(f"Accuracies on different test sets are not compared: {names}.")
    for study in studies[1:]:
        notes += _differing_settings(studies[0], study)
    parameters = [entry.row.parameters for entry in entries]
    if min(parameters) != max(parameters):
        notes.append(
            f"Parameters range from {min(parameters):,} to {max(parameters):,}: part of a "
            "difference in accuracy may be size rather than pooling."
        )
    return notes


def _differing_settings(one: Study, other: Study) -> list[str]:
    if one.plan.dataset != other.plan.dataset:
        return []
    notes = []
    settings = _differences(one.plan.settings, other.plan.settings)
    shared = one.plan.definitions.keys() & other.plan.definitions.keys()
    settings += _differences(
        {variant: one.plan.definitions[variant] for variant in shared},
        {variant: other.plan.definitions[variant] for variant in shared},
    )
    if settings:
        notes.append(
            f"{one.label} and {other.label} were trained with different settings, which may "
            f"explain differences between them: {'; '.join(settings)}."
        )
    if versions := _differences(one.environment.versions, other.environment.versions):
        notes.append(f"{one.label} and {other.label} ran on other versions: {'; '.join(versions)}.")
    return notes


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [
        f"{key} {one.get(key, 'unset')} against {other.get(key, 'unset')}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def _join(names: Sequence[str]) -> str:
    return ", ".join(names)
