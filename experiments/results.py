"""Results of finished studies, read from config.toml, environment.json and summary.csv.

`compare` and `choose` read results through this module, so neither needs the runs, and both use the
same rules for which accuracies and which speeds are comparable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import records
from experiments.contrasts import Sample
from experiments.folder import StudyFolder
from experiments.records import Environment, RecordError
from experiments.report.plan import Plan, read_plan
from experiments.report.rows import SummaryRow
from experiments.report.summary_csv import read_csv

_SAME_TEST_SET = {
    "channels",
    "directory",
    "max_length",
    "name",
    "standardise",
    "test_limit",
    "tokens",
    "train_limit",
    "validation",
    "validation_seed",
    "vocabulary",
}
"""Keys of `[dataset]` that do not affect which examples a test set of a given size contains."""


@dataclass(frozen=True)
class Conditions:
    """Conditions of a speed measurement; speeds are comparable if their conditions are equal."""

    dataset: str
    device: str
    device_source: str
    xla_flags: str
    allocator: tuple[tuple[str, str], ...]
    batch_size: int


@dataclass(frozen=True)
class TestSet:
    """Identity of a test set. Accuracies on different test sets are never compared."""

    __test__ = False  # keeps pytest from collecting this class

    dataset: str
    size: int
    settings: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """The dataset, the size, and the settings that decide which examples it contains."""
        settings = "".join(f", {key} = {value}" for key, value in self.settings)
        return f"{self.dataset} ({self.size:,} test examples{settings})"


@dataclass(frozen=True)
class StudyResults:
    """The published results of one study's folder."""

    label: str
    plan: Plan
    environment: Environment
    rows: tuple[SummaryRow, ...]


@dataclass(frozen=True)
class Result:
    """One variant of one study."""

    study: StudyResults
    row: SummaryRow

    @property
    def label(self) -> str:
        """STUDY/VARIANT, unique in a comparison."""
        return f"{self.study.label}/{self.row.key}"

    @property
    def sample(self) -> Sample:
        """The label and the accuracy by seed."""
        return self.label, self.row.accuracies

    @property
    def test_set(self) -> TestSet:
        """The test set of the accuracy."""
        settings = self.study.plan.settings | self.row.swept
        decisive = {
            key.removeprefix("dataset."): str(value)
            for key, value in settings.items()
            if key.startswith("dataset.") and key.split(".")[1] not in _SAME_TEST_SET
        }
        return TestSet(self.study.plan.dataset, self.row.test_size, tuple(sorted(decisive.items())))

    @property
    def conditions(self) -> Conditions:
        """The conditions of the speed measurement."""
        environment = self.study.environment
        return Conditions(
            dataset=self.study.plan.dataset,
            device=self.row.device,
            device_source=self.row.device_source,
            xla_flags=environment.xla_flags,
            allocator=tuple(sorted(environment.allocator.items())),
            batch_size=self.row.batch_size,
        )

    def same_results(self, other: "Result") -> bool:
        """Whether both hold the same runs: equal configs, and equal scores on every shared seed."""
        if self.row.fingerprint != other.row.fingerprint or self.test_set != other.test_set:
            return False
        ours, theirs = self.row.test_correct_by_seed, other.row.test_correct_by_seed
        shared = ours.keys() & theirs.keys()
        return bool(shared) and all(ours[seed] == theirs[seed] for seed in shared)


def read(folders: Sequence[Path]) -> list[StudyResults]:
    """Reads results folders.

    Args:
        folders: One or more results folders.

    Returns:
        The studies, each with a unique label.

    Raises:
        RecordError: A folder is not a finished study, or is given twice.
    """
    named = zip(folders, labels(folders), strict=True)
    return [_read(folder, label) for folder, label in named]


def labels(folders: Sequence[Path]) -> list[str]:
    """The folders' names, each preceded by as many parent folders as make it unique.

    Raises:
        RecordError: A folder is given twice.
    """
    paths = [folder.resolve() for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise RecordError(f"{path}: given more than once")
    return [_shortest(path, paths) for path in paths]


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The differences between two tables, one text per key."""
    return [
        f"{key} {one.get(key, 'unset')} against {other.get(key, 'unset')}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def _read(path: Path, label: str) -> StudyResults:
    folder = StudyFolder(path)
    if not folder.summary_csv.is_file():
        raise RecordError(
            f"{path}: has no summary.csv, so it is no results folder or its study is not finished; "
            "finish it with `python -m experiments run` and its config"
        )
    return StudyResults(
        label=label,
        plan=read_plan(folder),
        environment=records.read(folder.environment, Environment),
        rows=tuple(read_csv(folder.summary_csv)),
    )


def _shortest(path: Path, paths: Sequence[Path]) -> str:
    depth = 1
    while sum(path.parts[-depth:] == other.parts[-depth:] for other in paths) > 1:
        depth += 1
    return "/".join(path.parts[-depth:])
