"""`bench` through the command line, on a tiny case with few samples."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from experiments.__main__ import app
from experiments.bench import process, runner
from experiments.bench.config import Bench
from experiments.bench.contenders import BEFORE
from experiments.bench.records import COPY, read
from experiments.config import load

CONFIG = """
title = "A tiny pooling"
contenders = ["jaxpool", "jaxpool:itself", "lax"]
modes = ["forward", "gradient"]
allocators = ["keep"]

[budget]
seconds = 0.05
samples = 2
sample_ms = 0.01

[[cases]]
name = "tiny"
operator = "max"
shape = [2, 6, 6, 3]
window = 2
strides = 2
leave_out.lax = "is not wanted here"

[[cases]]
name = "other"
operator = "avg"
shape = [2, 6, 6, 3]
window = 3
"""

MIXED = """
title = "A call and a network"
contenders = ["jaxpool"]
modes = ["forward", "gradient"]

[budget]
seconds = 0.05
samples = 2
sample_ms = 0.01

[[calls]]
name = "k2"
shape = [2, 6, 6, 3]
window = 2
strides = 2

[[networks]]
name = "net"
image = [8, 8, 1]
widths = [2]
classes = 3
batch = 2
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    file = tmp_path_factory.mktemp("config") / "tiny.toml"
    file.write_text(CONFIG)
    return file


@pytest.fixture(scope="module")
def command(config, tmp_path_factory):
    """Runs `bench` on the tiny config, always with the same results folder."""
    out = tmp_path_factory.mktemp("results")

    def run(*options):
        answer = CliRunner().invoke(app, ["bench", str(config), "--out", str(out), *options])
        return answer, out / "bench-tiny"

    return run


@pytest.fixture(scope="module")
def first(command):
    return command("--cases", "ti*")


def test_a_benchmark_leaves_records_a_table_and_a_plot(first):
    answer, folder = first
    assert answer.exit_code == 0, answer.output
    assert {file.name for file in folder.iterdir()} == {
        "config.toml",
        "environment.json",
        "headline.md",
        "plot.png",
        "records.jsonl",
        "report.html",
        "summary.md",
        "table.md",
    }
    found = {(r.mode, r.contender): r for r in read(folder / "records.jsonl")}
    names = ("jaxpool", "jaxpool:itself", "lax", COPY)
    assert set(found) == {(mode, name) for mode in ("forward", "gradient") for name in names}
    ours = found["gradient", "jaxpool"]
    assert (ours.outcome, ours.error, ours.allocator) == ("timed", 0, "keep")
    assert len(ours.timing.samples_s) == 2
    assert ours.compile_s > 0
    assert found["forward", "lax"].outcome == "left_out"
    assert found["forward", "lax"].reason == "is not wanted here"
    table = (folder / "table.md").read_text()
    assert "# A tiny pooling" in table
    assert "| tiny: max 2x6x6x3 k2 s2 | float32 |" in table
    environment = json.loads((folder / "environment.json").read_text())
    assert len(environment["versions"]["jaxpool code"]) == 12
    title, machine, *sums = (folder / "summary.md").read_text().strip().split("\n\n")
    assert title == "# A tiny pooling"
    assert f"{environment['device']}, {environment['started'][:10]}, keep allocator." in machine
    assert sums
    assert all(part in table for part in sums)
    headline = (folder / "headline.md").read_text()
    assert f"jax {environment['versions']['jax']}, {environment['started'][:10]}." in headline
    assert "| forward + backward |" in headline


def test_finished_measurements_are_not_repeated(first, command):
    _, folder = first
    before = (folder / "records.jsonl").read_bytes()
    answer, _ = command("--cases", "ti*", "--contenders", "jaxpool")
    assert "done before" in answer.output
    assert (folder / "records.jsonl").read_bytes() == before


def test_times_of_another_config_are_refused(first, command):
    _, folder = first
    before = (folder / "records.jsonl").read_bytes()
    answer, _ = command("--set", "budget.samples=3")
    assert answer.exit_code == 2
    assert "budget.samples was 2, is 3. Begin anew with --fresh" in answer.output
    assert (folder / "records.jsonl").read_bytes() == before


