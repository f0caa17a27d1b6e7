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


def test_every_public_operator_is_a_row():
    assert set(ROWS) == {*jaxpool.pooling.__all__, MASKS}


@pytest.mark.parametrize("peer", table.PEERS)
def test_a_record_has_the_operators_that_the_peer_has(peer):
    assert all(row.cases for row in recorded(peer).values())


@pytest.mark.parametrize("peer", table.PEERS)
def test_records_contain_every_case(peer):
    for name, row in recorded(peer).items():
        assert row.cases == len(ROWS[name].cases), name
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
    [(peer, name) for peer in HERE for name in ROWS if name in recorded(peer)],
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
