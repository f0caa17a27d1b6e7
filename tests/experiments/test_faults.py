"""Every fault of `experiments.faults` happens to a real process, and the next one goes on."""

import gzip
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from experiments import checkpoint
from experiments.config import load
from experiments.faults import FAULTS
from experiments.folder import StudyFolder
from experiments.study import only_process
from tests.experiments.test_command_line import KILLER, ROOT, WIDE, command, results
from tests.experiments.tiny import TINY

CONFIG = TINY[: TINY.index("[variants.strided]")].replace("widths = [4]", "widths = [2]")
GARBAGE = b'\x00\xff{"half": [1, '

# Runs the command line, and sends itself a signal when it imports a module, or calls a function.
AT = """
import importlib, os, runpy, signal, sys
place, number = sys.argv[1], int(sys.argv[2])
signal.signal(signal.SIGINT, signal.default_int_handler)  # wherever the tests run
module, colon, name = place.partition(":")
class Finder:
    @staticmethod
    def find_spec(found, path=None, target=None):
        if not colon and found == module:
            os.kill(os.getpid(), number)
if colon:
    module = importlib.import_module(module)
    original = getattr(module, name)
    def call(*positional, **named):
        os.kill(os.getpid(), number)
        return original(*positional, **named)
    setattr(module, name, call)
sys.meta_path.insert(0, Finder)
sys.argv = ["experiments", *sys.argv[3:]]
runpy.run_module("experiments", run_name="__main__")
"""


class Lab:
    """A study in a folder of its own, run by real processes."""

    def __init__(self, base, whole):
        self.base, self.whole = base, whole
        self.out = base / "out"
        self.folder = StudyFolder(self.out / "study")
        self.config = base / "study.toml"
        self.config.write_text(CONFIG)

    def popen(self, *changes, before=(), python=("-m", "experiments"), **environment):
        arguments = [*before, sys.executable, "-W", "error", *python, "run", self.config]
        return subprocess.Popen(
            [*map(str, arguments), "--out", str(self.out), *map(str, changes)],
            cwd=ROOT,
            env={**os.environ, **WIDE, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *changes, **options):
        process = self.popen(*changes, **options)
        _, stderr = process.communicate(timeout=300)
        return process.returncode, stderr

    def finish(self):
        shutil.copytree(self.whole.path, self.folder.path)

    def begin(self):
        """One run is finished; the other is trained, but not recorded."""
        self.finish()
        self.folder.record("max", 7).unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study, run without a fault."""
    lab = Lab(tmp_path_factory.mktemp("whole"), None)
    process = command("run", lab.config, "--out", lab.out)
    assert process.exit_code == 0, process.stderr
    return lab.folder


@pytest.fixture
def lab(whole, tmp_path):
    return Lab(tmp_path, whole)


@contextmanager
def small_disk(folder, options):
    """A file system of its own, which goes away with the test."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only a process that may mount a file system can fill one")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


HAPPENINGS = {}


def happening(function):
    """A generator: it lets the fault happen, yields status and stderr, then mends it."""
    HAPPENINGS[function.__name__] = function
    return function


@happening
def disk_full(lab):
    with small_disk(lab.out, "size=28k"):
        yield lab.run()
        remount(lab.out, "size=10m")
        yield


@happening
def file_size(lab):
    lab.begin()
    yield lab.run(before=["sh", "-c", 'ulimit -f 2; exec "$@"', "sh"])


@happening
def read_only(lab):
    with small_disk(lab.out, "size=10m"):
        lab.begin()
        remount(lab.out, "ro")
        yield lab.run()
        remount(lab.out, "rw")
        yield


@happening
def out_is_a_file(lab):
    lab.out.write_text("in the way")
    yield lab.run()
    lab.out.unlink()


def garbage(lab, path, mend=Path.unlink):
    path.write_bytes(GARBAGE)
    yield lab.run()
    if path.read_bytes() == GARBAGE:
        mend(path)


@happening
def garbage_config(lab):
    lab.finish()
    yield from garbage(lab, lab.folder.config)
    assert load(lab.folder.config).name == "study"


@happening
def garbage_summary(lab):
    lab.finish()
    names = {"summary.csv", "summary.md", "runs.csv", "epochs.csv", "pareto.png", "report.html"}
    paths = [lab.folder.path / name for name in names]
    for path in paths:
        path.write_bytes(GARBAGE)
    yield lab.run()
    assert GARBAGE not in [path.read_bytes() for path in paths]
    assert {path.name for path in lab.folder.path.iterdir() if path.is_file()} - names == {
        *("config.toml", "environment.json", ".lock")
    }
    assert lab.folder.summary_csv.read_text().startswith("variant,")


@happening
def garbage_environment(lab):
    lab.finish()
    yield from garbage(lab, lab.folder.environment)


@happening
def garbage_record(lab):
    lab.begin()
    yield from garbage(lab, lab.folder.record("max", 0))


