import pytest

from experiments import choose, records
from experiments.folder import StudyFolder
from experiments.measurement import latency
from experiments.records import RecordError
from experiments.report import choice
from tests.experiments.conftest import write_summary
from tests.experiments.test_command_line import command

MAX = [950, 953, 951, 954, 952]
AVG = [951, 950, 953, 953, 950]
STRIDED = [930, 932, 932, 933, 933]


def slow(p99, low=None, high=None, samples=1000):
    found = records.Latency(p50=0.1, p95=0.2, p99=p99, samples=samples, p99_low=low, p99_high=high)
    return {"latency_ms": found}


@pytest.fixture
def folder(make_study):
    path = make_study(
        "study",
        {"max": MAX, "avg": AVG, "strided": STRIDED, "slow": [990] * 5, "open": [991] * 5},
        measured={
            "max": slow(0.2, 0.18, 0.25),
            "avg": slow(0.2, 0.18, 0.29),
            "strided": slow(0.1, 0.09, 0.11),
            "slow": slow(0.4, 0.35, 0.5),
            "open": slow(0.29, 0.25, 0.31, 500),
        },
    )
    write_summary(path)
    return path


def states(found):
    return {candidate.label: candidate.state for candidate in found.candidates}


def test_the_best_inside_its_equals_and_the_nearest_outside(folder):
    found = choose.choose([folder], {"latency_p99_ms": 0.3})
    assert states(found) == {
        "max": "inside",
        "avg": "inside",
        "strided": "inside",
        "open": "undecided",
        "slow": "outside",
    }
    assert found.best is not None
    assert found.best.label == "max"
    assert [candidate.label for candidate in found.tied] == ["avg"]
    assert [(c.first, c.second) for c in found.beaten] == [("max", "strided")]
    assert found.nearest is not None
    assert choice.sentences(found) == [
        "`max` is the most accurate of 3 variants inside the budget (p99 latency ≤ 0.3 ms), with "
        "95.20 %. `max` is more accurate than `strided` by 2.00 points (95% CI 1.82 to 2.18, "
        "p < 0.001, after Holm). Nothing shows it to be more accurate than `avg` with 5 seeds.",
        "`open` (of higher mean accuracy): p99 latency ≤ 0.3 ms cannot be answered with 500 "
        "samples (the limit lies inside the 95% interval).",
        "Nearest outside: `slow` misses p99 latency ≤ 0.3 ms by 0.1 ms, 33 % (it has 0.4 ms "
        "(95% CI 0.35 to 0.5)).",
    ]


def test_a_limit_at_an_end_of_the_interval(folder):
    assert states(choose.choose([folder], {"latency_p99_ms": 0.25}))["max"] == "inside"
    assert states(choose.choose([folder], {"latency_p99_ms": 0.18}))["max"] == "undecided"
    assert states(choose.choose([folder], {"latency_p99_ms": 0.1799}))["max"] == "outside"


def test_p99_of_few_samples_or_of_an_old_record_answers_nothing(make_study):
    few = make_study("few", {"max": MAX}, measured={"max": slow(0.01, samples=367)})
    write_summary(few)
    found = choose.choose([few], {"latency_p99_ms": 100})
    assert found.best is None
    assert choice.sentences(found)[1] == (
        "`max`: p99 latency ≤ 100 ms cannot be answered with 367 samples (a 95% interval of p99 "
        "needs 368 samples)."
    )
    summary = StudyFolder(few).summary_csv
    text = (
        summary.read_text()
        .replace("latency_ms_p99_ci95", "unknown")
        .replace("latency_samples", "another")
    )
    summary.write_text(text)
    assert (
        "is of an older version without it"
        in choice.sentences(choose.choose([few], {"latency_p99_ms": 100}))[1]
    )


