"""`[tuning]` and `[search]`: valid and invalid configs, and the combinations they try."""

import math

import pytest

from experiments.config import ConfigError, dump, load
from tests.experiments.tiny import tiny_study, write_tiny

VALIDATION = "dataset.validation=0.25"
LISTS = "{'training.learning_rate'=[1e-3, 1e-2], 'training.weight_decay'=[0, 0.1, 0.2]}"
GRID = f"tuning={{seeds=[100, 101], space={LISTS}}}"
SEARCH = "search={seeds=[100], poolings=['max', 'strided']}"
STAGES = "model.widths=[4, 4]"


def tuning(space, **keys):
    given = "".join(f", {key}={value}" for key, value in keys.items())
    return f"tuning={{seeds=[100], space={space}{given}}}"


def test_a_grid_tries_every_combination_in_order(tmp_path):
    study = tiny_study(tmp_path, VALIDATION, GRID)
    assert [tuple(choice.values()) for choice in study.tuning.choices("max")] == [
        (rate, decay) for rate in (1e-3, 1e-2) for decay in (0, 0.1, 0.2)
    ]
    assert study.tuning.choices("max") == study.tuning.choices("strided")


def test_draws_are_the_same_for_all_variants_inside_their_range_and_depend_on_the_seed(tmp_path):
    space = (
        "{'training.learning_rate'={low=1e-4, high=1e-1, log=true}, 'training.momentum'=[0, 0.5]}"
    )
    drawn = {}
    for seed in (0, 1):
        changes = tuning(space, method="'random'", trials=200, draw_seed=seed)
        study = tiny_study(tmp_path, VALIDATION, changes)
        drawn[seed] = study.tuning.choices("max")
        assert drawn[seed] == study.tuning.choices("strided") == study.tuning.choices("max")
        rates = [choice["training.learning_rate"] for choice in drawn[seed]]
        assert all(1e-4 <= rate <= 1e-1 for rate in rates)
        # Log-uniform over three decades: a third of the draws in each.
        decades = [sum(math.floor(math.log10(rate)) == d for rate in rates) for d in (-4, -3, -2)]
        assert min(decades) > 40
        assert {choice["training.momentum"] for choice in drawn[seed]} == {0, 0.5}
    assert drawn[0] != drawn[1]


def test_draws_from_lists_never_repeat(tmp_path):
    study = tiny_study(tmp_path, VALIDATION, tuning(LISTS, method="'random'", trials=5))
    choices = study.tuning.choices("max")
    assert len(choices) == len({tuple(choice.values()) for choice in choices}) == 5


def test_a_variant_is_tuned_over_its_own_keys_too_with_as_many_trials(tmp_path):
    space = "{'training.learning_rate'=[1e-3, 1e-2], 'variants.max.window'=[2, 3, 4]}"
    changes = tuning(space, method="'halving'", trials=2)
    study = tiny_study(tmp_path, VALIDATION, changes)
    assert study.tuning.keys("max") == ["training.learning_rate", "variants.max.window"]
    assert study.tuning.keys("strided") == ["training.learning_rate"]
    assert [len(study.tuning.choices(name)) for name in study.variants] == [2, 2]


def test_choices_make_a_variant_another_run_and_leave_the_others_alone(tmp_path):
    study = tiny_study(tmp_path, VALIDATION, GRID)
    tuned = study.with_choices({"max": {"training.learning_rate": 0.5}})
    assert tuned.of("max").training.learning_rate == 0.5
    assert tuned.of("strided").training.learning_rate == 1e-2
    assert tuned.fingerprint("strided") == study.fingerprint("strided")
    plain = tiny_study(tmp_path, VALIDATION, "training.learning_rate=0.5")
    assert tuned.fingerprint("max") == plain.fingerprint("max") != study.fingerprint("max")
    assert tuned.cost_fingerprint("max") == study.cost_fingerprint("max")


def test_a_shorter_training_has_a_whole_schedule_of_its_own(tmp_path):
    steps = "training={steps=90, batch_size=16, learning_rate=1, seeds=[0], schedule='steps', "
    training = tiny_study(tmp_path, steps + "milestones=[30, 60], warmup_epochs=3}").training
    short = training.shortened(1 / 9, (5,))
    assert (short.steps, short.milestones, short.seeds) == (10, (3, 7), (5,))
    assert short.warmup_epochs == pytest.approx(1 / 3)
    least = training.shortened(1 / 900, (5,))
    assert (least.steps, least.milestones) == (1, (1, 2))
    epochs = tiny_study(tmp_path).training.shortened(1 / 3, (5,))
    assert (epochs.epochs, epochs.steps, epochs.warmup_epochs) == (1, None, pytest.approx(1 / 3))


@pytest.mark.parametrize(
    "changes",
    [
        [VALIDATION, GRID],
        [
            VALIDATION,
            tuning("{'training.learning_rate'={low=0.1, high=1}}", method="'halving'", trials=3),
        ],
        [VALIDATION, STAGES, SEARCH],
    ],
)
def test_a_dumped_config_loads_as_the_same_study(tmp_path, changes):
    study = tiny_study(tmp_path, *changes)
    path = tmp_path / "again.toml"
    path.write_text(dump(study))
    assert load(path) == study


