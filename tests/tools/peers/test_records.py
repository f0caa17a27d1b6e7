"""The committed records cover all operators, match the tables, and hold for installed peers."""

import dataclasses
import functools
from pathlib import Path

import pytest

import jaxpool
from tools.peers import table
from tools.peers.cases import MASKS, ROWS
from tools.peers.judge import judge
from tools.peers.library import load

FOLDER = Path(__file__).parents[3] / "results" / "peers"
HERE = ("flax", "torch", "equinox")


@functools.cache
def recorded(peer):
    """The recorded rows of a peer by operator."""
    return {row.operator: row for row in table.read(FOLDER, peer).rows}


@pytest.mark.parametrize("peer", table.PEERS)
def test_every_public_operator_is_a_row(peer):
    public = {*jaxpool.pooling.__all__}
    assert set(recorded(peer)) == public | {MASKS}


@pytest.mark.parametrize("peer", table.PEERS)
def test_records_contain_every_case(peer):
    """A row has all cases, or none if the peer lacks the operator."""
    for name, row in recorded(peer).items():
        assert row.cases in (0, len(ROWS[name].cases)), name
        assert {d.call for d in row.differences} <= {c.call(name) for c in ROWS[name].cases}, name


def test_the_tables_are_those_of_the_records():
    columns = table.read_columns(FOLDER)
    assert list(columns) == list(table.COLUMNS)
    assert (FOLDER / "table.md").read_text(encoding="utf-8") == table.render_table(columns)
    assert (FOLDER / "details.md").read_text(encoding="utf-8") == table.render_details(columns)
    assert (FOLDER / "headline.md").read_text(encoding="utf-8") == table.render_headline(columns)


@pytest.mark.usefixtures("compile_quickly")
@pytest.mark.parametrize(
    ("peer", "name"),
    [(peer, name) for peer in HERE for name in ROWS if recorded(peer)[name].cases],
)
def test_recorded_verdicts_equal_those_of_a_new_run(peer, name):
    """For a row that differs, only its differences and one agreeing case are run."""
    pytest.importorskip(peer)
    row, record = ROWS[name], recorded(peer)[name]
    told = {difference.call for difference in record.differences}
    agreeing = [case for case in row.cases if case.call(name) not in told]
    asked = agreeing[:1] if told else agreeing
    asked += [case for case in row.cases if case.call(name) in told]
    again = judge(dataclasses.replace(row, cases=tuple(asked)), load(peer))
    assert again.verdict == record.verdict
    assert [(d.topic, d.kind, d.call) for d in again.differences] == [
        (d.topic, d.kind, d.call) for d in record.differences
    ]
