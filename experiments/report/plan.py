"""What a finished study's config.toml says that a reader of its results must know.

Read leniently, key by key, and not through `experiments.config`: results of an older version stay
readable when the config's schema moves on.
"""

import tomllib
from dataclasses import dataclass
from typing import Any

from experiments.folder import StudyFolder
from experiments.records import RecordError


@dataclass(frozen=True)
class Plan:
    """A study's intent.

    Attributes:
        name: The study's name.
        dataset: The dataset's name.
        variants: The variants in the config's order.
        settings: Everything else that shapes the results, by dotted key.
    """

    name: str
    dataset: str
    variants: tuple[str, ...]
    settings: dict[str, Any]


def read_plan(folder: StudyFolder) -> Plan:
    """Reads the plan of a study.

    Args:
        folder: The study's folder.

    Returns:
        The plan.

    Raises:
        RecordError: There is no config.toml, or it lacks the dataset or the variants.
    """
    try:
        config = tomllib.loads(folder.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecordError(f"{folder.config}: not a study's config: {error}") from error
    try:
        dataset = str(config["data"]["name"])
        variants = tuple(str(variant["name"]) for variant in config["variants"])
    except (KeyError, TypeError) as error:
        raise RecordError(
            f"{folder.config}: not a study's config: data.name or the variants' names are missing"
        ) from error
    settings = {
        key: value
        for key, value in _flat(config).items()
        if key not in ("name", "data.directory") and not key.startswith("variants")
    }
    return Plan(str(config.get("name", folder.path.name)), dataset, variants, settings)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
