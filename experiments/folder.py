"""Paths of the files in a study's results folder.

The layout::

    config.toml            the resolved config
    environment.json       records.Environment
    runs/VARIANT/          (of a sweep: runs/CELL/VARIANT/)
        measurement.json   records.Measurement; measurement-TARGET.json for absent devices
        seed-K/
            metrics.jsonl  records.EpochMetrics, one JSON line per epoch
            record.json    records.RunRecord, written last: it exists only if the run is finished
    tuning.json            choices.TuningRecord: the settings chosen for each variant
    search.json            choices.SearchRecord: the pooling chosen for each stage
    tuning/VARIANT/trial-1/epochs-20/seed-K/    (of a sweep: tuning/CELL/VARIANT/...)
        metrics.jsonl, trial.json               choices.TrialRecord; it has no test score
    search/CANDIDATE/epochs-20/seed-K/          the same
    baselines.json         records.Baselines, if the dataset has any
    runs.csv, epochs.csv   every number of the runs, as tidy data
    summary.csv, summary.md, pareto.png; pareto-DEVICE.png of estimates; sweep.png of a sweep;
    frontier.png, frontier-DEVICE.png of a sweep over keys that change the cost
    report.html            all of it as one page
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.records import VARIANT_PATTERN


class StudyFolder:
    """The paths inside one study's results folder.

    Args:
        path: The folder.
        cell: The sweep cell of the runs; empty without a sweep.
    """

    def __init__(self, path: Path | str, cell: str = ""):
        self.path = Path(path)
        self.cell = cell
        self.lock = self.path / ".lock"
        self.baselines = self.path / "baselines.json"
        self.sweep = self.path / "sweep.png"
        self.config = self.path / "config.toml"
        self.environment = self.path / "environment.json"
        self.runs = self.path / "runs" / cell
        self.tuning = self.path / "tuning.json"
        self.search = self.path / "search.json"
        self.summary_csv = self.path / "summary.csv"
        self.runs_csv = self.path / "runs.csv"
        self.epochs_csv = self.path / "epochs.csv"
        self.summary_md = self.path / "summary.md"
        self.page = self.path / "report.html"

    def of_cell(self, cell: str) -> "StudyFolder":
        """The same folder, for the runs of one cell."""
        return StudyFolder(self.path, cell)

    def variant(self, variant: str) -> Path:
        """The folder of all files of one variant."""
        return self.runs / variant

    def measurement(self, variant: str, target: str | None = None) -> Path:
        """The variant's measurement.json, or measurement-TARGET.json of an estimate."""
        name = f"measurement-{target}.json" if target else "measurement.json"
        return self.variant(variant) / name

    def pareto_of(self, device: str = "") -> Path:
        """The plot of accuracy against throughput, measured or estimated for a device."""
        return self.path / f"pareto{_suffix(device)}.png"

    def frontier_of(self, device: str = "") -> Path:
        """The plot of a curve per variant, measured or estimated for a device."""
        return self.path / f"frontier{_suffix(device)}.png"

    def run(self, variant: str, seed: int) -> Path:
        """The folder of one run."""
        return self.variant(variant) / f"seed-{seed}"

    def record(self, variant: str, seed: int) -> Path:
        """The run's record.json."""
        return self.run(variant, seed) / "record.json"

    def metrics(self, variant: str, seed: int) -> Path:
        """The run's metrics.jsonl."""
        return self.run(variant, seed) / "metrics.jsonl"

    def variants(self) -> tuple[str, ...]:
        """The variants that have a folder, in alphabetical order."""
        if not self.runs.is_dir():
            return ()
        named = (p.name for p in self.runs.iterdir() if p.is_dir())
        return tuple(sorted(n for n in named if re.fullmatch(VARIANT_PATTERN, n)))

    def seeds(self, variant: str) -> tuple[int, ...]:
        """The seeds whose runs of this variant are finished, ascending."""
        found = (
            re.fullmatch(r"seed-(\d+)", p.parent.name)
            for p in self.variant(variant).glob("seed-*/record.json")
        )
        return tuple(sorted(int(m[1]) for m in found if m))


def _suffix(device: str) -> str:
    return f"-{device.lower().replace(' ', '-')}" if device else ""


class TrialFolder(StudyFolder):
    """The paths of the trials of one candidate with one budget.

    Args:
        kind: The purpose of the trials: `"tuning"` or `"search"`.
        candidate: The candidate's folder, such as `"max/trial-1"`.
        budget: The length of the trials, such as `"epochs-20"`.
    """

    def __init__(self, study: StudyFolder, kind: str, candidate: str, budget: str):
        super().__init__(study.path, study.cell)
        self.trials = study.path / kind / study.cell / candidate / budget

    def variant(self, variant: str) -> Path:
        """The folder of the trials, whatever their variant."""
        del variant
        return self.trials

    def record(self, variant: str, seed: int) -> Path:
        """The trial's trial.json."""
        return self.run(variant, seed) / "trial.json"


def cell_name(chosen: Mapping[str, Any]) -> str:
    """The name of a cell and its folder: `dataset.train_limit=1000,model.widths=16-32`."""
    return ",".join(f"{key}={_word(value)}" for key, value in chosen.items())


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(_word, value))
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in str(value))
