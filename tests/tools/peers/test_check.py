import pytest
from typer.testing import CliRunner

from experiments import records
from tests.tools.peers import made_up
from tools.peers import check, table
from tools.peers.__main__ import app
from tools.peers.records import PeerRecord


@pytest.fixture
def peers(monkeypatch):
    """Makes the fake library the only peer, and the table one row long."""
    made_up.install(monkeypatch, max_pool=made_up.right)
    monkeypatch.setattr(table, "COLUMNS", {"Made up": ("made_up", "absent")})
    monkeypatch.setattr(table, "PEERS", ("made_up", "absent"))
    for module in (check, table):
        monkeypatch.setattr(module, "ROWS", {"max_pool": made_up.ROW})
    monkeypatch.setattr(check, "is_installed", lambda name: name == "made_up")
    monkeypatch.setattr(check, "load", lambda name: made_up.library())


def peers_command(folder, *names):
    return CliRunner().invoke(app, [*names, "--out", str(folder)])


@pytest.mark.usefixtures("peers")
def test_the_command_checks_what_is_installed_and_leaves_other_records_alone(tmp_path):
    first = peers_command(tmp_path)
    assert first.exit_code == 0, first.output
    assert first.output == "made_up: has 1\n"
    record = records.read(tmp_path / "made_up.json", PeerRecord)
    assert record.versions["made_up"] == "1.2.3+local"
    assert [row.verdict for row in record.rows] == ["has"]
    assert record.claimed == {"max_pool": ("made_up.max_pool",)}

    other = record.model_copy(update={"peer": "absent", "versions": {"absent": "9"}})
    records.write(tmp_path / "absent.json", other)
    before = (tmp_path / "absent.json").read_bytes()
    assert peers_command(tmp_path, "made_up").exit_code == 0
    assert (tmp_path / "absent.json").read_bytes() == before
    assert "made_up 1.2.3, absent 9, checked" in (tmp_path / "table.md").read_text()
    assert "## max_pool" in (tmp_path / "details.md").read_text()


@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "error: absent is not installed"),
        ("nosuch", "error: 'nosuch' is no peer; they are made_up, absent"),
    ],
)
def test_a_peer_that_cannot_be_checked_is_named(tmp_path, name, message):
    result = peers_command(tmp_path, name)
    assert result.exit_code == 2
    assert message in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("peers")
def test_an_unlisted_pooling_stops_the_command(tmp_path, monkeypatch):
    made_up.install(monkeypatch, max_pool=made_up.right, new_pool=made_up.right)
    result = peers_command(tmp_path)
    assert result.exit_code == 2
    assert "no row claims made_up.new_pool" in result.output
    assert list(tmp_path.iterdir()) == []
