"""`[tuning]`: choice of each variant's settings, with the same budget for every variant."""

from collections.abc import Callable, Mapping

from rich.console import Console

from experiments import environment, records
from experiments.choices import Chosen, TuningRecord
from experiments.config import Study, Tuning
from experiments.data import Dataset
from experiments.folder import StudyFolder, cell_name
from experiments.records import Origin
from experiments.tuning.halving import choose, fingerprint, rungs
from experiments.tuning.trials import Candidate, Rung, Trials, refuse_final_runs


class Settings:
    """Chooses the settings of every variant in every cell; see `experiments.tuning.Chooser`."""

    def __init__(
        self,
        study: Study,
        cells: Mapping[str, Study],
        folder: StudyFolder,
        load: Callable[[Study], Dataset],
        origin: Origin,
        console: Console,
    ):
        self._cells, self._folder, self._origin, self._console = cells, folder, origin, console
        self._trials = {
            name: Trials(
                study, folder.of_cell(name), "tuning", lambda c=cell: load(c), origin, console
            )
            for name, cell in cells.items()
        }
        self._candidates = {
            (name, variant): candidates(cell, variant)
            for name, cell in cells.items()
            for variant in tuned(cell)
        }
        self._made: dict[str, dict[str, Chosen]] = {}

    def candidates(self) -> list[Study]:
        """Studies of the candidates that change a variant; keys of `[training]` change no shape."""
        return [
            one.study
            for tried in self._candidates.values()
            for one in tried
            if any(key.startswith("variants.") for key in one.choice)
        ]

    def recalled(self) -> dict[str, Study] | None:
        """The tuned studies by cell, if the settings of all variants have been chosen before."""
        path = self._folder.tuning
        self._made = dict(records.read(path, TuningRecord).cells) if path.exists() else {}
        missing = False
        for (name, variant), tried in self._candidates.items():
            chosen = self._made.get(name, {}).get(variant)
            if chosen is None:
                refuse_final_runs(self._folder.of_cell(name), variant, path)
                self._trials[name].refuse_others(tried, self._rungs(name, tried))
                missing = True
            elif chosen.fingerprint != fingerprint(tried, self._rungs(name, tried)):
                raise self._trials[name].other_config(path)
        return None if missing else self._studies()

    def refuse_other_origin(self) -> None:
        """Checks that the choices were made in this environment."""
        path = self._folder.tuning
        for made in self._made.values():
            for chosen in made.values():
                environment.refuse_other_origin(path, chosen.origin, self._origin, path)

    def choose(self) -> dict[str, Study]:
        """Tunes the variants without chosen settings, and writes tuning.json."""
        made: dict[str, dict[str, Chosen]] = {name: {} for name in self._cells}
        for (name, variant), tried in self._candidates.items():
            steps = self._rungs(name, tried)
            chosen = self._made.get(name, {}).get(variant)
            if chosen is None:
                where = f" at {name}" if name else ""
                self._print(f"tuning {variant}{where}: {len(tried)} combinations")
                factor = _tuning(self._cells[name]).factor
                chosen = choose(tried, steps, factor, self._trials[name], self._origin)
                self._print(
                    f"{variant}{where}: chose {cell_name(chosen.choice)}, validation accuracy "
                    f"{chosen.validation_accuracy:.4f}"
                )
            made[name][variant] = chosen
        self._made = made
        records.write(self._folder.tuning, TuningRecord(cells=made))
        return self._studies()

    def _studies(self) -> dict[str, Study]:
        return {
            name: cell.with_choices({v: self._made[name][v].choice for v in tuned(cell)})
            for name, cell in self._cells.items()
        }

    def _rungs(self, cell: str, tried: list[Candidate]) -> list[Rung]:
        tuning = _tuning(self._cells[cell])
        if tuning.method == "halving":
            return rungs(len(tried), tuning.factor, tuning.seeds)
        return [Rung(1, tuning.seeds)]

    def _print(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)


def tuned(study: Study) -> list[str]:
    """The names of the variants that are tuned."""
    return [name for name in study.variants if name not in _tuning(study).exclude]


def candidates(study: Study, variant: str) -> list[Candidate]:
    """The candidates of a variant: `trial-1`, `trial-2` and so on."""
    return [
        Candidate(
            name=f"trial-{number}",
            folder=f"{variant}/trial-{number}",
            variant=variant,
            study=study.changed(choice),
            choice=choice,
        )
        for number, choice in enumerate(_tuning(study).choices(variant), start=1)
    ]


def _tuning(study: Study) -> Tuning:
    if study.tuning is None:
        raise ValueError("the study has no [tuning]")
    return study.tuning
