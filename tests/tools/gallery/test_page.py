"""docs/operators.md shows every operator, with its current docstring and records."""

import inspect
import re
from pathlib import Path

import pytest

import jaxpool
from catalogue import CATALOGUE
from tools import gallery
from tools.gallery import pictures
from tools.gallery.docstring import Docstring
from tools.gallery.guide import GUIDE

ROOT = Path(__file__).parents[3]
OPERATORS = list(CATALOGUE)


def test_the_guide_names_public_operators():
    assert {operator for advice in GUIDE for operator in advice.take} <= {*OPERATORS}


def test_the_committed_page_is_up_to_date():
    shown = (ROOT / gallery.PAGE).read_text(encoding="utf-8")
    assert shown == gallery.text(ROOT), "out of date: run `make documents`"


def test_all_links_of_the_page_have_targets():
    text = (ROOT / gallery.PAGE).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\(#([^)]+)\)", text)) <= anchors
    files = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert len(files) > len(OPERATORS)
    for file in files:
        assert (ROOT / "docs" / file).is_file(), file


def test_a_section_has_all_parts():
    text = gallery.text(ROOT)
    for operator in OPERATORS:
        start = text.index(f"### {operator}\n")
        section = text[start : text.find("\n##", start + 1)]
        said = Docstring.of(getattr(jaxpool, operator))
        assert said.definition in section
        assert f"(operators/{operator}.png)" in section
        assert f"- `{operator} " in section
        for start, words in (("**When to use it.**", said.when), ("**Source.**", said.source)):
            assert " ".join(words.split()) in " ".join(section.split(start)[1].split())


def test_refresh_rewrites_only_what_has_changed(tmp_path, monkeypatch):
    asked = []

    def draw(operator):
        asked.append(operator)
        return drawn

    drawn = pictures.draw("global_avg_pool")
    monkeypatch.setattr(pictures, "draw", draw)
    config = tmp_path / "configs" / "bench" / "operators.toml"
    config.parent.mkdir(parents=True)
    config.write_text((ROOT / "configs" / "bench" / "operators.toml").read_text())
    page, picture = tmp_path / gallery.PAGE, gallery.picture_of(tmp_path, "roi_align")
    assert gallery.refresh(tmp_path) == [
        page,
        *(gallery.picture_of(tmp_path, operator) for operator in OPERATORS),
    ]
    assert asked == OPERATORS
    assert "Not measured yet." in page.read_text()
    assert gallery.refresh(tmp_path) == []
    page.write_text("something else")
    picture.unlink()
    assert gallery.refresh(tmp_path) == [page, picture]
    assert picture.read_bytes() == drawn


def example():
    """Something.

        y = x

    It is nothing else.

    Args:
        x: A number.

    Example:
        >>> 1
        1

    When to use:
        In a test, that
        goes on.

    Source:
        Here.
    """


def test_a_docstring_is_read_part_by_part():
    said = Docstring.of(example)
    assert said == Docstring(
        summary="Something.",
        definition="    y = x\n\nIt is nothing else.",
        when="In a test, that\ngoes on.",
        source="Here.",
    )


@pytest.mark.parametrize(
    ("part", "name"),
    [("Source:", "Source"), ("When to use:", "When to use"), ("    y = x", "formula")],
)
def test_a_part_that_is_missing_is_named(part, name):
    def lacking():
        pass

    lacking.__doc__ = inspect.getdoc(example).replace(part, "Nothing")
    with pytest.raises(ValueError, match=f"the docstring of lacking lacks (a )?{name}"):
        Docstring.of(lacking)
