import pytest

from experiments.report.conclusion import conclude, contrasts


def test_a_clear_winner_is_named_with_gap_interval_and_corrected_p(make_rows):
    study = make_rows({"max_pool": [950, 953, 951, 954, 952], "strided": [930, 932, 932, 933, 933]})
    sentence, _ = conclude(study).sentences
    # differences 20, 21, 19, 21, 19 of 1,000: mean 20.0, std 1, t(0.975, 4) = 2.776, half 1.24
    assert sentence == (
        "`max_pool` is more accurate than `strided` by 2.00 points "
        "(95% CI 1.88 to 2.12, p < 0.001, after Holm)."
    )
    assert conclude(study).most_accurate == {"max_pool"}


def test_what_cannot_be_told_apart_is_said_so(make_rows):
    study = make_rows(
        {
            "none": [930, 932, 932, 933, 933],
            "max_pool": [950, 953, 951, 954, 952],
            "avg_pool": [951, 950, 953, 953, 950],
        }
    )
    conclusion = conclude(study)
    assert conclusion.sentences[0].startswith("`max_pool` is more accurate than `none` by 2.0")
    assert conclusion.sentences[0].endswith(
        "; it cannot be told apart from `avg_pool` with 5 seeds."
    )
    assert conclusion.most_accurate == {"max_pool", "avg_pool"}


def test_no_claim_without_a_significant_difference(make_rows):
    study = make_rows({"max_pool": [950, 930, 960], "avg_pool": [945, 940, 950]})
    conclusion = conclude(study)
    assert conclusion.sentences[0] == (
        "No two variants can be told apart in accuracy with 3 seeds."
    )
    assert conclusion.most_accurate == {"max_pool", "avg_pool"}


def test_a_difference_among_the_others_is_not_lost_behind_a_noisy_leader(make_rows):
    study = make_rows(
        {
            "noisy": [999, 900, 999, 900, 999],
            "avg_pool": [950, 953, 951, 954, 952],
            "strided": [930, 932, 932, 933, 933],
        }
    )
    sentence = conclude(study).sentences[0]
    assert sentence.startswith("`avg_pool` is more accurate than `strided` by 2.00 points")
    assert "nothing shows `noisy`, the highest, to beat any other with 5 seeds" in sentence


def test_many_beaten_variants_are_summed_up(make_rows):
    base = [950, 953, 951, 954, 952]
    wiggle = [0, 1, -1, 1, -1]
    study = make_rows(
        {
            "max_pool": base,
            **{
                f"worse_{drop}": [b - drop + w for b, w in zip(base, wiggle, strict=True)]
                for drop in (20, 30, 50)
            },
        }
    )
    assert conclude(study).sentences[0] == (
        "`max_pool` is more accurate than `worse_20`, `worse_30` and `worse_50`, by 2.00 to 5.00 "
        "points (each p < 0.001 after Holm)."
    )


def test_one_seed_and_one_variant_conclude_nothing(make_rows):
    one_seed = make_rows({"max_pool": [950], "avg_pool": [900]})
    assert conclude(one_seed).sentences[0] == (
        "With a single seed, no difference in accuracy can be told from chance."
    )
    alone = make_rows({"max_pool": [950, 951]})
    assert conclude(alone).sentences == (
        "Only `max_pool` was run, so there is nothing to compare.",
    )


def test_a_constant_gap_over_few_seeds_is_not_certainty(make_rows):
    study = make_rows(
        {"max_pool": [950, 951, 952, 953, 954], "avg_pool": [940, 941, 942, 943, 944]}
    )
    assert conclude(study).sentences[0].startswith("No two variants")


def test_all_pairs_count_in_the_correction(make_rows):
    study = make_rows(
        {
            "a": [950, 953, 951, 954, 952],
            "b": [948, 952, 948, 953, 949],
            "c": [950, 950, 952, 953, 951],
        }
    )
    pairs = contrasts(study)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    smallest = min(pairs, key=lambda pair: pair.difference.p or 1)
    assert smallest.adjusted_p == pytest.approx(3 * (smallest.difference.p or 0))


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [
        (
            {"max_pool": 10_000, "strided": 20_000},
            "`strided` is the fastest at inference, 2.00 times `max_pool` "
            "(20.0k examples/s against 10.0k).",
        ),
        (
            {"max_pool": 20_000, "strided": 10_000},
            "`max_pool` is also the fastest at inference, at 20.0k examples/s.",
        ),
        (
            {"max_pool": 10_000, "strided": 10_100},
            "Inference is equally fast for all within the noise, at 10.1k examples/s.",
        ),
    ],
)
def test_the_sentence_about_speed_respects_the_noise(make_rows, speeds, expected):
    study = make_rows({"max_pool": [950, 953, 951], "strided": [930, 932, 932]}, speeds=speeds)
    assert conclude(study).sentences[1] == expected


def test_without_an_accuracy_claim_the_fastest_variant_has_its_own_sentence(make_rows):
    study = make_rows({"a": [950, 930, 960], "b": [945, 940, 950]}, speeds={"a": 20_000})
    assert conclude(study).sentences[1] == ("`a` is the fastest at inference, at 20.0k examples/s.")


def test_a_shared_lead_in_speed_names_both(make_rows):
    study = make_rows(
        {"a": [950, 953], "b": [930, 932], "c": [930, 931]},
        speeds={"a": 5_000, "b": 10_000, "c": 10_100},
    )
    conclusion = conclude(study)
    assert conclusion.fastest == {"b", "c"}
    assert conclusion.sentences[1] == (
        "`b` and `c` are the fastest at inference, equal within the noise, at 10.1k examples/s."
    )


def test_estimated_speeds_say_so(make_rows):
    study = make_rows(
        {"a": [950, 953], "b": [930, 932]},
        speeds={"b": 20_000},
        measured={variant: {"device_source": "estimated"} for variant in "ab"},
    )
    assert conclude(study).sentences[1].endswith("(20.0k examples/s against 10.0k) (estimated).")


def test_notes_warn_of_parameters_and_the_test_set(make_rows):
    study = make_rows(
        {"max_pool": [950, 951, 952], "none": [930, 931, 930]},
        measured={"none": {"parameters": 9310}},
    )
    legend, settings, parameters, test_set = conclude(study).notes
    assert "excludes 0 exactly where the difference is significant" in legend
    assert settings.startswith("All variants were trained with the same settings")
    assert parameters.startswith("Parameters differ by variant, 1,234 to 9,310: ")
    assert "one test set of 1,000 examples" in test_set
    assert "up to about 1.6 points" in test_set  # 1.96 sqrt(0.93 0.07 / 1000) is 1.58
    assert len(conclude(make_rows({"max_pool": [950, 951], "none": [930, 935]})).notes) == 2


def test_the_settings_are_the_same_for_all_unless_a_variant_was_tuned(make_rows):
    rows = make_rows({"max_pool": [950, 951], "none": [930, 931]})
    tuned = [rows[0].model_copy(update={"tuned": {"training.learning_rate": 0.1}}), rows[1]]
    assert not any("same settings" in note for note in conclude(tuned).notes)
    assert not any("same settings" in note for note in conclude(rows[:1]).notes)
