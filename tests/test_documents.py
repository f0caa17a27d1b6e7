import ast
import importlib.util
import re
from pathlib import Path

import pytest

from experiments.records import RecordError
from jaxpool import nn
from tools import documents

pytestmark = pytest.mark.usefixtures("compile_quickly")

ROOT = Path(__file__).parents[1]
PAGES = [page for page in documents.documents(ROOT)[1:] if "```python" in page.read_text("utf-8")]
PEERS = ["equinox", "haiku", "torch"]
TEXT = "before\n<!-- include table.md -->\nold\n<!-- end include -->\nafter\n"


def test_an_included_file_replaces_what_was_there(tmp_path):
    (tmp_path / "table.md").write_text("# Heading\n\n| a |\n|---|\n| 1 |\n")
    (tmp_path / "README.md").write_text(TEXT)
    assert documents.refresh(tmp_path) == [tmp_path / "README.md"]
    expected = (
        "before\n<!-- include table.md -->\n\n| a |\n|---|\n| 1 |\n\n<!-- end include -->\nafter\n"
    )
    assert (tmp_path / "README.md").read_text() == expected
    assert documents.refresh(tmp_path) == []


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "README.md").write_text(TEXT)
    with pytest.raises(RecordError, match=r"README.md includes table.md, which is not there"):
        documents.refresh(tmp_path)


@pytest.mark.parametrize("document", documents.documents(ROOT), ids=lambda path: path.name)
def test_every_document_is_up_to_date_with_the_records(document):
    text = document.read_text(encoding="utf-8")
    assert documents.included(text, ROOT, document) == text


def test_the_python_of_the_readme_runs():
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(lines, names)
    assert {name: names[name].shape for name in "ymgsn"} == {
        "y": (8, 16, 16, 16),
        "m": (8, 16, 16, 16),
        "g": (8, 32, 32, 16),
        "s": (8, 16),
        "n": (8, 16, 16, 16),
    }
    assert names["layer"](names["x"]).shape == (8, 16, 16, 16)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_python_of_a_page_runs(page):
    """All blocks run in one namespace; a shape in a comment is that of the assigned name.

    Blocks that import an absent library of the `peers` extra are skipped.
    """
    names: dict = {}
    absent = set()
    for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        used = {library for library in PEERS if re.search(rf"^import {library}\b", block, re.M)}
        if missing := {library for library in used if importlib.util.find_spec(library) is None}:
            absent |= missing
            continue
        exec(block, names)
        for name, shape in re.findall(r"^(\w+) = .*  # (\(\d.*\))$", block, re.MULTILINE):
            assert names[name].shape == ast.literal_eval(shape), name
    if absent:
        pytest.skip(f"blocks that import {', '.join(sorted(absent))} did not run")


def test_modules_md_names_every_module():
    text = (ROOT / "docs" / "modules.md").read_text("utf-8")
    assert [name for name in nn.__all__ if f"`{name}`" not in text] == ["Pool"]  # the base class
