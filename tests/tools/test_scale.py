"""The formulas of docs/scale.md against a simulation, and the text they make."""

import pytest

from experiments.report.summary_csv import read_csv
from tools import scale


def ring(size, devices, bandwidth, hop_s):
    """Every device passes on one part in turn, until all have every sum."""
    seconds, part = 0.0, size / devices
    for _ in ("reduce-scatter", "all-gather"):
        for _ in range(devices - 1):
            seconds += hop_s + part / bandwidth
    return seconds


@pytest.mark.parametrize("devices", [2, 8, 1000])
def test_a_ring_takes_what_its_turns_take(devices):
    expected = ring(1e8, devices, 25e9, 5e-6)
    assert scale.all_reduce_s(1e8, devices, 25e9) == pytest.approx(expected)
    assert scale.all_reduce_s(1e8, devices, 25e9, hop_s=0) < 2 * 1e8 / 25e9


def test_a_tree_has_fewer_hops_and_more_bytes():
    assert scale.tree_s(0, 1000, 1e9) == pytest.approx(20 * 5e-6)
    assert scale.tree_s(1e8, 1000, 25e9) > scale.all_reduce_s(1e8, 1000, 25e9)
    assert scale.tree_s(1e3, 1000, 25e9) < scale.all_reduce_s(1e3, 1000, 25e9)


def test_a_study_ends_with_its_longest_run_at_the_earliest():
    runs = [5.0, 4.0, 3.0, 3.0]
    assert scale.study_s(runs, 1) == 15
    assert scale.study_s(runs, 2) == 8
    assert scale.study_s(runs, 1000) == 5
    for devices in range(1, 6):
        bound = max(max(runs), sum(runs) / devices)
        assert bound <= scale.study_s(runs, devices) <= sum(runs) / devices + max(runs)


def test_the_example_follows_the_records():
    rows = [row for row in read_csv(scale.STUDY) if row.device_source == "measured"]
    runs = [row.train_seconds_mean for row in rows for _ in range(row.seeds)]
    text = scale.example()
    assert f"are {len(runs)} runs, {sum(runs):,.0f} s of training in total on" in text
    assert f"| 1,000 | {max(runs):,.0f} | {sum(runs) / max(runs):.1f} |" in text
    assert f"global batch of {1000 * rows[0].batch_size:,}" in text
    assert f"instead of {54_000 // rows[0].batch_size}." in text
    assert f"Its {rows[0].parameters:,} parameters" in text
    assert text.count("---") == 3 + 5
