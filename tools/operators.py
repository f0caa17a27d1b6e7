"""Lists of operators in docs/: the table of modules, the API's page, the number of test cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
    parts = []
    for room, heading in ROOMS.items():
        inside = [f for f in functions if f.__module__.startswith(f"jaxpool.pooling.{room}.")]
        parts.append(f"## {heading}\n\n{_directives(inside)}")
    return "\n\n".join(parts)


def api_modules() -> str:
    """The directives of mkdocstrings for all that `jaxpool.nn` exports, by file."""
    return _directives([getattr(nn, name) for name in nn.__all__])


def _directives(objects: Iterable[Callable]) -> str:
    files: dict[str, list[str]] = {}
    for each in objects:
        files.setdefault(each.__module__, []).append(each.__name__)
    return "\n".join(
        f"::: {file}\n    options: {{members: [{', '.join(names)}]}}"
        for file, names in files.items()
    )


def modes() -> str:
    """The number of test cases of operators in modes of JAX, for docs/reliability.md."""
    from tests import test_modes  # imports pytest, which the other documents do not need

    rows, cases = len(test_modes.OPERATORS), len(test_modes.CASES)
    return (
        f"These are {len(test_modes.modes.MODES)} modes, {rows} rows of the table of operators "
        f"(`tests/operators.py`) and {len(test_modes.BATCHES)} sizes: {cases} cases. "
        "Rows that take no mask have no case of `debug_nans`. Operands that vary over devices (see "
        f"below) add {len(test_modes.VARYING)} pairs of operator and operand."
    )
