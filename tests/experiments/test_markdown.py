from hypothesis import given
from hypothesis import strategies as st

from experiments import markdown


@given(st.text())
def test_markdown_cannot_break_out_of_a_cell(text):
    escaped = markdown.escape(text)
    assert "\n" not in escaped
    unescaped = escaped.replace("\\\\", "").replace("\\|", "").replace("\\<", "")
    assert "|" not in unescaped
    assert "<" not in unescaped


def test_markdown_leaves_names_in_backticks_alone():
    assert markdown.escape("`max_pool` beats `a|b`") == "`max_pool` beats \\`a\\|b\\`"


def test_a_table_aligns_the_columns_it_is_told_to():
    assert markdown.table(["a", "b", "c"], [["x", "1", "y"]], left=(0, 2)).splitlines() == [
        "| a | b | c |",
        "| --- | ---: | --- |",
        "| x | 1 | y |",
    ]
