import math

import pytest

from experiments.bench.records import COPY, read
from experiments.bench.results import CaseRecords, entries, geometric_mean, median, minimum
from experiments.records import RecordError, append_lines


@pytest.fixture
def entry(record):
    """Makes an entry from the seconds of contenders by name."""

    def make(**seconds):
        names = {"itself": "jaxpool:itself", "direct": "jaxpool:direct"}
        return CaseRecords(
            {names.get(n, n): record(names.get(n, n), s) for n, s in seconds.items()}
        )

    return make


def test_a_ratio_is_the_other_s_time_over_ours(record):
    ours = record("jaxpool", 0.001, spread=0.1)
    entry = CaseRecords({"jaxpool": ours, "torch": record("torch", 0.003)})
    assert entry.ratio("torch", median) == pytest.approx(3)
    assert entry.ratio("torch", minimum) == pytest.approx(0.003 * 0.99 / (0.001 * 0.9))
    assert entry.ratio("lax") is None


def test_the_same_program_has_the_same_time(record):
    same = record("flax", outcome="same", same_as="lax")
    entry = CaseRecords({"jaxpool": record("jaxpool", 1), "lax": record("lax", 2), "flax": same})
    assert entry.ratio("flax") == pytest.approx(2)


def test_a_win_counts_only_outside_the_noise(entry):
    assert entry(jaxpool=1.0, itself=1.02, torch=1.5).verdict("torch") == "faster"
    assert entry(jaxpool=1.0, itself=1.02, torch=0.7).verdict("torch") == "slower"
    assert entry(jaxpool=1.0, itself=0.6, torch=1.5).verdict("torch") == "even"
    assert entry(jaxpool=1.0, itself=1.6, torch=0.7).verdict("torch") == "even"
    assert entry(jaxpool=1.0, torch=1.005).verdict("torch") == "even"  # the intervals meet


def test_samples_too_few_for_an_interval_count_with_their_whole_range(record):
    def verdict(spread):
        theirs = record("torch", 1.2, spread=spread, count=3)
        return CaseRecords({"jaxpool": record("jaxpool", 1.0), "torch": theirs}).verdict("torch")

    assert verdict(0.1) == "faster"
    assert verdict(0.3) == "even"


def test_the_share_of_the_copy(record):
    # The copy moves 16 kB in 1 ms, we 8 kB in 2 ms: a quarter of its bandwidth.
    entry = CaseRecords(
        {
            "jaxpool": record("jaxpool", 0.002, traffic_bytes=8192),
            COPY: record(COPY, 0.001, traffic_bytes=16384),
        }
    )
    assert entry.share() == pytest.approx(0.25)
    assert entry.share("torch") is None


def test_a_method_is_better_only_outside_the_noise(entry):
    assert entry(jaxpool=1.0, itself=1.01, direct=0.5).best_method == ("direct", pytest.approx(2))
    assert entry(jaxpool=1.0, itself=2.5, direct=0.5).best_method is None
    assert entry(jaxpool=1.0, itself=1.01, direct=1.5).best_method is None


def test_memory_and_compilation_are_relative(record):
    entry = CaseRecords(
        {
            "jaxpool": record("jaxpool", 1, temp_bytes=4096, compile_s=0.3),
            "lax": record("lax", 1, compile_s=0.1),
            COPY: record(COPY, 1),
        }
    )
    assert entry.temporaries == pytest.approx(0.5)
    assert entry.compile_ratio("lax") == pytest.approx(3)
    assert entry.compile_ratio("torch") is None


def test_entries_keep_apart_what_must_not_be_compared(record):
    found = entries(
        [
            record("jaxpool", 1),
            record("torch", 1),
            record("jaxpool", 1, mode="jvp"),
            record("jaxpool", 1, dtype="bfloat16"),
            record("jaxpool", 1, allocator="keep"),
        ]
    )
    assert [len(entry.records) for entry in found] == [2, 1, 1, 1]


def test_the_geometric_mean():
    assert geometric_mean([1, 4, 16]) == pytest.approx(4)
    assert geometric_mean([0.5, 2]) == pytest.approx(1)
    assert math.isclose(geometric_mean([1e-200] * 5), 1e-200)
    with pytest.raises(ValueError, match="values is empty"):
        geometric_mean([])


def test_a_later_group_replaces_an_earlier_one(tmp_path, record):
    file = tmp_path / "records.jsonl"
    early = [record(n, 1, group="early") for n in ("jaxpool", "torch")]
    other = record("jaxpool", 1, group="other", case="wide")
    late = record("jaxpool", 2, group="late")
    append_lines(file, [*early, other, late])
    assert read(file) == [other, late]


def test_a_damaged_line_is_named(tmp_path, record):
    file = tmp_path / "records.jsonl"
    append_lines(file, [record("jaxpool", 1)])
    with file.open("a") as lines:
        lines.write('{"case": 3}\n{"torn')
    with pytest.raises(RecordError, match="line 2: case"):
        read(file)
