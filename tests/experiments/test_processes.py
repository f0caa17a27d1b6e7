"""Several processes that train together: who says what to whom, and what one loses with another."""

import json
import shutil
import signal
import socket
from contextlib import nullcontext

import jax
import numpy as np
import pytest
import typer
from rich.console import Console

from experiments import (
    lockstep,
    parallel,
    processes,
    sharded_checkpoint,
    stopping,
    supervision,
    training,
)
from experiments.folder import StudyFolder
from experiments.supervision import Group
from tests.experiments.test_command_line import KILLER, results
from tests.experiments.test_faults import Lab, free_port, group_of_two, together
from tests.experiments.tiny import tiny_study

ADDRESS = "10.0.0.1:1234"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ((None, 2, None), "--processes and --process: need --coordinator"),
        (("10.0.0.1", 2, 0), "--coordinator 10.0.0.1: must be HOST:PORT or auto"),
        (("host:99999", 2, 0), "--coordinator host:99999: must be HOST:PORT or auto"),
        ((ADDRESS, 2, None), f"--coordinator {ADDRESS}: needs --processes and --process"),
        ((ADDRESS, 2, 2), "--process 2: must lie between 0 and 1, for --processes is 2"),
    ],
)
def test_a_group_that_does_not_fit_is_refused_in_one_line(given, line, capsys):
    with pytest.raises(typer.Exit) as ended:
        supervision.group(*given, 60, 300)
    assert ended.value.exit_code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {line}")


def test_a_group_needs_an_address_and_numbers_or_finds_itself():
    assert supervision.group(None, None, None, 60, 300) is None
    assert supervision.group("auto", None, None, 60, 300) == Group("auto", None, None, 60, 300)
    assert supervision.group(ADDRESS, 3, 2, 60, 300) == Group(ADDRESS, 3, 2, 60, 300)


HEARTBEATS = (
    "E1129 15:21:39.877037    8503 coordination_service.cc:1549] [81] UNAVAILABLE: The following "
    "tasks are unhealthy (stopped sending heartbeats):\n1\n3\nThe tasks have crashed.\n"
)
NO_LEADER = (
    "F1129 15:21:21.837136    8356 client.h:80] UNAVAILABLE: Failed to send RPC to coordination "
    "service. Either the leader task was preempted\n"
)


@pytest.mark.parametrize(
    ("count", "said", "who"),
    [
        (4, HEARTBEATS, "process 2: processes 1, 3 of the group are lost"),
        (4, NO_LEADER, "process 2: process 0 of the group is lost"),
        (4, "", "process 2: another process of the group is lost"),
    ],
)
def test_what_jax_says_of_a_lost_process_becomes_its_name(count, said, who):
    assert supervision._lost(Group(ADDRESS, count, 2, 60, 300), said).startswith(who)
    assert not said or supervision._FATAL.match(said)


def test_of_two_processes_the_other_one_is_lost():
    said = supervision._lost(Group(ADDRESS, 2, 1, 60, 300), "")
    assert said == (
        "process 1: process 0 of the group is lost; run the same command in every process again, "
        "and it goes on from here"
    )


class Wire:
    """Takes what process 0 sends, and gives it to a follower later."""

    def __init__(self, monkeypatch):
        self.sent = []
        monkeypatch.setattr(processes, "send", self.send)
        monkeypatch.setattr(processes, "receive", lambda: self.sent.pop(0))
        monkeypatch.setattr(jax.distributed, "shutdown", lambda: None)

    def send(self, header, payload=b""):
        assert len(json.dumps(header)) < processes._BLOCK
        self.sent.append((dict(header), payload))


def test_a_follower_makes_the_calls_of_process_0_and_has_its_state(tmp_path, monkeypatch):
    changes = "training.seeds=[3]", "training.epochs=2", "dataset.validation=0.2"
    study = tiny_study(tmp_path, "training.data_parallel=true", *changes)
    wire = Wire(monkeypatch)
    monkeypatch.setattr(training, "_executor", lambda study, data: lockstep.Leader)
    trainer = training.Trainer(study, "max", training.loaded(study, study.dataset.limited()))
    folder = StudyFolder(tmp_path / "results")
    trainer.train((3,), folder, lambda seeds, lines: None)
    processes.send({"do": "end", "error": False})
    calls = [header["do"] for header, _ in wire.sent]
    assert calls == ["build", "place", *["train", "score"] * 2, "score", "end"]
    states = []
    original = parallel.Parallel.train

    def spy(self, *positional, **named):
        states.append(original(self, *positional, **named))
        return states[-1]

    monkeypatch.setattr(parallel.Parallel, "train", spy)
    before = sorted(tmp_path.rglob("*"))
    assert lockstep.follow(Console(quiet=True))
    assert wire.sent == []
    assert sorted(tmp_path.rglob("*")) == before  # a follower writes nothing
    losses = [float(losses[0]) for _, losses, _ in states]
    lines = (folder.metrics("max", 3)).read_text().splitlines()
    assert losses == [json.loads(line)["train_loss"] for line in lines]


