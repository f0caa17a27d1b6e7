"""The lists of operators in docs/: the table of modules and the contents of the API's page."""

from __future__ import annotations

from collections.abc import Iterable

import jaxpool
from catalogue import CATALOGUE, FAMILIES
from experiments import markdown
from jaxpool import nn
from jaxpool.nn.random import RandomPool

ROOMS = {
    "windows": "Windows",
    "bins": "Bins",
    "whole": "Whole maps",
    "boxes": "Boxes",
    "general": "Any function",
}
"""The heading of each folder of `jaxpool/pooling/`."""


def modules() -> str:
    """The table of modules, one row per family of operators."""
    by_operator = {
        module._operator: module
        for module in vars(nn).values()
        if isinstance(module, type) and issubclass(module, nn.Pool) and module is not nn.Pool
    }
    rows = []
    for family, entries in FAMILIES.items():
        found = [by_operator[e.operator] for e in entries if e.operator in by_operator]
        plain = [m for m in found if not issubclass(m, RandomPool)]
        random = [m for m in found if issubclass(m, RandomPool)]
        if plain:
            rows.append([family, _names(plain), "none"])
        if random:
            rows.append([family, _names(random), "none, but a random stream"])
    return markdown.table(["operators", "modules", "parameters"], rows, left=(0, 1, 2))


def _names(classes: Iterable[type]) -> str:
    return ", ".join(f"`{cls.__name__}`" for cls in classes)


def api() -> str:
    """The directives of mkdocstrings for every pooling function of `jaxpool`, by file."""
    functions = [entry.operator for entry in CATALOGUE.values()]
    functions.append(jaxpool.fractional_samples)
    lines = []
    for room, heading in ROOMS.items():
        lines += [f"## {heading}", ""]
        files: dict[str, list[str]] = {}
        for function in functions:
            if function.__module__.startswith(f"jaxpool.pooling.{room}."):
                files.setdefault(function.__module__, []).append(function.__name__)
        for file, names in files.items():
            lines += [f"::: {file}", f"    options: {{members: [{', '.join(names)}]}}"]
        lines.append("")
    return "\n".join(lines).strip()