@happening
def garbage_metrics(lab):
    lab.begin()
    path = lab.folder.metrics("max", 7)
    path.write_bytes(GARBAGE + b"\n")
    yield lab.run()
    shutil.rmtree(path.parent)


@happening
def garbage_measurement(lab):
    lab.finish()
    yield from garbage(lab, lab.folder.measurement("max"))


@happening
def garbage_checkpoint(lab):
    lab.begin()
    yield from garbage(lab, lab.folder.run("max", 7) / "checkpoint.npz")


@happening
def garbage_sharded_checkpoint(lab):
    changes = ("training.data_parallel=true", "training.shard_state=true", "model.widths=[4]")
    settings = [word for change in changes for word in ("--set", change)]

    def run():
        return lab.run(*settings, JAX_NUM_CPU_DEVICES="2")

    assert run()[0] == 0
    expected = results(lab.folder)
    lab.folder.record("max", 7).unlink()
    checkpoint = lab.folder.run("max", 7) / "checkpoint"
    index = checkpoint / "checkpoint.json"
    content = index.read_bytes()
    index.write_bytes(GARBAGE)
    status, stderr = run()
    assert (status, f"{index}: damaged" in stderr) == (2, True), stderr
    index.write_bytes(content)
    for path in checkpoint.glob("epoch-3/d/*"):
        path.write_bytes(GARBAGE)
    status, stderr = run()
    assert f"remove {checkpoint} to train this again" in stderr
    yield status, stderr
    shutil.rmtree(checkpoint)
    assert run()[0] == 0
    assert results(lab.folder) == expected
    shutil.rmtree(lab.folder.path)  # it has another config than the one that all faults share


@happening
def garbage_choice(lab):
    tuning = '[tuning]\nseeds = [100]\n[tuning.space]\n"training.learning_rate" = [1e-4, 3e-2]\n'
    lab.config.write_text(f"{CONFIG}\n{tuning}")
    changes = ("--set", "dataset.validation=0.5")
    assert lab.run(*changes)[0] == 0
    expected = results(lab.folder)
    lab.folder.tuning.write_bytes(GARBAGE)
    yield lab.run(*changes)
    lab.folder.tuning.unlink()
    shutil.rmtree(lab.folder.runs)
    (trial, _) = lab.folder.path.glob("tuning/**/trial.json")
    trial.write_bytes(GARBAGE)
    status, stderr = lab.run(*changes)
    assert (status, f"{trial}: not a valid" in stderr) == (2, True), stderr
    trial.unlink()
    assert lab.run(*changes)[0] == 0
    assert results(lab.folder) == expected
    lab.config.write_text(CONFIG)
    shutil.rmtree(lab.folder.path)  # it has another config than the one that all faults share


@happening
def garbage_baselines(lab):
    lab.finish()
    yield from garbage(lab, lab.folder.baselines)


@happening
def huge_widths(lab):
    yield lab.run("--set", "model.widths=[1000000000000]")


def hostile(lab, text):
    content = lab.config.read_text()
    lab.config.write_text(f"{text}\n{content}")
    yield lab.run()
    lab.config.write_text(content)


@happening
def deep_toml(lab):
    yield from hostile(lab, f"deep = {'[' * 100_000}{']' * 100_000}")


@happening
def long_key(lab):
    yield from hostile(lab, f"{'.'.join('a' * 200_000)} = 1")


def mnist(lab, count, content):
    """A folder of MNIST's files, of which the first has this header and content."""
    folder = lab.base / "mnist"
    folder.mkdir()
    for name in ("train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").touch()
    header = struct.pack(">4I", 0x803, count, 28, 28)
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(header + content, compresslevel=1))
    return lab.run("--set", f"dataset={{name='mnist', directory='{folder}'}}")