def test_a_follower_makes_writes_and_reads_its_part_of_a_sharded_state(tmp_path, monkeypatch):
    changes = ("training.data_parallel=true", "training.shard_state=true", "model.widths=[16]")
    study = tiny_study(tmp_path, *changes)
    wire, folder = Wire(monkeypatch), tmp_path / "checkpoint" / "epoch-1"
    leader = lockstep.Leader(study, "max", training.loaded(study, study.dataset.limited()))
    state = leader.initial(3)
    leader.write(folder, state)
    jax.tree.map(np.testing.assert_array_equal, leader.load(folder), state)
    processes.send({"do": "end", "error": False})
    calls = [header["do"] for header, _ in wire.sent]
    assert calls == ["build", "initial", "write", "build", "load", "end"]
    shutil.rmtree(folder)
    states, read = [], sharded_checkpoint.read

    def spy(*arguments):
        states.append(read(*arguments))
        return states[-1]

    monkeypatch.setattr(sharded_checkpoint, "read", spy)
    assert lockstep.follow(Console(quiet=True))
    (found,) = states
    jax.tree.map(np.testing.assert_array_equal, found, state)


def test_a_follower_says_whether_process_0_failed(monkeypatch):
    wire = Wire(monkeypatch)
    wire.send({"do": "end", "error": True})
    assert not lockstep.follow(Console(quiet=True))


def test_process_0_ends_the_others_when_it_fails_but_not_when_one_is_lost(monkeypatch):
    ends = []
    monkeypatch.setattr(processes, "end", lambda error=False: ends.append(error))
    inside = sharded_checkpoint.CollectiveError("a file cannot be written")
    for error, sent in [(None, [False]), (OSError(), [True]), (lost(), []), (inside, [])]:
        expected = nullcontext() if error is None else pytest.raises(type(error))
        with expected, processes.leading():
            if error is not None:
                raise error
        assert ends == sent
        ends.clear()


def lost():
    return jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer")


def test_a_message_is_padded_to_few_sizes():
    assert [processes._padded(size) for size in (1, 1024, 1025, 5000)] == [1024, 1024, 2048, 8192]


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, None)


@pytest.mark.thorough
def test_two_processes_have_the_losses_of_one(lab):
    ended = together(lab)
    assert [status for status, _ in ended] == [0, 0], ended
    losses, correct = losses_of(lab.folder), correct_of(lab.folder)
    alone = ("--out", lab.base / "alone", "--set", "training.data_parallel=true")
    for number, changes in enumerate((alone, alone[:2])):
        status, stderr = lab.run(*changes, "--set", f"name=n{number}", JAX_NUM_CPU_DEVICES="4")
        assert status == 0, stderr
        folder = StudyFolder(lab.base / "alone" / f"n{number}")
        assert correct_of(folder) == correct
        found = losses_of(folder)
        assert found.keys() == losses.keys()
        for seed, expected in losses.items():
            np.testing.assert_allclose(found[seed], expected, rtol=1e-4)


def correct_of(folder):
    """How many of the 50 test examples, which four devices cannot share evenly, are right."""
    paths = folder.runs.glob("max/seed-*/record.json")
    records = {path.parent.name: json.loads(path.read_text()) for path in paths}
    assert {record["test_size"] for record in records.values()} == {50}
    return {seed: record["test_correct"] for seed, record in records.items()}


def losses_of(folder):
    lines = {
        path.parent.name: list(map(json.loads, path.read_text().splitlines()))
        for path in folder.runs.glob("max/seed-*/metrics.jsonl")
    }
    return {seed: [line["train_loss"] for line in each] for seed, each in lines.items()}


