"""`bench --devices` through the real command line on one tiny case, and its worker by itself."""

import csv
import json
from functools import partial

import jax
import pytest
from typer.testing import CliRunner

import jaxpool
from experiments import environment
from experiments.__main__ import app
from experiments.bench.calls import Call
from experiments.bench.case import Case
from experiments.bench.sharding import program, runner, table, worker
from experiments.bench.sharding.collectives import UnreadableProgramError
from experiments.bench.sharding.records import read
from experiments.bench.sharding.worker import ShardingJob

CONFIG = """
title = "A tiny pooling"
contenders = ["jaxpool", "lax"]
modes = ["forward", "jvp"]

[budget]
seconds = 0.01
samples = 2
min_samples = 1

[[cases]]
name = "tiny"
operator = "max"
shape = [4, 9, 2]
window = 3

[[cases]]
name = "other"
operator = "avg"
shape = [4, 8, 2]
window = 2
strides = 2
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharding")
    (folder / "tiny.toml").write_text(CONFIG)

    def run(*options):
        arguments = ["bench", str(folder / "tiny.toml"), "--out", str(folder), *options]
        return CliRunner().invoke(app, arguments), folder / "bench-sharding"

    return run


@pytest.fixture(scope="module")
def first(command):
    return command("--devices", "2", "--cases", "tiny")


def test_every_axis_has_a_record_and_a_row(first):
    answer, folder = first
    assert answer.exit_code == 0, answer.output
    assert {file.name for file in folder.iterdir()} == {
        "collectives.csv",
        "collectives.jsonl",
        "config.toml",
        "environment.json",
        "headline.md",
        "summary.md",
    }
    found = {(r.axis, r.contender): r for r in read(folder / "collectives.jsonl")}
    assert set(found) == {
        (axis, name) for axis in ("batch", "length", "channels") for name in ("jaxpool", "lax")
    }
    assert {r.mode for r in found.values()} == {"forward"}
    assert found["batch", "jaxpool"].received == 0
    assert found["batch", "jaxpool"].input_bytes == 4 * 9 * 2 * 4
    assert found["length", "jaxpool"].outcome == "left_out"
    assert found["length", "lax"].reason == "9 elements do not divide evenly among 2 devices"
    rows = list(csv.DictReader((folder / "collectives.csv").read_text().splitlines()))
    assert [(row["axis"], row["outcome"]) for row in rows] == [
        ("batch", "compiled"),
        ("length", "left_out"),
        ("channels", "compiled"),
    ]
    assert rows[0]["received_bytes"] == rows[0]["lax_received_bytes"] == "0"
    assert [float(row["time_over_lax"] or 0) > 0 for row in rows] == [True, False, True]
    times = [found["batch", name].timing.median_s for name in ("jaxpool", "lax")]
    assert float(rows[0]["time_over_lax"]) == pytest.approx(times[0] / times[1], rel=1e-3)
    page = (folder / "summary.md").read_text()
    assert page.startswith("# A tiny pooling, divided among 2 devices")
    assert (folder / "headline.md").read_text().strip() in page
    ratio = f"{times[0] / times[1]:.2f}"
    assert f"| batch | forward | 1 | 1 | 0 | 1 | 1 |  |  | {ratio} | {ratio} |" in page
    assert f"| tiny | batch | forward | none | 0 | none | 0 |  | {ratio} |" in page
    assert "| tiny | length | forward | left out |" in page
    assert "- jaxpool left out: 9 elements do not divide evenly" in page


def test_what_is_done_is_not_done_again_and_the_rest_is_refused(first, command):
    _, folder = first
    before = (folder / "collectives.jsonl").read_bytes()
    answer, _ = command("--devices", "2", "--cases", "tiny", "--contenders", "jaxpool")
    assert answer.exit_code == 0
    assert "[1/1] tiny float32: done before" in answer.output
    for options, message in {
        ("--devices", "4"): "--devices was 2, is 4. Begin anew with --fresh",
        ("--devices", "2", "--set", "title='x'"): "cannot be compared with new ones",
        ("--devices", "2", "--cases", "tinny"): "called 'tinny'; known: tiny, other",
        ("--devices", "2", "--contenders", "lac"): "contender 'lac'; did you mean 'lax'?",
        ("--devices", "2", "--target", "h100"): "--devices: takes none of --target, --interp",
        ("--devices", "2", "--set", "modes=['jvp']"): "modes is ['jvp']",
    }.items():
        answer, _ = command(*options)
        assert answer.exit_code == 2, options
        assert message in answer.output
    assert (folder / "collectives.jsonl").read_bytes() == before


def job(problem, **changes):
    values = {"problem": problem, "dtype": "float32", "modes": ("gradient",), "devices": 8}
    values |= {"contenders": ("jaxpool", "lax"), "group": "g", "output": "unused"}
    values["budget"] = {"seconds": 0.01, "samples": 1, "min_samples": 1}
    return ShardingJob.model_validate_json(json.dumps({**values, **changes}, default=_dumped))


def _dumped(section):
    return section.model_dump(mode="json")


CASE = Case(name="c", operator="max", shape=(8, 32, 8), window=2, strides=2)


@pytest.fixture
def without_times(monkeypatch):
    monkeypatch.setattr(worker, "race", lambda programs, budget: {})


@pytest.mark.usefixtures("without_times")
def test_a_window_inside_each_part_needs_no_exchange_and_one_across_needs_a_halo():
    records = worker.run(job(CASE))
    assert {(r.axis, r.received) for r in records if r.contender == "jaxpool"} == {
        ("batch", 0),
        ("length", 0),
        ("channels", 0),
    }
    wider = CASE.model_copy(update={"window": 3, "strides": 1, "padding": "SAME"})
    across = {r.axis: r for r in worker.run(job(wider, modes=["forward"]))[::2]}
    assert across["length"].counts == {"collective-permute": 2}
    assert across["length"].received == 2 * 8 * 8 * 4  # one row of 8x8 float32 from each neighbour
    assert across["batch"].received == 0


def test_operands_beside_the_input_and_operators_without_a_form_in_lax():
    call = Call(name="u", operator="max_unpool", shape=(8, 16, 16, 8), window=2, strides=2)
    records = worker.run(job(call, modes=["forward"]))
    ours = {r.axis: r for r in records if r.contender == "jaxpool"}
    assert {r.outcome for r in ours.values()} == {"compiled"}
    assert ours["batch"].input_bytes == 8 * 8 * 8 * 8 * 4
    assert {(r.outcome, r.reason) for r in records if r.contender == "lax"} == {
        ("left_out", "lax has no form of it in one or a few operations")
    }


def test_no_derivative_is_left_out_and_an_unreadable_program_is_a_failure(monkeypatch):
    call = Call(name="p", operator="reduce_window", shape=(8, 16, 16, 8), window=2, strides=2)
    theirs = worker.run(job(call, contenders=["lax"]))
    assert {r.outcome for r in theirs} == {"left_out"}
    assert "no such derivative" in theirs[0].reason

    def unreadable(text, devices):
        raise UnreadableProgramError(f"{len(text)} signs, {devices} devices")

    monkeypatch.setattr(program, "traffic", unreadable)
    records = worker.run(job(CASE, contenders=["jaxpool"], modes=["forward"]))
    assert {r.outcome for r in records} == {"failed"}
    assert records[0].received is None
    assert "8 devices" in records[0].reason


def test_a_failure_is_shown_and_ends_with_status_1_and_is_tried_again(command, monkeypatch):
    def fail(one, timeout_s):
        return runner._failed(one, "out of <memory>")

    monkeypatch.setattr(runner, "_in_its_own_process", fail)
    for _ in range(2):
        answer, folder = command("--devices", "2", "--cases", "other")
        assert answer.exit_code == 1
        assert "other float32: 6 programs, 6 failed" in answer.output
        assert "FAILED: lax in other float32 forward, divided along length: out of" in answer.output
    assert "jaxpool failed: out of &lt;memory>" in (folder / "summary.md").read_text()


def test_a_process_that_takes_too_long_is_a_failure():
    records = runner._in_its_own_process(job(CASE), timeout_s=0.001)
    assert {r.outcome for r in records} == {"failed"}
    assert "not finished after" in records[0].reason


def test_the_ratio_compares_bytes_only_where_both_exchange_any():
    ours = job(CASE).record("forward", 1, "jaxpool", outcome="compiled", received_bytes={"a": 96})
    lax = job(CASE).record("forward", 1, "lax", outcome="compiled", received_bytes={"a": 32})
    assert table.ratio(ours, lax) == 3
    assert table.ratio(ours, lax.model_copy(update={"received_bytes": {}})) is None
    assert table.ratio(ours, None) is None


def test_a_result_that_differs_from_that_of_lax_is_a_failure(monkeypatch):
    monkeypatch.setattr(worker.lax, "function", lambda case: lambda x: x[:, 1::2])
    ours, lax, *_ = worker.run(job(CASE, modes=["forward"]))
    assert (ours.outcome, ours.timing, lax.timing) == ("failed", None, None)
    assert "WrongResultError: jaxpool differs from lax: the value is off by" in ours.reason


def test_the_contender_whose_result_changes_when_divided_is_to_blame(monkeypatch):
    """The derivative of lax's sum does: tests/test_bugs_of_others.py."""
    window = (1, 2, 2, 1)
    add = partial(jax.lax.reduce_window, init_value=0.0, computation=jax.lax.add)
    pool = partial(add, window_dimensions=window, window_strides=window, padding="VALID")
    monkeypatch.setattr(worker.lax, "function", lambda case: pool)
    monkeypatch.setattr(worker.jaxpool, "pool", lambda case, x: jaxpool.sum_pool(x, 2, strides=2))
    case = Case(name="c", operator="max", shape=(2, 56, 16, 4), window=2, strides=2)
    found = worker.run(job(case, modes=["gradient"]))
    height = {record.contender: record for record in found if record.axis == "height"}
    assert height["jaxpool"].outcome == "compiled"
    assert height["lax"].outcome == "failed"
    assert "WrongResultError: jaxpool differs from lax: the derivative" in height["lax"].reason


def test_records_without_times_have_a_dash():
    records = [
        job(CASE).record("forward", 0, name, outcome="compiled") for name in ("jaxpool", "lax")
    ]
    assert records[0].timing is None
    here = environment.capture()
    page = table.summary("t", here, records)
    assert "| c | batch | forward | none | 0 | none | 0 |  | - |" in page
    assert "| batch | forward | 1 | 1 | 0 | 1 | 1 |  |  | - | - |" in page
