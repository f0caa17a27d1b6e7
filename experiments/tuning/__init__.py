"""Choices that a study makes on its validation split before its final runs.

`[tuning]` chooses settings for every variant (`settings`); `[search]` chooses a pooling for each
stage (`stages`). Both choose among candidates (`halving`) by running trials (`trials`), and both
return the studies to train: the config with the chosen values.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from rich.console import Console

from experiments.choices import Chosen, SearchRecord, TrialRecord, TuningRecord
from experiments.config import Study
from experiments.data import Dataset
from experiments.folder import StudyFolder
from experiments.records import Origin
from experiments.tuning.settings import Settings
from experiments.tuning.stages import Stages

__all__ = ["Chooser", "Chosen", "SearchRecord", "TrialRecord", "TuningRecord", "chooser"]


class Chooser(Protocol):
    """Makes the choices of a study, or reads choices that were made before."""

    def candidates(self) -> list[Study]:
        """Studies whose variants are candidate networks that the study itself does not contain."""
        ...

    def recalled(self) -> dict[str, Study] | None:
        """The studies to train, by cell, if all choices have already been made; otherwise None.

        Raises:
            RecordError: Choices or trials are damaged or of another config, or some trials are
                missing and the existing ones are of another environment.
        """
        ...

    def refuse_other_origin(self) -> None:
        """Checks that the recalled choices were made in this environment.

        Raises:
            RecordError: The environments differ; the message lists the differences.
        """
        ...

    def choose(self) -> dict[str, Study]:
        """Runs the remaining trials and returns the studies to train, by cell."""
        ...


class _FixedStudies:
    """The chooser of a study without `[tuning]` and `[search]`."""

    def __init__(self, cells: Mapping[str, Study]):
        self._cells = dict(cells)

    def candidates(self) -> list[Study]:
        return []

    def recalled(self) -> dict[str, Study]:
        return self._cells

    def refuse_other_origin(self) -> None:
        pass

    def choose(self) -> dict[str, Study]:
        return self._cells


def chooser(
    study: Study,
    cells: Mapping[str, Study],
    folder: StudyFolder,
    load: Callable[[Study], Dataset],
    origin: Origin,
    console: Console,
) -> Chooser:
    """Creates the chooser of a study.

    Args:
        study: The study.
        cells: Its cells.
        folder: Its results folder.
        load: Returns the dataset of a cell.
        origin: Environment and code to record as the origin of the trials.
        console: The console for progress.

    Returns:
        The chooser.
    """
    if study.tuning:
        return Settings(study, cells, folder, load, origin, console)
    if study.search:
        return Stages(study, folder, load, origin, console)
    return _FixedStudies(cells)