@pytest.mark.thorough
def test_an_error_of_process_0_ends_all_and_is_said_once(lab):
    first, second = together(lab, "--set", "training.batch_size=18")
    assert first[0] == second[0] == 2
    assert first[1].startswith("error: training.batch_size = 18: must be a multiple of 4")
    assert second[1] == ""


@pytest.mark.thorough
def test_a_signal_to_one_process_ends_the_other_too(lab):
    first, second = group_of_two(lab, "--set", "training.epochs=5000")
    while not list(lab.folder.path.rglob("metrics.jsonl")):
        assert first.poll() is None, first.communicate()
    second.send_signal(signal.SIGTERM)
    _, stderr = second.communicate(timeout=60)
    assert (second.returncode, stderr) == (143, f"{stopping.MESSAGE}\n")
    _, stderr = first.communicate(timeout=120)
    assert (first.returncode, len(stderr.splitlines())) == (supervision.LOST, 1)
    assert "process 0: process 1 of the group is lost" in stderr


@pytest.mark.thorough
def test_processes_that_do_not_meet_say_so_in_one_line(lab):
    changes = ("--coordinator", f"127.0.0.1:{free_port()}", "--processes", 2, "--process", 1)
    status, stderr = lab.run(*changes, "--start-timeout", 5)
    assert status == 2
    assert stderr.startswith("error: --coordinator 127.0.0.1:")
    assert "the processes cannot meet (not all in 5 s)" in stderr
    assert len(stderr.splitlines()) == 1


@pytest.mark.thorough
def test_a_port_in_use_is_said_in_one_line(lab):
    with socket.create_server(("::", 0), family=socket.AF_INET6) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        changes = ("--coordinator", address, "--processes", 2, "--process", 0)
        status, stderr = lab.run(*changes, "--start-timeout", 5)
    assert status == 2
    assert stderr.startswith(f"error: --coordinator {address}: the processes cannot meet")
    assert len(stderr.splitlines()) == 1


SHARDED = ("--set", "training.shard_state=true", "--set", "model.widths=[16]")


@pytest.mark.thorough
def test_killed_processes_go_on_from_the_last_complete_checkpoint_of_a_sharded_state(lab):
    at_commit = ("-c", KILLER, "experiments.sharded_checkpoint", "commit", "1")
    first, second = group_of_two(lab, *SHARDED, first=at_commit)
    _, stderr = first.communicate(timeout=120)
    assert first.returncode == 128 + signal.SIGKILL, stderr
    second.kill()  # and with it the process that it watches
    second.communicate(timeout=60)
    index = training.checkpoint_path(lab.folder, "max", (0,), sharded=True)
    assert json.loads(index.read_text())["epoch"] == 1
    # Process 1 is killed before it writes its part of the second checkpoint.
    at_write = ("-c", KILLER, "experiments.sharded_checkpoint", "_meet", "1")
    (status, stderr), (killed, _) = together(lab, *SHARDED, second=at_write)
    assert killed == 128 + signal.SIGKILL
    assert (status, len(stderr.splitlines())) == (supervision.LOST, 1), stderr
    assert "process 0: process 1 of the group is lost" in stderr
    assert json.loads(index.read_text())["epoch"] == 1
    # Damage is found by process 0, before any process reads arrays.
    (arrays,) = (index.parent / "epoch-1").glob("d/*")
    content = arrays.read_bytes()
    arrays.write_bytes(content[:-1])
    (status, stderr), (other, nothing) = together(lab, *SHARDED)
    assert (status, other, len(stderr.splitlines()), nothing) == (2, 2, 1, ""), (stderr, nothing)
    assert "epoch-1: damaged (" in stderr
    assert stderr.endswith(f"; remove {index.parent} to train this again\n")
    arrays.write_bytes(content)
    whole = StudyFolder(lab.base / "whole" / "study")
    for ended in (together(lab, *SHARDED), together(lab, *SHARDED, "--out", lab.base / "whole")):
        assert [status for status, _ in ended] == [0, 0], ended
    assert results(lab.folder) == results(whole)
    assert len(results(whole)) == 2
    assert sorted(path.name for path in index.parent.iterdir()) == ["checkpoint.json", "epoch-3"]
    replicated = ("--out", lab.base / "replicated", *SHARDED[2:])
    assert [status for status, _ in together(lab, *replicated)] == [0, 0]
    expected = losses_of(StudyFolder(lab.base / "replicated" / "study"))
    for seed, found in losses_of(whole).items():
        np.testing.assert_allclose(found, expected[seed], rtol=1e-4)
