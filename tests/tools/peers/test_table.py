import pytest

from experiments import records
from experiments.records import RecordError
from tools.peers import table
from tools.peers.cases import ROWS
from tools.peers.records import Disagreement, PeerRecord, RowRecord


def difference(topic, kind="differs", words="value: shape (1,), peer (2,)"):
    return Disagreement(topic=topic, call="max_pool(x, 2), x: `zeros`", kind=kind, words=words)


def row(operator="max_pool", *differences, cases=5):
    return RowRecord(
        operator=operator, calls=("made_up.pool(x)",), cases=cases, differences=differences
    )


def record(peer, *rows, **changes):
    fields = {
        "peer": peer,
        "date": "2026-01-02",
        "versions": {peer: "1.2.3+cpu", "python": "3.11"},
        "modules": (peer,),
        "patterns": ("pool",),
        "rows": rows,
        "claimed": {"max_pool": (f"{peer}.pool",)},
        "extras": {},
        "aside": {},
    }
    return PeerRecord(**{**fields, **changes})


def cells(text, name):
    starts = (f"| [`{name}`]", f"| `{name}` |")  # a link if some library has the operator
    (line,) = (line for line in text.splitlines() if line.startswith(starts))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_a_cell_says_has_lacks_or_how_it_differs():
    text = table.render_table(
        {
            "A": [record("a", row())],
            "B": [record("b")],
            "C": [record("c", row("max_pool", difference("NaN"), difference("NaN")))],
            "D": [record("d", row("max_pool", difference("SAME", "refuses")))],
            "E": [
                record(
                    "e",
                    row(
                        "max_pool",
                        difference("wide padding", "refuses"),
                        difference("padding", "refuses"),
                        difference("NaN"),
                        difference("NaN", "refuses"),
                        difference("1-D", "refuses"),
                    ),
                )
            ],
            "F": [record("f", row("max_pool", difference("SAME", "refuses"), cases=1))],
        }
    )
    assert cells(text, "max_pool") == [
        "✓",
        "—",
        "≠ NaN",
        "✓, no SAME",
        "≠ NaN; no padding, 1-D",
        "—",
    ]
    assert "[`max_pool`](#max_pool)" in text


def test_every_row_has_a_line_with_a_cell_for_each_library():
    text = table.render_table({"A": [record("a")], "B": [record("b")]})
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROWS)
    assert all(line.endswith("| — | — |") for line in lines)


def test_only_rows_with_a_section_below_are_links():
    text = table.render_table({"A": [record("a", row("max_pool"))], "B": [record("b")]})
    assert "| [`max_pool`](#max_pool) | ✓ | — |" in text
    assert "| `min_pool` | — | — |" in text


def test_one_column_may_stand_for_several_packages():
    column = [record("a", row("max_pool")), record("b", row("roi_align", difference("scale")))]
    text = table.render_table({"A": column})
    assert [cells(text, name) for name in ("max_pool", "roi_align", "min_pool")] == [
        ["✓"],
        ["≠ scale"],
        ["—"],
    ]
    assert "- A: a 1.2.3, b 1.2.3, checked 2026-01-02." in text


def test_the_headline_counts_verdicts():
    refused = row("min_pool", difference("SAME", "refuses"))
    column = [record("a", row("max_pool"), refused), record("b", row("roi_align", difference("s")))]
    text = table.render_headline({"A": column, "B": [record("b")]})
    assert f"| A | 2 | 1 | {len(ROWS) - 3} |" in text
    assert f"| B | 0 | 0 | {len(ROWS)} |" in text


def test_the_table_names_poolings_that_jaxpool_lacks():
    column = [record("a", extras={"odd sums": ("a.odd",), "even sums": ("a.even",)})]
    assert "jaxpool lacks: odd sums; even sums." in table.render_table({"A": column})
    assert "- jaxpool lacks: odd sums: `a.odd`" in table.render_details({"A": column})


def test_the_page_shows_each_difference_with_its_case():
    column = [
        record(
            "a",
            row("max_pool", difference("NaN"), difference("SAME", "refuses", "TypeError: `no`")),
            aside={"of threads": ("a.thread_pool",)},
        )
    ]
    page = table.render_details({"A": column, "B": [record("b")]})
    assert "## max_pool" in page
    assert "- **A** differs: 3 of 5 cases agree. `made_up.pool(x)`" in page
    assert "  - NaN: `` max_pool(x, 2), x: `zeros` `` differs: value: shape (1,), peer (2,)" in page
    assert "  - SAME: `` max_pool(x, 2), x: `zeros` `` refused: `` TypeError: `no` ``" in page
    assert "- **B** lacks it." in page
    assert "## min_pool" not in page
    assert "`min_pool`" in page.partition("## In no other library")[2]
    assert "- not counted as a pooling, of threads: `a.thread_pool`" in page


def test_records_of_other_rows_are_refused(tmp_path):
    records.write(tmp_path / "flax.json", record("flax", row("old_pool")))
    with pytest.raises(
        RecordError, match=r"flax.json has rows that the table lacks: old_pool; run"
    ):
        table.write(tmp_path)


def test_a_record_s_numbers_go_together():
    with pytest.raises(ValueError, match="1 calls, 0 cases and 0 differences"):
        row(cases=0)
    with pytest.raises(ValueError, match="1 calls, 1 cases and 2 differences"):
        row("max_pool", difference("a"), difference("b"), cases=1)
