"""Cards, one per variant: definition, score of each seed, and pictures of its poolings."""

import base64
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jaxpool
from experiments.report import words
from experiments.report.plan import Plan
from experiments.report.rows import SummaryRow

_PICTURES = Path(__file__).parents[3] / "docs" / "operators"
_DRAWN_AS = {
    "average": "global_avg_pool",
    "max": "global_max_pool",
    "lp": "global_lp_pool",
    "gem": "gem_pool",
    "pyramid": "spatial_pyramid_pool",
    "learned_gem_pool": "gem_pool",
    "learned_logsumexp_pool": "logsumexp_pool",
    "learned_mixed_pool": "mixed_pool",
}
"""The operator whose picture illustrates each head or learned pooling."""


@dataclass(frozen=True)
class Picture:
    """An operator applied to a photograph: its name, its description, and the PNG as a data URI."""

    name: str
    text: str
    source: str


@dataclass(frozen=True)
class Card:
    """The content of one variant's card."""

    name: str
    facts: dict[str, str]
    pictures: Sequence[Picture]


def cards(plan: Plan, rows: Sequence[SummaryRow]) -> list[Card]:
    """The cards of a study's variants, in the config's order.

    Args:
        plan: The study's plan.
        rows: The measured rows of the variants.
    """
    found = []
    for name in dict.fromkeys(row.variant for row in rows):
        definition = plan.definitions.get(name, {})
        operators = dict.fromkeys(_operators(definition))
        scores = {
            f"accuracy{f' at {words.cell(row.cell)}' if row.swept else ''}": _by_seed(row)
            for row in rows
            if row.variant == name
        }
        pictures = [picture for each in operators if (picture := _picture(each))]
        found.append(Card(name, _facts(definition) | scores, pictures))
    return found


def _facts(definition: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(definition, list):
        stages = enumerate(definition, start=1)
        return {k: v for i, one in stages for k, v in _facts(one, f"stage {i} ").items()}
    if not isinstance(definition, dict):  # not a config of this version: shown unchanged
        return {f"{prefix}pool": words.plain(definition)}
    facts = {}
    for key, value in definition.items():
        if isinstance(value, dict):
            facts |= _facts(value, f"{prefix}{key}.")
        else:
            facts[f"{prefix}{key}"] = words.plain(value)
    return facts


def _by_seed(row: SummaryRow) -> str:
    listed = ", ".join(f"{words.percent(share)}" for share in row.accuracies.values())
    return f"{listed} % (seed {words.listed([str(seed) for seed in row.accuracies])})"


def _operators(definition: Any) -> Iterator[str]:
    """The names of a variant's poolings, its head last."""
    for one in definition if isinstance(definition, list) else [definition]:
        if isinstance(one, dict):
            if isinstance(pool := one.get("pool"), str):
                yield _DRAWN_AS.get(pool, pool)
            if "head" in one:
                yield from _operators(one["head"])


def _picture(operator: str) -> Picture | None:
    """The operator's picture in the gallery; None if it has none."""
    file = _PICTURES / f"{operator}.png"
    if operator not in jaxpool.__all__ or not file.is_file():
        return None
    said = (inspect.getdoc(getattr(jaxpool, operator)) or "").partition("\n")[0]
    encoded = base64.b64encode(file.read_bytes()).decode()
    text = f"`{operator}`: {said[:1].lower()}{said[1:]}"
    return Picture(operator, text, f"data:image/png;base64,{encoded}")
