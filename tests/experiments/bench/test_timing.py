import time

import pytest

from experiments.bench import machine, timing
from experiments.bench.config import Budget


def budget(**given):
    return Budget.model_validate(given)


def test_a_program_gets_the_samples_that_fit_into_its_share():
    # Each sample has an untimed call of the same length before it.
    assert timing.samples(0.01, 0.4, budget(samples=50)) == 20
    assert timing.samples(0.01, 0.4, budget(samples=12)) == 12


def test_a_slow_program_gets_its_least_samples_within_reason():
    options = budget(min_samples=6, patience_s=2)
    assert timing.samples(0.1, 0.1, options) == 6
    assert timing.samples(0.5, 0.1, options) == 2
    assert timing.samples(60, 0.1, options) == 1


def test_samples_are_condensed():
    measured = timing.timing([3.0, 1.0, 2.0, 5.0, 4.0, 6.0], calls=7)
    assert (measured.median_s, measured.low_s, measured.high_s) == (3.5, 1.0, 6.0)
    assert (measured.min_s, measured.calls) == (1.0, 7)
    assert measured.samples_s == (3.0, 1.0, 2.0, 5.0, 4.0, 6.0)


def test_contenders_are_interleaved():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "abc"}
    measured = timing.interleave(
        runs, dict.fromkeys(runs, 0.0), budget(seconds=1, samples=8, sample_ms=0.001), seed=0
    )
    assert {name: len(m.samples_s) for name, m in measured.items()} == dict.fromkeys("abc", 8)
    # Estimates come first, contender by contender; then nobody may have all its turns in a row.
    turns = [name for name, before in zip(order, [None, *order], strict=False) if name != before]
    assert len(turns) > 12
    assert order.count("a") >= 16


def test_short_calls_are_repeated_until_a_sample_is_long_enough():
    calls = []

    def busy():
        calls.append(None)
        end = time.perf_counter() + 1e-4
        while time.perf_counter() < end:
            pass

    measured = timing.interleave(
        {"busy": busy}, {"busy": 0.0}, budget(seconds=0.1, samples=3, sample_ms=1), 0
    )
    assert 1 <= measured["busy"].calls <= 10
    assert len(calls) >= 3 * (measured["busy"].calls + 1)


def test_an_empty_call_takes_about_zero_seconds():
    measured = timing.interleave(
        {"nothing": lambda: None}, {"nothing": 0.0}, budget(seconds=0.05, samples=6), 0
    )
    assert measured["nothing"].median_s == pytest.approx(0, abs=1e-3)


def test_the_load_of_other_processes_is_read_from_kernel_counters():
    stat = "cpu  100 5 20 1000 30 1 2 3 50 0\ncpu0 50 0 0 0 0 0 0 0 0 0\n"
    assert machine._busy_ticks(stat) == 100 + 5 + 20 + 1 + 2 + 3
    busy = machine.busy_cores(0.02)
    assert busy is None or busy >= 0


def test_a_call_known_to_be_long_has_no_estimate_and_no_warm_up():
    calls = []
    timing.interleave({"long": lambda: calls.append(None)}, {"long": 100.0}, budget(seconds=1), 0)
    assert len(calls) == 1
