import csv
import io

import numpy as np
import pytest
from rich.console import Console

from experiments import compare
from experiments.folder import StudyFolder
from experiments.records import RecordError
from experiments.report import comparison
from tests.experiments.conftest import write_summary

MAX = [950, 953, 951, 954, 952]
AVG = [951, 950, 953, 953, 950]
STRIDED = [930, 932, 932, 933, 933]


@pytest.fixture
def study(make_study):
    """A finished and summarised study without its runs, as one is published."""

    def make(name, correct, **options):
        study = StudyFolder(write_summary(make_study(name, correct, **options)))
        study.runs.rename(study.path.with_name(f"{study.path.name}-runs"))
        return study.path

    return make


def texts(result, width=120):
    output = io.StringIO()
    comparison.show(
        result, Console(file=output, width=width, force_terminal=True, color_system=None)
    )
    return " ".join(output.getvalue().split()), comparison.to_markdown(result)


def test_one_study_is_compared_with_its_first_variant(study):
    folder = study("quickstart", {"max_pool": MAX, "avg_pool": AVG, "strided": STRIDED})
    result = compare.compare([folder])
    assert [(c.first, c.second) for c in result.contrasts] == [
        ("quickstart/avg_pool", "quickstart/max_pool"),
        ("quickstart/strided", "quickstart/max_pool"),
    ]
    avg, strided = result.contrasts
    assert not avg.significant
    assert strided.difference.mean == pytest.approx(-0.02)
    assert strided.adjusted_p == pytest.approx(2 * (strided.difference.p or 0))
    assert comparison.conclusions(result) == [
        "`quickstart/max_pool` is more accurate than `quickstart/strided` by 2.00 points "
        "(95% CI 1.84 to 2.16, p < 0.001, after Holm).",
        "Holm's correction is for 2 comparisons. The other differences may be chance.",
    ]


def test_a_named_baseline_is_used_for_accuracy_and_speed(study):
    folder = study("quickstart", {"max_pool": MAX, "strided": STRIDED}, speeds={"strided": 20_000})
    result = compare.compare([folder], baseline="strided")
    (contrast,) = result.contrasts
    assert (contrast.first, contrast.second) == ("quickstart/max_pool", "quickstart/strided")
    (group,) = result.groups.values()
    assert group[0].row.variant == "strided"
    table = comparison.to_markdown(result)
    assert "| 20.0k | 1 |" in table
    assert "| 10.0k | 0.50 |" in table


def test_the_same_study_from_two_machines_is_paired_by_name_and_seed(study):
    here = study("a/quickstart", {"max_pool": MAX, "strided": STRIDED})
    there = study(
        "b/quickstart",
        {"max_pool": MAX, "strided": {s: n + 1 + s % 2 for s, n in enumerate(STRIDED)}},
        measured={variant: {"device": "gpu: H100"} for variant in ("max_pool", "strided")},
        device="gpu: H100",
        versions={"python": "3.11.0", "jax": "0.12.0"},
    )
    result = compare.compare([here, there])
    pairs = [(c.first, c.second) for c in result.contrasts]
    assert pairs == [
        ("b/quickstart/strided", "a/quickstart/strided"),
        ("a/quickstart/strided", "a/quickstart/max_pool"),
        ("b/quickstart/strided", "b/quickstart/max_pool"),
    ]
    assert result.contrasts[0].difference.mean == pytest.approx(0.0014)
    assert len(result.groups) == 2
    terminal, page = texts(result)
    for text in (terminal, page):
        assert "never ranked across groups" in text
        assert (
            "b/quickstart and a/quickstart hold the same results of max_pool, which count once"
            in text.replace("\\", "")
        )
        assert "ran on other versions: jax 0.10.2 against 0.12.0" in text
    assert "Group B: digits, measured on gpu: H100" in page


@pytest.mark.parametrize(
    "difference",
    [
        {"xla_flags": "--xla_cpu_use_thunk_runtime=false"},
        {"allocator": {"MALLOC_TRIM_THRESHOLD_": "1"}},
        {"measured": {"max_pool": {"batch_size": 128}}},
        {"measured": {"max_pool": {"device": "tpu: v5e"}}},
        {"measured": {"max_pool": {"device_source": "estimated"}}},
        {"dataset": "mnist"},
    ],
)
def test_speeds_under_different_conditions_are_never_related(study, difference):
    one = study("one", {"max_pool": MAX})
    other = study("two", {"max_pool": MAX}, speeds={"max_pool": 50_000}, **difference)
    result = compare.compare([one, other])
    assert len(result.groups) == 2
    page = comparison.to_markdown(result)
    assert "5.00" not in page
    assert "| A | one |" in page
    assert "| B | two |" in page
    assert "Speeds were measured under 2 different conditions" in page