def test_an_unknown_case_or_contender_is_refused_by_name(first, command):
    answer, _ = command("--cases", "tinny")
    assert answer.exit_code == 2
    assert "no case is called 'tinny'; known: tiny, other" in answer.output
    answer, _ = command("--contenders", "torhc")
    assert "unknown contender 'torhc'; did you mean 'torch'?" in answer.output
    answer, _ = command("--contenders", "jaxpool:itself")
    assert "'jaxpool:itself' needs 'jaxpool' beside it" in answer.output


def test_a_process_that_fails_is_recorded_and_tried_again(config, tmp_path):
    hasty = load(config, ["budget.timeout_s=0.001", "allocators=['default']"], Bench)
    console = Console(record=True, width=200)
    for _ in range(2):
        assert not runner.run(hasty, tmp_path, console, cases="other", contenders=["lax"])
    records = read(tmp_path / "bench-tiny" / "records.jsonl")
    assert [(r.mode, r.outcome) for r in records] == [("forward", "failed"), ("gradient", "failed")]
    assert "not finished after" in records[0].reason
    shown = console.export_text()
    assert "FAILED: lax in other float32 forward: not finished" in shown
    assert "done before" not in shown


def test_a_contender_added_later_is_timed_with_all_the_others(
    config, tmp_path, monkeypatch, record
):
    tiny = load(config, ["modes=['forward']"], Bench)
    asked = []

    def instead(_bench, _task, names, _busy_cores, *further):
        asked.append(names)
        made = {"case": "tiny", "allocator": "keep", "group": f"group {len(asked)}"}
        return [record(name, 0.001, **made) for name in (*names, COPY)]

    monkeypatch.setattr(runner, "_in_its_own_process", instead)
    for names in (["lax"], ["torch"], ["torch"]):
        assert runner.run(tiny, tmp_path, Console(quiet=True), cases="tiny", contenders=names)
    assert asked == [("lax",), ("torch", "lax")]
    records = read(tmp_path / "bench-tiny" / "records.jsonl")
    assert {r.group for r in records} == {"group 2"}


def test_the_allocator_s_settings_reach_the_process(monkeypatch):
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    kept = process.worker_environment("keep")
    assert (kept["MALLOC_ARENA_MAX"], "MALLOC_TOP_PAD_" in kept) == ("1", False)
    assert not any(name.startswith("MALLOC_") for name in process.worker_environment("default"))


def test_windows_of_a_comparison_share_a_round(config):
    tiny = load(config, [], Bench)
    wider = tiny.cases[0].model_copy(update={"name": "wider", "window": 4})
    halves = wider.model_copy(update={"name": "halves", "dtypes": ("float32", "bfloat16")})
    together = tiny.model_copy(update={"x_axis": "window", "cases": (*tiny.cases, wider, halves)})
    rounds = [
        ([p.name for p in problems], dtype)
        for problems, dtype in together.rounds(together.problems)
    ]
    assert rounds == [
        (["tiny", "wider", "halves"], "float32"),
        (["other"], "float32"),
        (["halves"], "bfloat16"),
    ]
    assert len(tiny.rounds(tiny.problems)) == 2


def test_a_round_times_every_case_and_is_resumed_as_a_whole(config, tmp_path):
    text = config.read_text().replace('operator = "avg"', 'operator = "max"')
    file = tmp_path / "series.toml"
    file.write_text(text.replace('title = "A tiny', 'x_axis = "window"\ntitle = "A tiny'))
    series = load(file, ["modes=['forward']"], Bench)
    console = Console(record=True, width=200)
    for _ in range(2):
        assert runner.run(series, tmp_path, console, contenders=["jaxpool"])
    records = read(tmp_path / "bench-series" / "records.jsonl")
    assert [(r.case, r.contender) for r in records] == [
        ("tiny", "jaxpool"),
        ("tiny", COPY),
        ("other", "jaxpool"),
        ("other", COPY),
    ]
    assert len({r.group for r in records}) == 1
    shown = console.export_text()
    assert shown.count("[1/1] tiny, other float32 (keep allocator): done before") == 1
    assert shown.count("window 3 against window 2: jaxpool") == 2


