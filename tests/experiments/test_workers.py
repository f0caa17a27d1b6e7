"""Studies trained by several processes give the numbers of one, also if workers are lost."""

import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest

from experiments import workers
from experiments.config import ConfigError
from experiments.faults import FAULTS
from experiments.records import EpochMetrics, RecordError, append_metrics
from experiments.workers.farm import _next
from experiments.workers.task import TrainingTask
from tests.experiments.test_command_line import ROOT, command, results
from tests.experiments.test_faults import AT, Lab, begun, wait
from tests.experiments.tiny import TINY


def task(variant, seed=0, folder=ROOT):
    return TrainingTask("", variant, (seed,), "", folder, (), "")


def test_a_worker_stays_with_the_variant_that_it_has_compiled():
    one, two, three = task("max"), task("max", 7), task("average")
    assert _next([one, two, three], None, set()) is one
    assert _next([one, two, three], ("", "average"), {("", "max")}) is three
    assert _next([one, three], ("", "strided"), {("", "max")}) is three
    assert _next([two], ("", "strided"), {("", "max")}) is two


class LostError(Exception):
    pass


class Crew:
    """Two fake workers that train one round per task, and are lost in the first `losses` tasks."""

    lost = LostError
    count = 2

    def __init__(self, losses):
        self._losses, self._idle, self.released = losses, [0, 1], []

    def idle(self):
        return self._idle.pop() if self._idle else None

    def submit(self, worker, task):
        future = Future()
        if self._losses:
            self._losses -= 1
            future.set_exception(LostError())
            return future
        numbers = {"step": 1, "train_loss": 1.0, "learning_rate": 0.1, "seconds": 1.0}
        metrics = EpochMetrics(epoch=1, examples_per_s=1.0, **numbers)
        append_metrics(task.place.metrics(task.variant, *task.seeds), metrics)
        future.set_result(None)
        return future

    def release(self, worker, lost):
        self.released.append(lost)
        self._idle.append(worker)


def test_the_task_of_a_lost_worker_is_done_again_and_told_once(tmp_path):
    crew, told = Crew(losses=2), []
    tasks = [task("max", seed, tmp_path) for seed in range(3)]
    workers.farm(tasks, crew, lambda task, metrics: told.append(task.seeds))
    assert sorted(told) == [(0,), (1,), (2,)]
    assert sorted(crew.released) == [False, False, False, True, True]


def test_a_task_that_loses_its_worker_three_times_ends_the_study(tmp_path):
    complaint = r"max, seed 4 has lost its worker 3 times, perhaps because memory ran out; run"
    with pytest.raises(RecordError, match=complaint):
        workers.farm([task("max", 4, tmp_path)], Crew(losses=9), lambda *_: None)


def test_what_cannot_work_is_said(tmp_path, monkeypatch):
    lab = Lab(tmp_path, None)
    both = command(
        "run", lab.config, "--out", lab.out, "--workers", 2, "--dask", "tcp://127.0.0.1:1"
    )
    assert both.exit_code == 2
    assert both.stderr == "error: --workers and --dask: give one of them\n"
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    with pytest.raises(ConfigError, match="only a CPU can be shared"), workers.local(2):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r'pip install "jaxpool\[cluster\]"'), workers.dask("x"):
        pass


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The study, trained in one process."""
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


@pytest.mark.thorough
def test_two_workers_give_the_numbers_of_one(lab):
    assert lab.run("--workers", 2) == (0, "")
    assert results(lab.folder) == results(lab.whole)


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(lab, number):
    # Through AT, since SIGINT stays ignored where a shell runs the tests in the background.
    process = lab.popen("--workers", 2, python=("-c", AT, "no_such_module", 0))
    pids = begun(process, lab)
    assert pids
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    if number != signal.SIGKILL:
        fault = FAULTS["interrupt" if number == signal.SIGINT else "terminate"]
        assert (process.returncode, stderr) == (fault.status, f"{fault.line}\n")
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        wait(subprocess.Popen(["sleep", "0.1"]), 1)
    again = command("run", lab.config, "--out", lab.out)
    assert again.exit_code == 0, again.stderr
    assert results(lab.folder) == results(lab.whole)


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler with two workers on loopback; yields its address and their processes."""
    pytest.importorskip("distributed")
    scheduler = tmp_path / "scheduler.json"
    started = []

    def start(module, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen(command, cwd=ROOT, **silent))

    here = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(scheduler))
    start("dask_scheduler", "--port", "0", *here)
    for _ in range(2):
        start("dask_worker", "--nthreads", "1", "--no-nanny", *here)
    from distributed import Client

    while not scheduler.exists():
        assert not wait(started[0], 0.1)
    with Client(scheduler_file=str(scheduler)) as client:
        client.wait_for_workers(2, timeout=60)
        yield client.scheduler.address, started[1:]
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")  # Dask's own
def test_a_cluster_gives_the_numbers_of_one_process_also_if_a_worker_is_killed(lab, cluster):
    address, workers = cluster
    process = lab.popen("--dask", address)
    begun(process, lab)
    workers[0].kill()
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert results(lab.folder) == results(lab.whole)