def test_speeds_under_equal_conditions_are_related_with_their_noise(study):
    one = study("one", {"max_pool": MAX})
    other = study(
        "two", {"max_pool": MAX, "avg_pool": AVG}, speeds={"max_pool": 10_100, "avg_pool": 50_000}
    )
    result = compare.compare([one, other])
    assert len(result.groups) == 1
    page = comparison.to_markdown(result)
    assert "| \\~1.01 |" in page
    assert "| 5.00 |" in page
    assert "come from separate runs" in page


def test_different_test_sets_are_not_compared_in_accuracy(study):
    result = compare.compare(
        [study("one", {"max_pool": MAX}), study("two", {"max_pool": AVG}, dataset="mnist")]
    )
    assert result.contrasts == ()
    terminal, page = texts(result)
    assert "Nothing can be concluded about accuracy: no two entries share a test set" in terminal
    assert (
        "neither compared nor averaged: digits (1,000 test examples), mnist (1,000 test examples)"
        in page.replace("\\", "")
    )


def test_studies_with_different_variants_meet_at_the_baseline(study):
    one = study("one", {"max_pool": MAX})
    other = study("two", {"strided": STRIDED}, epochs=5)
    result = compare.compare([one, other], baseline="max_pool")
    (contrast,) = result.contrasts
    assert (contrast.first, contrast.second) == ("two/strided", "one/max_pool")
    assert contrast.significant
    assert any(
        "different settings" in n and "training.epochs 2 against 5" in n for n in result.notes
    )


def test_a_variant_defined_differently_under_one_name_is_said(study):
    one, other = study("one", {"max_pool": MAX}), study("two", {"max_pool": MAX})
    config = other / "config.toml"
    config.write_text(config.read_text().replace("window = 2", "window = 3"))
    (note,) = (n for n in compare.compare([one, other]).notes if "different settings" in n)
    assert "max_pool {'pool': 'max_pool', 'window': 2} against" in note


def test_only_shared_seeds_are_paired_and_none_concludes_nothing(study):
    one = study("one", {"max_pool": {0: 950, 1: 951}})
    other = study("two", {"max_pool": {1: 940, 7: 930}})
    result = compare.compare([one, other])
    (contrast,) = result.contrasts
    assert contrast.difference.n == 1
    terminal, _ = texts(result)
    assert "one shared seed: no test" in terminal
    assert "Nothing can be concluded about accuracy: no two entries share 2 seeds" in terminal


def test_differences_that_do_not_hold_conclude_nothing(study):
    result = compare.compare([study("one", {"max_pool": MAX, "avg_pool": AVG})])
    assert comparison.conclusions(result) == [
        "Nothing can be concluded about accuracy: no difference holds among 1 comparison."
    ]
    assert "cannot be told apart" in texts(result)[0]


def test_csv_has_every_difference_with_blanks_where_nothing_is_known(study):
    one = study("one", {"max_pool": MAX, "strided": STRIDED})
    other = study("two", {"max_pool": {4: 900}})
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv(compare.compare([one, other])))))
    assert [(row["first"], row["second"], row["seeds"]) for row in rows] == [
        ("two/max_pool", "one/max_pool", "1"),
        ("one/strided", "one/max_pool", "5"),
    ]
    assert (rows[0]["ci95_low"], rows[0]["p"], rows[0]["p_holm"]) == ("", "", "")
    assert float(rows[0]["difference"]) == pytest.approx(-0.052)
    assert float(rows[1]["difference"]) == pytest.approx(-0.02)
    assert float(rows[1]["ci95_low"]) < -0.02 < float(rows[1]["ci95_high"])


def test_parameters_that_differ_are_a_warning(study):
    folder = study("one", {"max_pool": MAX, "none": AVG}, measured={"none": {"parameters": 9310}})
    assert any("1,234 to 9,310" in note for note in compare.compare([folder]).notes)


