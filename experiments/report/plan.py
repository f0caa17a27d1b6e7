"""What a finished study's config.toml says that a reader of its results must know.

Read leniently, key by key, and not through `experiments.config`: results of an older version stay
readable when the config's schema moves on.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any

from experiments import toml
from experiments.choices import SearchRecord
from experiments.folder import StudyFolder, cell_name
from experiments.records import RecordError, read

_NO_SETTING = {"name", "question", "dataset.directory", "training.seeds", "training.seeds_together"}
_NO_SETTINGS = ("measurement.", "sweep.")


@dataclass(frozen=True)
class Plan:
    """A study's intent.

    Attributes:
        name: The study's name.
        question: The question that the study is to answer; empty if the config asks none.
        dataset: The dataset's name.
        definitions: What each variant is, by its name, in the config's order.
        seeds: The training seeds.
        settings: What else shapes the training, by dotted key.
        sweep: Lists of values by the swept key.
        targets: Devices that are not here, for which the costs are estimated.
        published: Accuracies that others have published, in percent, by cell and variant.
        source: Where they have.
        tuning: The section `[tuning]`; empty without one.
        poolings: What `[search]` combined; empty without one.
    """

    name: str
    dataset: str
    definitions: dict[str, Any]
    seeds: tuple[int, ...]
    settings: dict[str, Any]
    sweep: dict[str, list[Any]]
    targets: tuple[str, ...]
    published: dict[str, dict[str, float]] = field(default_factory=dict)
    source: str = ""
    tuning: dict[str, Any] = field(default_factory=dict)
    poolings: tuple[str, ...] = ()
    question: str = ""

    @property
    def cells(self) -> dict[str, dict[str, Any]]:
        """What each cell sets, by its name; one without a name if there is no sweep."""
        chosen = (
            dict(zip(self.sweep, values, strict=True))
            for values in itertools.product(*self.sweep.values())
        )
        return {cell_name(one): one for one in chosen}

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants' names, in the config's order."""
        return tuple(self.definitions)


def read_plan(folder: StudyFolder) -> Plan:
    """Reads the plan of a study.

    Args:
        folder: The study's folder.

    Returns:
        The plan.

    Raises:
        RecordError: There is no config.toml, or it lacks the dataset, the variants or the seeds; or
            search.json is damaged.
    """
    try:
        config = toml.read(folder.config)
    except (OSError, toml.TomlError) as error:
        raise RecordError(f"{folder.config}: not a study's config: {error}") from error
    try:
        published = dict(config.pop("published", {}))
        variants = dict(config.pop("variants"))
        if "search" in config and folder.search.exists():
            found = read(folder.search, SearchRecord)
            variants = {
                name: variants.get(name) or [variants[one] for one in chosen.choice["poolings"]]
                for name, chosen in found.finalists.items()
            }
        return Plan(
            name=str(config.get("name", folder.path.name)),
            question=str(config.get("question", "")),
            dataset=str(config["dataset"]["name"]),
            definitions=variants,
            seeds=tuple(int(seed) for seed in config["training"]["seeds"]),
            sweep={key: list(values) for key, values in config.pop("sweep", {}).items()},
            targets=tuple(config.get("measurement", {}).get("targets", ())),
            published=dict(published.get("accuracy", {})),
            source=str(published.get("source", "")),
            tuning=dict(config.get("tuning", {})),
            poolings=tuple(config.get("search", {}).get("poolings", ())),
            settings={
                key: value
                for key, value in _flat(config).items()
                if key not in _NO_SETTING and not key.startswith(_NO_SETTINGS)
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{folder.config}: not a study's config: it lacks dataset.name, training.seeds or the "
            "variants, or they are not what they should be"
        ) from error


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
