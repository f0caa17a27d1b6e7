"""What a study chooses on its validation split before its final runs.

`[tuning]` lets every variant choose its own settings (`settings`), `[search]` chooses a pooling for
each stage (`stages`). Both are choices among candidates (`halving`) by trials (`trials`), and both
give the studies to train: the config's, with what was chosen.
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
    """Makes the choices of a study, or finds that they are made."""

    def candidates(self) -> list[Study]:
        """Studies whose networks are candidates, and which the study itself does not have."""
        ...

    def recalled(self) -> dict[str, Study] | None:
        """The studies to train, by cell, if all choices have been made before; else None.

        Raises:
            RecordError: Choices or trials are damaged, of another config, or, where trials are
                still to be run, of another environment.
        """
        ...

    def refuse_other_origin(self) -> None:
        """Checks that the choices that were recalled were made in this environment.

        Raises:
            RecordError: They were not; the message says what differs.
        """
        ...

    def choose(self) -> dict[str, Study]:
        """Runs the trials that are left to run, and gives the studies to train, by cell."""
        ...


class _Nothing:
    """The chooser of a study that has nothing to choose."""

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
    """What makes the choices of a study.

    Args:
        study: The study.
        cells: Its cells.
        folder: Its results folder.
        load: Gives a cell's dataset.
        origin: What is recorded as having made the trials.
        console: Where to show progress.

    Returns:
        The chooser.
    """
    if study.tuning:
        return Settings(study, cells, folder, load, origin, console)
    if study.search:
        return Stages(study, folder, load, origin, console)
    return _Nothing(cells)
