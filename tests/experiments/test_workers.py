"""Studies trained by other processes: the numbers of one process, whatever happens to a worker."""

import os
import signal
import subprocess
import sys
import time

import pytest

from experiments import training
from experiments.folder import StudyFolder
from experiments.workers import farm
from experiments.workers.farm import _next
from experiments.workers.task import Task
from tests.experiments.test_command_line import ROOT, command, results
from tests.experiments.test_faults import Lab
from tests.experiments.tiny import TINY


def task(variant, seed=0, folder=None):
    return Task("", variant, (seed,), "", folder or ROOT, (), "")


def test_a_worker_stays_with_the_variant_that_it_has_compiled():
    one, two, three = task("max"), task("max", 7), task("average")
    assert _next([one, two, three], None, set()) is one
    assert _next([two, three], ("", "average"), {("", "max")}) is three
    assert _next([two, three], ("", "strided"), {("", "max")}) is three
    assert _next([two], ("", "strided"), {("", "max")}) is two


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("alone"), None)
    lab.config.write_text(TINY)
    process = command("run", lab.config, "--out", lab.out)
    assert process.exit_code == 0, process.stderr
    return lab.folder


@pytest.fixture
def lab(alone, tmp_path):
    lab = Lab(tmp_path, alone)
    lab.config.write_text(TINY)
    return lab


def test_two_workers_give_the_numbers_of_one(lab):
    status, stderr = lab.run("--workers", 2)
    assert (status, stderr) == (0, "")
    assert results(lab.folder) == results(lab.whole)


def children(pid):
    """The worker processes of a parent."""
    found = []
    for path in (entry for entry in os.listdir("/proc") if entry.isdigit()):
        try:
            with open(f"/proc/{path}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{path}/cmdline") as file:
                line = file.read()
        except OSError:
            continue
        if parent == pid and "popen_loky" in line:
            found.append(int(path))
    return found


def training_workers(process, lab):
    """The workers, once one of them has trained for a while."""
    while not list(lab.folder.path.rglob("metrics.jsonl")):
        assert process.poll() is None, process.stderr.read()
        with_pause(process)
    return children(process.pid)


def with_pause(process):
    try:
        process.wait(0.05)
    except subprocess.TimeoutExpired:
        pass
