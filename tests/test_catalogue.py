"""Every public operator has one entry in the catalogue, which makes the lists of operators."""

import inspect
import subprocess
import sys

import catalogue
import jaxpool
from catalogue import CATALOGUE


def test_every_public_operator_has_one_entry():
    complaints = catalogue.complaints(jaxpool.pooling.__all__)
    assert not complaints, "; ".join(complaints)


def test_what_is_missing_is_said_in_a_sentence():
    fewer = [name for name in CATALOGUE if name != "max_pool"]
    assert catalogue.complaints(fewer) == [
        "max_pool is no public operator: export it from jaxpool/pooling/__init__.py, or remove its "
        "entry from catalogue/entries.py"
    ]


def test_two_entries_of_one_operator_are_one_too_many(monkeypatch):
    doubled = {**catalogue.FAMILIES, "Again": catalogue.FAMILIES["Any function"]}
    monkeypatch.setattr(catalogue, "FAMILIES", doubled)
    assert catalogue.complaints(CATALOGUE) == [
        "reduce_window has 2 entries in catalogue/entries.py: keep one"
    ]


def test_an_entry_is_that_of_the_operator_that_users_call():
    for name, entry in CATALOGUE.items():
        assert entry.operator is getattr(jaxpool, name)
        assert "" in entry.calls, name
        parameters = inspect.signature(entry.operator).parameters
        assert entry.is_windowed == (
            {"dilation", "where"} <= {*parameters} and "filters" not in parameters
        )


def test_the_catalogue_imports_neither_the_lab_nor_the_tools():
    script = (
        "import sys, catalogue; "
        "print({'experiments', 'tools', 'tests', 'flax'} & {name for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