@pytest.mark.parametrize(
    ("limit", "state"),
    [
        ({"min_accuracy": 0.951}, "undecided"),  # 95.2 ± 0.2
        ({"min_accuracy": 0.949}, "inside"),
        ({"min_accuracy": 0.955}, "outside"),
        ({"min_infer_per_s": 9_800}, "inside"),  # 10,000 ± 2%
        ({"min_infer_per_s": 10_000}, "undecided"),
        ({"min_train_per_s": 2_551}, "outside"),
        ({"memory_mb": 12.5}, "inside"),
        ({"max_parameters": 1233}, "outside"),
        ({"latency_p50_ms": 0.1}, "inside"),
        ({"memory_mb": 20, "max_parameters": 1}, "outside"),
    ],
)
def test_each_limit_is_judged_by_the_whole_interval(folder, limit, state):
    assert states(choose.choose([folder], limit))["max"] == state


def test_one_seed_gives_no_interval_of_accuracy(make_study):
    write_summary(path := make_study("one", {"max": [950]}))
    (said, why) = choice.sentences(choose.choose([path], {"min_accuracy": 0.5}))
    assert said == "No variant is shown to be inside the budget (accuracy ≥ 50.00 %)."
    assert "cannot be answered with 1 seed (an interval of the accuracy needs 2 seeds)" in why


def test_several_folders_of_one_dataset_and_copies_of_one(folder, make_study):
    write_summary(other := make_study("other", {"max": MAX, "wide": [970, 972, 971, 970, 973]}))
    found = choose.choose([folder, other], {"memory_mb": 100})
    assert found.best is not None
    assert found.best.label == "study/open"
    labels = [candidate.label for candidate in found.candidates]
    assert "other/wide" in labels
    # Two folders hold the same runs of max: whatever holds for one holds for the other.
    assert ("study/max" in labels) + ("other/max" in labels) == 2
    beaten = {contrast.second for contrast in found.beaten}
    assert len(beaten & {"study/max", "other/max"}) == 1
    assert not {c.label for c in found.tied} & {"study/max", "other/max"}


def test_datasets_are_never_mixed(folder, make_study):
    write_summary(other := make_study("other", {"max": MAX}, dataset="mnist"))
    with pytest.raises(RecordError, match=r"on one test set, .* have 2: digits .*; mnist"):
        choose.choose([folder, other], {"memory_mb": 100})


def test_a_device_is_named_by_a_part_of_its_name(folder, make_study):
    gpu = {"device": "gpu: NVIDIA H100", "peak_memory_mb": 50.0}
    write_summary(other := make_study("other", {"max": MAX}, measured={"max": gpu}))
    with pytest.raises(RecordError, match=r"several devices: give one with --device; .*H100"):
        choose.choose([folder, other], {"memory_mb": 100})
    found = choose.choose([folder, other], {"memory_mb": 100}, device="h100")
    assert [candidate.label for candidate in found.candidates] == ["other/max"]
    assert found.device == "measured on gpu: NVIDIA H100"
    with pytest.raises(RecordError, match="--device tpu: must be a part of one device's name"):
        choose.choose([folder, other], {"memory_mb": 100}, device="tpu")


def test_the_command_says_by_its_status_whether_something_fits(folder):
    fits = command("choose", folder, "--latency-p99-ms", "0.3", "--min-accuracy", "0.94")
    assert fits.exit_code == 0, fits.stderr
    assert "`max` is the most accurate of 2 variants inside the budget" in fits.stdout
    none = command("choose", folder, "--memory-mb", "1")
    assert none.exit_code == 4
    flat = " ".join(none.stdout.split())
    assert "No variant is shown to be inside the budget (memory ≤ 1 MB)" in flat
    assert "misses memory ≤ 1 MB by 11.5 MB, 1150 % (it has 12.5 MB)" in flat
    nothing = command("choose", folder)
    assert nothing.exit_code == 2
    assert "no limit given; choose needs one or more of --latency-p50-ms" in nothing.stderr
    assert command("choose", folder, "--min-accuracy", "90").exit_code == 2
    assert command("choose", folder, "--cell", "a=1", "--memory-mb", "1").exit_code == 2


def test_a_measurement_has_the_interval_of_p99_if_its_sample_gives_one():
    ranks = [float(rank) for rank in range(1, 1001)]
    found = latency(ranks)
    assert (found.p99_low, found.p99_high, found.samples) == (983, 997, 1000)
    few = latency(ranks[:367])
    assert (few.p99_low, few.p99_high) == (None, None)
