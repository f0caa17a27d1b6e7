"""`[search]`: choice of the pooling of each stage, and of the best uniform network as a baseline.

The best network that mixes poolings and the best with one pooling at every stage are chosen by the
same rules, and both are trained at the end.
"""

from collections.abc import Callable

from rich.console import Console

from experiments import environment, records
from experiments.choices import Chosen, SearchRecord
from experiments.config import Search, Study, network_name
from experiments.data import Dataset
from experiments.folder import StudyFolder
from experiments.records import Origin
from experiments.tuning.halving import choose, fingerprint, rungs
from experiments.tuning.trials import Candidate, Rung, Trials, refuse_final_runs


class Stages:
    """Chooses a network that mixes poolings and a uniform one; see `experiments.tuning.Chooser`."""

    def __init__(
        self,
        study: Study,
        folder: StudyFolder,
        load: Callable[[Study], Dataset],
        origin: Origin,
        console: Console,
    ):
        self._study, self._folder, self._origin, self._console = study, folder, origin, console
        self._trials = Trials(study, folder, "search", lambda: load(study), origin, console)
        self._networks = {
            network_name(poolings): poolings
            for poolings in _search(study).networks(study.model.stages)
        }
        self._all = candidates(study, self._networks)
        self._uniform, self._mixed = (
            [one for one in self._all if (len(set(self._networks[one.name])) == 1) is uniform]
            for uniform in (True, False)
        )
        self._made: SearchRecord | None = None

    def candidates(self) -> list[Study]:
        """One study whose variants are all candidate networks."""
        return [self._all[0].study]

    def recalled(self) -> dict[str, Study] | None:
        """The study of the chosen networks, if both have been chosen before."""
        path = self._folder.search
        if not path.exists():
            for name in self._networks:
                refuse_final_runs(self._folder, name, path)
            for among in (self._mixed, self._uniform):
                self._trials.refuse_others(among, self._rungs(among))
            return None
        self._made = records.read(path, SearchRecord)
        groups = (self._made.mixed, self._mixed), (self._made.uniform, self._uniform)
        for chosen, among in groups:
            if chosen.fingerprint != fingerprint(among, self._rungs(among)):
                raise self._trials.other_config(path)
        return self._studies(self._made)

    def refuse_other_origin(self) -> None:
        """Checks that the choices were made in this environment."""
        path = self._folder.search
        for chosen in self._made.finalists.values() if self._made else ():
            environment.refuse_other_origin(path, chosen.origin, self._origin, path)

    def choose(self) -> dict[str, Study]:
        """Runs the search, and writes search.json."""
        self._print(f"searching among {len(self._mixed)} networks that mix poolings")
        mixed = self._choose(self._mixed)
        self._print(f"searching among {len(self._uniform)} with the same pooling at every stage")
        uniform = self._choose(self._uniform)
        granted = self._trials.granted.values()
        full = Rung(1, _search(self._study).seeds)
        full_steps = len(full.seeds) * full.steps(self._all[0])
        pace = {
            one.name: [
                trial.train_seconds / trial.steps
                for _, trial in granted
                if trial.candidate == one.name
            ]
            for one in self._all
        }
        made = SearchRecord(
            mixed=mixed,
            uniform=uniform,
            run_steps=sum(steps for steps, _ in granted),
            run_seconds=sum(trial.train_seconds for _, trial in granted),
            full_run_steps=full_steps * len(self._all),
            full_run_seconds=sum(full_steps * sum(p) / len(p) for p in pace.values()),
        )
        records.write(self._folder.search, made)
        return self._studies(made)

    def _choose(self, among: list[Candidate]) -> Chosen:
        factor = _search(self._study).factor
        chosen = choose(among, self._rungs(among), factor, self._trials, self._origin)
        self._print(
            f"chose {chosen.candidate}, validation accuracy {chosen.validation_accuracy:.4f}"
        )
        return chosen

    def _rungs(self, among: list[Candidate]) -> list[Rung]:
        search = _search(self._study)
        return rungs(len(among), search.factor, search.seeds)

    def _studies(self, made: SearchRecord) -> dict[str, Study]:
        every = self._all[0].study
        kept = {name: every.variants[name] for name in made.finalists}
        return {"": every.model_copy(update={"variants": kept})}

    def _print(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)


def candidates(study: Study, networks: dict[str, tuple[str, ...]]) -> list[Candidate]:
    """The networks as variants of one study.

    Args:
        study: The study.
        networks: One pooling per stage, by the network's name.

    Returns:
        The candidates.
    """
    variants = {
        name: study.variants[name]
        if name in study.variants and len(set(poolings)) == 1
        else tuple(study.variants[pooling] for pooling in poolings)
        for name, poolings in networks.items()
    }
    every = study.changed({}).model_copy(update={"variants": variants})
    return [
        Candidate(
            name=name,
            folder=name,
            variant=name,
            study=every,
            choice={"poolings": list(poolings)},
        )
        for name, poolings in networks.items()
    ]


def _search(study: Study) -> Search:
    if study.search is None:
        raise ValueError("the study has no [search]")
    return study.search
