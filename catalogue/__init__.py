"""The catalogue: one entry per public operator, the source of every list of operators.

entry.py      what an entry holds
calls.py      example calls
entries.py    the entries, family by family

An entry feeds the gallery (docs/operators.md) and its pictures, the table of modules
(docs/modules.md), the page of the API (docs/api.md), the benchmark of operators, the table of peers
(docs/peers.md) and the tables of the tests. It imports only jaxpool; the lab, the tools and the
tests import it.
"""

from __future__ import annotations

from collections.abc import Iterable

from catalogue.entries import FAMILIES
from catalogue.entry import Entry, Example, Make, Map

__all__ = ["CATALOGUE", "FAMILIES", "Entry", "Example", "Make", "Map", "complaints"]

CATALOGUE: dict[str, Entry] = {
    entry.name: entry for family in FAMILIES.values() for entry in family
}
"""The entries by the operator's name, in the order of the families."""


def complaints(operators: Iterable[str]) -> list[str]:
    """The entries to add or to remove, so that each of these operators has one entry.

    Args:
        operators: The names of the public operators.

    Returns:
        One sentence per entry to add or to remove; empty if the catalogue is complete.

    Example:
        >>> import catalogue
        >>> catalogue.complaints([*catalogue.CATALOGUE, "new_pool"])
        ['new_pool has no entry: write one under a family in catalogue/entries.py']
    """
    public, listed = set(operators), [e.name for family in FAMILIES.values() for e in family]
    return [
        *(
            f"{name} has no entry: write one under a family in catalogue/entries.py"
            for name in sorted(public - {*listed})
        ),
        *(
            f"{name} is no public operator: export it from jaxpool/pooling/__init__.py, or remove "
            "its entry from catalogue/entries.py"
            for name in sorted({*listed} - public)
        ),
        *(
            f"{name} has {listed.count(name)} entries in catalogue/entries.py: keep one"
            for name in sorted({*listed})
            if listed.count(name) > 1
        ),
    ]