def test_the_terminal_table_fits_a_hundred_columns(study):
    folder = study("quickstart", {"max_pool": MAX, "avg_pool": AVG, "strided": STRIDED})
    output = io.StringIO()
    console = Console(file=output, width=100, force_terminal=True, color_system=None)
    comparison.show(compare.compare([folder]), console)
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    assert max(map(len, lines)) <= 100
    (row,) = (line for line in lines if "avg_pool  95.14" in line)
    assert row.endswith("12.5")


def test_a_folder_without_a_summary_is_refused_with_what_to_do(make_study, tmp_path):
    folder = make_study("unfinished", {"max_pool": MAX})
    with pytest.raises(
        RecordError, match=r"unfinished: has no summary\.csv.*python -m experiments run"
    ):
        compare.compare([folder])
    with pytest.raises(RecordError, match="nowhere: has no summary"):
        compare.compare([tmp_path / "nowhere"])


def test_a_missing_environment_is_said(study):
    folder = study("one", {"max_pool": MAX})
    (folder / "environment.json").unlink()
    with pytest.raises(RecordError, match=r"environment\.json: cannot be read"):
        compare.compare([folder])


def test_an_unknown_baseline_lists_the_variants(study):
    folder = study("one", {"max_pool": MAX, "avg_pool": AVG})
    with pytest.raises(RecordError, match=r"baseline 'l2' is in no study; .* max_pool, avg_pool"):
        compare.compare([folder], baseline="l2")


def test_a_folder_given_twice_is_refused(study):
    folder = study("one", {"max_pool": MAX})
    with pytest.raises(RecordError, match="one: given more than once"):
        compare.compare([folder, folder / "../one"])


def test_two_folders_with_the_same_runs_are_one_contrast_each(study):
    """Two equivalent forms of a contrast: swapped, and through another folder."""
    one = study("one", {"max_pool": MAX, "strided": STRIDED})
    turned = study("two", {"strided": STRIDED, "max_pool": MAX})
    result = compare.compare([one, turned])
    (contrast,) = result.contrasts
    assert (contrast.first, contrast.second) == ("one/strided", "one/max_pool")
    assert contrast.adjusted_p == contrast.difference.p
    assert "hold the same results of strided, max_pool, which count once" in " ".join(result.notes)


def test_of_two_equal_contrasts_the_one_of_more_seeds_counts(study):
    one = study("one", {"max_pool": MAX[:3], "strided": STRIDED[:3]})
    more = study("two", {"max_pool": MAX, "strided": STRIDED})
    (contrast,) = compare.compare([one, more]).contrasts
    assert (contrast.first, contrast.difference.n) == ("two/strided", 5)


def test_the_same_scores_from_another_config_are_another_variant(study):
    one = study("one", {"max_pool": MAX})
    other = study("two", {"max_pool": MAX}, fingerprint="cd" * 32)
    (contrast,) = compare.compare([one, other]).contrasts
    assert contrast.difference.p == 1
    assert "the same on every seed" in texts(compare.compare([one, other]))[0]


def test_a_test_set_is_told_by_the_settings_that_decide_its_examples(study):
    one, other = study("one", {"max_pool": MAX}), study("two", {"max_pool": AVG})
    config = other / "config.toml"
    text = config.read_text()
    config.write_text(text.replace("[dataset]", "[dataset]\ntrain_limit = 50"))
    assert len(compare.compare([one, other]).contrasts) == 1
    config.write_text(text.replace("[dataset]", "[dataset]\nexamples = 50"))
    result = compare.compare([one, other])
    assert result.contrasts == ()
    assert any("digits (1,000 test examples, examples = 50)" in note for note in result.notes)


def test_every_interval_shown_agrees_with_its_verdict(study):
    base = np.array(MAX)
    noise = np.random.default_rng(0).integers(-4, 5, (8, 5))
    others = {f"v{i}": (base - 2 * i + row).tolist() for i, row in enumerate(noise)}
    result = compare.compare([study("one", {"max_pool": MAX, **others})])
    verdicts = [contrast.significant for contrast in result.contrasts]
    assert 0 < sum(verdicts) < 8
    for contrast in result.contrasts:
        low, high = contrast.interval
        assert contrast.significant == (low > 0 or high < 0)
    # Some 95% intervals of one difference alone would have contradicted the verdict.
    alone = [contrast.difference.interval() for contrast in result.contrasts]
    assert sum(low > 0 or high < 0 for low, high in alone) > sum(verdicts)