@pytest.mark.parametrize("target", ["h100", "tpu-v5e"])
def test_a_benchmark_estimates_for_an_absent_device(command, target, monkeypatch):
    if not Path(targets_python(process.CHECKOUT)).exists():
        pytest.skip("`make targets` installs the compilers")
    monkeypatch.delenv("XLA_FLAGS")  # options of XLA:CPU
    answer, folder = command("--target", target)
    assert answer.exit_code == 0, answer.output
    estimated = folder.with_name(f"{folder.name}-{target}")
    found = {(r.case, r.mode, r.contender): r for r in read(estimated / "records.jsonl")}
    ours = found["other", "gradient", "jaxpool"]
    assert {r.device_source for r in found.values()} == {"estimated"}
    assert (ours.outcome, ours.kernels >= 1) == ("timed", True)
    assert 0 < ours.timing.median_s < 1e-3
    assert ours.bytes_moved >= ours.input_bytes
    assert "Nothing here was run" in (estimated / "table.md").read_text()
    assert not (estimated / "plot.png").exists()


def targets_python(checkout):
    return checkout / ".venv-targets" / "bin" / "python"


def test_unknown_devices_and_missing_compilers_are_named(command, monkeypatch, tmp_path):
    answer, _ = command("--target", "tpu-v9")
    assert answer.exit_code == 2
    assert "--target: there is no device 'tpu-v9'; known: tpu-v5e, tpu-v6e, h100" in answer.output
    monkeypatch.setattr(runner, "CHECKOUT", tmp_path)
    answer, _ = command("--target", "h100")
    assert answer.exit_code == 2
    assert "run `make targets` first" in answer.output


@pytest.mark.parametrize("change", ["", "max_pool = min_pool"])
def test_the_jaxpool_of_another_checkout_is_a_contender(change, config, tmp_path):
    checkout = tmp_path / "checkout"
    shutil.copytree(process.CHECKOUT / "jaxpool", checkout / "jaxpool")
    with (checkout / "jaxpool" / "__init__.py").open("a") as file:
        file.write(change)
    out = ["--out", str(tmp_path / "out"), "--before", str(checkout)]
    chosen = ["--cases", "tiny", "--contenders", "jaxpool"]
    answer = CliRunner().invoke(app, ["bench", str(config), *out, *chosen])
    assert answer.exit_code == 0, answer.output
    records = read(tmp_path / "out" / "bench-tiny" / "records.jsonl")
    found = {r.mode: r for r in records if r.contender == BEFORE}
    assert found.keys() == {"forward", "gradient"}
    for record in found.values():
        assert record.outcome == ("disagrees" if change else "same")
        assert record.same_as == (None if change else "jaxpool")
    # Without the other checkout, its times cannot be continued.
    answer = CliRunner().invoke(app, ["bench", str(config), *out[:2], *chosen])
    assert answer.exit_code == 2
    assert "jaxpool before was " in answer.output


def test_a_calls_and_a_networks_program_come_from_the_other_checkout_too(tmp_path):
    checkout = tmp_path / "checkout"
    shutil.copytree(process.CHECKOUT / "jaxpool", checkout / "jaxpool")
    file = tmp_path / "mixed.toml"
    file.write_text(MIXED)
    out = ["--out", str(tmp_path / "out"), "--before", str(checkout)]
    for case in ("avg_pool-k2", "net"):
        answer = CliRunner().invoke(app, ["bench", str(file), *out, "--cases", case])
        assert answer.exit_code == 0, answer.output
    records = read(tmp_path / "out" / "bench-mixed" / "records.jsonl")
    found = {(r.case, r.mode): r.outcome for r in records if r.contender == BEFORE}
    assert found == {
        ("avg_pool-k2", "forward"): "same",
        ("avg_pool-k2", "gradient"): "same",
        ("net", "train_step"): "timed",  # programs of networks are not compared
    }
    page = (tmp_path / "out" / "bench-mixed" / "table.md").read_text()
    assert "| jaxpool before |" in page
    assert "| compile vs before |" in page


def test_a_folder_without_jaxpool_and_before_without_a_folder_are_refused(command, tmp_path):
    for options, message in {
        ("--before", str(tmp_path)): "is no checkout with a folder jaxpool",
        ("--contenders", "before"): "'before' needs --before",
    }.items():
        answer, _ = command(*options)
        assert answer.exit_code == 2
        assert message in answer.output