@happening
def promised_gzip(lab):
    yield mnist(lab, 2**31 // 784, bytes(784))


@happening
def inflating_gzip(lab):
    yield mnist(lab, 12, bytes(100_000_000))


@happening
def damaged_cache(lab):
    cache = lab.base / "cache"
    settings = {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    assert lab.run(**settings)[0] == 0
    for path in cache.glob("*-cache"):
        path.write_bytes(GARBAGE)
    shutil.rmtree(lab.folder.path)
    warned = ("-W", "default::UserWarning", "-m", "experiments")  # an error elsewhere
    yield lab.run(python=warned, **settings)


@happening
def two_processes(lab):
    with only_process(lab.folder):
        yield lab.run()


@happening
def interrupt(lab):
    lab.begin()
    yield lab.run(python=("-c", AT, "jax._src.api", int(signal.SIGINT)))


@happening
def terminate(lab):
    yield lab.run(python=("-c", AT, "experiments.records:append_metrics", int(signal.SIGTERM)))


@happening
def kill(lab, times=3):
    moments = random.Random(0)
    killed = 0
    while killed < times:
        process = lab.popen()
        try:
            process.communicate(timeout=moments.uniform(0, 6))
            shutil.rmtree(lab.folder.path)  # it was done before that
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
    yield process.returncode, ""


def wait(process, seconds):
    """Whether a process has ended within so many seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def loky_workers(parent):
    """The worker processes of a parent, once they have begun to train."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status, line = (path / "status").read_text(), (path / "cmdline").read_text()
        except OSError:  # it has just ended
            continue
        if re.search(rf"^PPid:\s+{parent}$", status, re.MULTILINE) and "popen_loky" in line:
            found.append(int(path.name))
    return found


def begun(process, lab):
    """Waits until a run has begun."""
    while not list(lab.folder.path.rglob("metrics.jsonl")):
        assert not wait(process, 0.05), process.stderr.read()
    return loky_workers(process.pid)


@happening
def lost_worker(lab):
    process = lab.popen("--workers", 2)
    for pid in begun(process, lab):
        os.kill(pid, signal.SIGKILL)
    _, stderr = process.communicate(timeout=300)
    yield process.returncode, stderr


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def group_of_two(lab, *changes, first=("-m", "experiments"), second=("-m", "experiments")):
    """Two processes that train together on two virtual devices each."""
    address = f"127.0.0.1:{free_port()}"
    group = ("--set", "training.data_parallel=true", "--coordinator", address, "--processes", 2)
    return [
        lab.popen(
            *(*group, "--process", number, "--peer-timeout", 10, *changes),
            python=python,
            JAX_NUM_CPU_DEVICES="2",
        )
        for number, python in enumerate((first, second))
    ]


def together(lab, *changes, **options):
    """What becomes of two such processes: status and stderr of each."""
    group = group_of_two(lab, *changes, **options)
    said = [process.communicate(timeout=300)[1] for process in group]
    return [(process.returncode, stderr) for process, stderr in zip(group, said, strict=True)]


@happening
def lost_peer(lab):
    # Process 1 is killed in the second round of the second run. (The test split is divided once.)
    killed = ("-c", KILLER, "experiments.parallel", "divided", "6")
    (status, stderr), (lost, _) = together(lab, second=killed)
    assert lost == 128 + signal.SIGKILL
    yield status, stderr
    assert lab.folder.record("max", 0).exists()
    assert not lab.folder.record("max", 7).exists()
    assert len(lab.folder.metrics("max", 7).read_text().splitlines()) == 1
    whole = ("--out", lab.base / "whole")
    for ended in (together(lab), together(lab, *whole)):
        assert [status for status, _ in ended] == [0, 0], ended
    assert results(lab.folder) == results(StudyFolder(lab.base / "whole" / "study"))
    shutil.rmtree(lab.folder.path)  # it has another config than the one that all faults share


ORDINARY = {"interrupt"}
CASES = [
    name if name in ORDINARY else pytest.param(name, marks=pytest.mark.thorough) for name in FAULTS
]


def ends_as_the_table_says(name, lab, happening):
    fault = FAULTS[name]
    status, stderr = next(happening)
    assert status == fault.status, stderr
    assert fault.line in stderr
    if status in (2, 5, 130, 143):
        assert len(stderr.splitlines()) == 1, stderr
        assert status not in (2, 5) or stderr.startswith("error: ")
    next(happening, None)
    again = command("run", lab.config, "--out", lab.out)
    assert again.exit_code == 0, again.stderr
    assert results(lab.folder) == results(lab.whole)
    assert not list(lab.folder.path.rglob("*.tmp"))
    happening.close()


@pytest.mark.parametrize("name", CASES)
def test_a_fault_ends_as_the_table_says_and_the_next_process_goes_on(name, lab):
    ends_as_the_table_says(name, lab, HAPPENINGS[name](lab))


def test_every_fault_of_the_table_happens():
    assert list(HAPPENINGS) == list(FAULTS)


MOMENTS = [
    *("typer", "rich.console", "numpy.linalg", "jax", "jax._src.pallas", "jaxlib.mlir.ir"),
    *("flax.nnx", "optax", "pydantic_core", "scipy.stats", "matplotlib", "experiments.study"),
    *("experiments.compilation:compile_network", "experiments.checkpoint:save"),
    *("experiments.measurement:measure", "experiments.report:summarise"),
]


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_at_any_moment_ends_the_process(moment, number, lab):
    name = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminate"}[number]
    status, stderr = lab.run(python=("-c", AT, moment, int(number)))
    assert (status, stderr) == (FAULTS[name].status, FAULTS[name].line + "\n")


@pytest.mark.thorough
def test_fifty_kills_at_random_moments(lab):
    ends_as_the_table_says("kill", lab, kill(lab, times=50))


def test_a_damaged_checkpoint_never_raises_anything_else(whole, tmp_path):
    content = (whole.run("max", 0) / "checkpoint.npz").read_bytes()
    path = tmp_path / "checkpoint.npz"
    draw = random.Random(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 3, 30))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged[: draw.choice((len(damaged), draw.randrange(len(damaged))))])
        with suppress(checkpoint.RecordError):
            refused += 1
            checkpoint.fingerprint(path)
            refused -= 1
    assert refused > 100