RATES = "{'training.learning_rate'=[1e-3, 1e-2]}"
REFUSED_TUNINGS = [
    ([VALIDATION, tuning("{'training.learning_rate'=3}")], "learning_rate = 3", "must be a list"),
    ([GRID], "dataset.validation", "there are none; reserve a share"),
    ([VALIDATION, "training.seeds=[5, 100]", GRID], "tuning.seeds", "both have 100"),
    ([VALIDATION, GRID.replace("101", "100")], "tuning.seeds", "must differ from one another"),
    ([VALIDATION, tuning("{}")], "tuning.space", "must not be empty"),
    ([VALIDATION, tuning("{'training.learning_rate'=[]}")], "learning_rate", "must not be empty"),
    ([VALIDATION, tuning(RATES, method="'gird'")], "tuning.method", "did you mean 'grid'?"),
    ([VALIDATION, tuning(RATES, trials=2)], "tuning.trials = 2", "tries every combination"),
    (
        [VALIDATION, tuning(RATES, method="'random'")],
        "tuning.trials",
        "missing; must be the number",
    ),
    (
        [VALIDATION, tuning(RATES, method="'random'", trials=3)],
        "tuning.trials = 3",
        "max has only 2 combinations",
    ),
    (
        [VALIDATION, tuning("{'training.learning_rate'={low=0.1, high=1}}")],
        "tuning.space",
        'method = "grid" needs a list',
    ),
    (
        [VALIDATION, tuning("{'training.learning_rate'={low=1, high=2, hgih=2}}")],
        "learning_rate.hgih",
        "did you mean 'high'?",
    ),
    (
        [VALIDATION, tuning("{'training.learning_rate'={low=1, high=0.1}}")],
        "learning_rate.high",
        "must be above low = 1",
    ),
    (
        [VALIDATION, tuning("{'training.learning_rate'={low=0, high=1, log=true}}")],
        "learning_rate.low",
        "above 0 where log = true",
    ),
    ([VALIDATION, tuning("{'model.widths'=[[4]]}")], "tuning.space", "'model.widths' is no key of"),
    (
        [VALIDATION, tuning("{'training.epochs'=[1, 2]}")],
        "tuning.space",
        "'training.epochs' cannot be tuned",
    ),
    (
        [VALIDATION, tuning("{'training.learning_rat'=[1]}")],
        "tuning.space",
        "'training.learning_rat' is no key of [training]; did you mean 'learning_rate'?",
    ),
    (
        [VALIDATION, tuning("{'training.learning_rate'=[1, -1]}")],
        "tuning.space",
        "training.learning_rate=-1: training.learning_rate: must be greater than 0",
    ),
    (
        [VALIDATION, tuning("{'variants.maxx.window'=[2, 3]}")],
        "tuning.space",
        "'variants.maxx.window' belongs to no tuned variant; tuned variants are max, strided",
    ),
    (
        [VALIDATION, tuning("{'variants.max.window'=[2, 3]}")],
        "tuning.space",
        "gives max 2 trials and strided 1, and all variants need the same number",
    ),
    ([VALIDATION, tuning(RATES, exclude="['mux']")], "tuning.exclude", "did you mean 'max'?"),
    (
        [VALIDATION, tuning(RATES, exclude="['max', 'strided']")],
        "tuning.exclude",
        "excludes every variant",
    ),
    (
        [VALIDATION, GRID, "sweep={'training.learning_rate'=[1, 2]}"],
        "tuning.space",
        "is swept, so it cannot be tuned",
    ),
]
REFUSED_SEARCHES = [
    ([STAGES, SEARCH], "dataset.validation", "[search] chooses by the accuracy"),
    ([VALIDATION, STAGES, SEARCH.replace("100", "0")], "search.seeds", "both have 0"),
    ([VALIDATION, SEARCH], "search", "needs a network of two or more stages; small_cnn has 1"),
    ([VALIDATION, STAGES, SEARCH, GRID], "search", "cannot be combined with [tuning]"),
    (
        [VALIDATION, STAGES, SEARCH, "sweep={'training.learning_rate'=[1, 2]}"],
        "search",
        "cannot be combined with [sweep]",
    ),
    (
        [VALIDATION, STAGES, SEARCH.replace("'max'", "'mex'")],
        "search.poolings",
        "did you mean 'max'?",
    ),
    (
        [VALIDATION, STAGES, SEARCH.replace("'max'", "'strided'")],
        "search.poolings",
        "must differ from one another",
    ),
    ([VALIDATION, STAGES, SEARCH.replace("'max', ", "")], "search.poolings", "at least 2 items"),
    (
        [VALIDATION, STAGES, SEARCH, "variants.max.head={pool='max'}"],
        "search.poolings",
        "variants.max must be one pooling for every stage, without a head",
    ),
    (
        [
            VALIDATION,
            STAGES,
            "variants={a={pool='none'}, b={pool='strided'}, a-a={pool='none'}, b-a={pool='none'}, "
            "a-b={pool='none'}}",
            "search={seeds=[100], poolings=['a', 'b', 'a-b']}",
        ],
        "search.poolings",
        "names with '-'",
    ),
]


@pytest.mark.parametrize(("changes", "key", "reason"), REFUSED_TUNINGS + REFUSED_SEARCHES)
def test_what_cannot_be_chosen_is_refused_by_name_on_one_line(tmp_path, changes, key, reason):
    with pytest.raises(ConfigError) as caught:
        load(write_tiny(tmp_path), changes)
    (line,) = str(caught.value).splitlines()
    assert key in line
    assert reason in line
