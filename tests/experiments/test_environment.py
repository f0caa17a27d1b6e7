import os
import subprocess
import sys

import jax

from experiments import environment, records


def test_capture_describes_this_process(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=1")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "123")
    monkeypatch.setenv("LD_PRELOAD", "/opt/somebody/libjemalloc.so.2:/usr/lib/libother.so")
    captured = environment.capture()
    assert captured.xla_flags == "--xla_force_host_platform_device_count=1"
    assert captured.allocator["MALLOC_TRIM_THRESHOLD_"] == "123"
    assert captured.allocator["LD_PRELOAD"] == "libjemalloc.so.2 libother.so"
    assert captured.versions["jax"] == jax.__version__
    assert captured.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert captured.cores == len(os.sched_getaffinity(0))
    records.write(tmp_path / "environment.json", captured)
    assert records.read(tmp_path / "environment.json", records.Environment) == captured


def test_unset_settings_are_empty(monkeypatch):
    for name in ("XLA_FLAGS", "LD_PRELOAD", *environment.allocator()):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("experiments.allocator._kept", {})
    captured = environment.capture()
    assert captured.xla_flags == ""
    assert captured.allocator == {}


def test_the_device_is_named_in_words():
    kind = jax.devices()[0].platform
    assert environment.device_name().startswith(f"{kind}: ")
    if kind == "cpu":
        assert environment.device_name().endswith(f"{environment.cores()} cores")


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    captured = environment.capture()
    assert captured.git_commit is None
    assert captured.git_dirty is None


def test_the_commit_and_its_cleanness_are_recorded(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    (tmp_path / "file").write_text("one")
    git("init", "-q")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    clean = environment.capture()
    (tmp_path / "file").write_text("two")
    dirty = environment.capture()
    assert len(clean.git_commit or "") == 40
    assert (clean.git_dirty, dirty.git_dirty) == (False, True)
