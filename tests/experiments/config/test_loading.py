import tomllib

import pytest

from experiments.config import ConfigError, PoolOptions, differences, dump, load

VALID = """
[dataset]
name = "digits"

[model]
widths = [16, 32]

[training]
epochs = 3
batch_size = 64
learning_rate = 3e-3
seeds = [0, 1]

[variants.max]
pool = "max_pool"
window = 2

[variants.strided]
pool = "strided"

[[variants.mixed]]
pool = "max_pool"
window = [2, 2]
padding = "SAME"

[[variants.mixed]]
pool = "lp_pool"
window = 3
stride = 2
padding = [[0, 1], [1, 1]]
arguments = { p = 3.0 }
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(VALID)
    return path


def refusal(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return str(caught.value)


def test_a_config_is_read_with_its_defaults(path):
    study = load(path)
    assert study.name == "study"
    assert study.model.widths == (16, 32)
    assert study.training.optimizer == "adamw"
    assert study.variants["max"] == PoolOptions(pool="max_pool", window=2)


def test_a_name_in_the_file_wins_over_the_name_of_the_file(path):
    path.write_text(f'name = "other"\n{VALID}')
    assert load(path).name == "other"


def test_a_dumped_config_loads_as_the_same_study(path, tmp_path):
    study = load(path)
    again = tmp_path / "again.toml"
    again.write_text(dump(study))
    assert load(again) == study


def test_each_stage_gets_its_slot(path):
    first, second = load(path).slots("mixed")
    assert first.arguments == {"window_shape": (2, 2), "padding": "SAME"}
    assert second.arguments == {
        "window_shape": 3,
        "strides": 2,
        "padding": ((0, 1), (1, 1)),
        "p": 3.0,
    }
    assert [slot.place for slot in (first, second)] == ["variants.mixed.0", "variants.mixed.1"]


def test_one_table_serves_every_stage(path):
    assert [slot.stride for slot in load(path).slots("strided")] == [2, 2]
    study = load(path, ["variants.strided.stride=[4, 2]"])
    assert [slot.stride for slot in study.slots("strided")] == [(4, 2), (4, 2)]


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("training.epochs=7", "training", "epochs", 7),
        ("training.learning_rate = 1", "training", "learning_rate", 1.0),
        ("training.optimizer=sgd", "training", "optimizer", "sgd"),
        ('training."schedule"="constant"', "training", "schedule", "constant"),
        ("training.seeds=[4, 5, 6]", "training", "seeds", (4, 5, 6)),
        ("training.seeds_together=true", "training", "seeds_together", True),
        ("model.norm=none", "model", "norm", "none"),
        ("dataset={name='mnist'}", "dataset", "name", "mnist"),
    ],
)
def test_set_takes_toml_values_and_bare_words(path, override, section, key, value):
    assert getattr(getattr(load(path, [override]), section), key) == value


def test_set_adds_variants_and_later_ones_win(path):
    study = load(path, ["variants.none.pool=none", "training.epochs=4", "training.epochs=5"])
    assert study.variants["none"] == PoolOptions(pool="none")
    assert study.training.epochs == 5


# An override, and the error: the key, its value, and what is allowed.
REFUSED = [
    ("trainig.epochs=3", "trainig", "unknown key; did you mean 'training'?"),
    ("training.epoch=3", "training.epoch = 3", "did you mean 'epochs'?"),
    ("variants.max.pol=2", "variants.max.pol = 2", "did you mean 'pool'? known: pool, window"),
    ("variants.max.pool=max_pol", 'variants.max.pool = "max_pol"', "did you mean 'max_pool'?"),
    ("variants.max.pool=max_unpool", "variants.max.pool", "known: strided, none, "),
    ("dataset.name=fashion-mnist", "dataset.name", "did you mean 'fashion_mnist'?"),
    (
        "model.name=big_cnn",
        'model.name = "big_cnn"',
        "unknown network; did you mean 'all_cnn'? known:",
    ),
    (
        "training.optimizer=adam",
        'training.optimizer = "adam"',
        "did you mean 'adamw'? known: adamw",
    ),
    ("training.seeds_together=maybe", "training.seeds_together", "known: true, false, auto"),
    ("training.epochs=three", 'training.epochs = "three"', "must be an integer"),
    ("training.epochs=3.0", "training.epochs = 3.0", "must be an integer"),
    ("training.epochs=true", "training.epochs = true", "must be an integer"),
    ("training.epochs=0", "training.epochs = 0", "greater than or equal to 1"),
    ("training.learning_rate=nan", "training.learning_rate", "finite"),
    ("training.learning_rate=-1", "training.learning_rate", "greater than 0"),
    ("training.momentum=1", "training.momentum", "less than 1"),
    ("training.warmup_epochs=4", "training.warmup_epochs = 4", "at most epochs = 3"),
    ("training.batch_size=2000", "training.batch_size", "at most the 1195 training examples"),
    ("dataset.train_limit=50", "training.batch_size = 64", "at most the 50 training examples"),
    ("training.schedule=steps", "training.milestones", "needs milestones"),
    ("training.milestones=[1]", "training.milestones = [1]", "no other takes any"),
    (
        "training={epochs=3, batch_size=9, learning_rate=1, seeds=[0], schedule='steps', "
        "milestones=[2, 1]}",
        "training.milestones = [2, 1]",
        "must rise",
    ),
    ("training.steps=5", "training.epochs = 3", "give either epochs or steps"),
    ("dataset.validation=1.0", "dataset.validation = 1.0", "less than 1"),
    ("variants.max.extra_convolutions=0", "extra_convolutions = 0", "greater than or equal to 1"),
    (
        "model={name='resnet', depth=9}",
        "model.depth = 9",
        "must be 6 n + 2 for 3 widths: 8, 14, 20",
    ),
    (
        "sweep={'training.epochs'=[1, 'many']}",
        "sweep",
        "training.epochs=many: training.epochs: must be a valid integer",
    ),
    ("sweep={'training.epohcs'=[1]}", "sweep", "training.epohcs=1: training.epohcs: "),
    ("sweep={'model.widths'=[]}", "sweep.model.widths = []", "not be empty"),
    ("training.seeds=[1, 1]", "training.seeds = [1, 1]", "differ"),
    ("training.seeds=[-1]", "training.seeds.0 = -1", "greater than or equal to 0"),
    ("training.seeds=5", "training.seeds = 5", "must be a list"),
    ("training.seeds=[]", "training.seeds", "not be empty"),
    ("model.widths=[8, true]", "model.widths.1 = true", "must be an integer"),
    ("model.widths=[8, 0]", "model.widths.1 = 0", "greater than or equal to 1"),
    ("model.widths=[8]", "variants.mixed", "2 poolings for the 1 stages"),
    ("training=7", "training = 7", "must be a table"),
    ("variants={}", "variants", "not be empty"),
    ("variants.max=7", "variants.max = 7", "must be a table"),
    ("variants.Max.pool=none", "variants.Max", "lower-case letters"),
    ('name="../up"', 'name = "../up"', "lower-case letters"),
    ("variants.new.window=2", "variants.new.pool", "missing"),
    ("variants.new.pool=max_pool", "variants.new.window", "missing; max_pool needs it"),
    ("variants.max.window=0", "variants.max.window = 0", "positive integer, or a list"),
    ("variants.max.window=[2, 2.0]", "variants.max.window", "positive integer, or a list"),
    ("variants.max.stride=two", "variants.max.stride", "positive integer, or a list"),
    ("variants.max.padding=SAMESAME", "variants.max.padding", "did you mean 'SAME'?"),
    ("variants.max.padding=true", "variants.max.padding = true", "VALID, SAME, SAME_LOWER"),
    (
        "variants.strided.window=2",
        "variants.strided.window = 2",
        "pool = 'strided' takes no window",
    ),
    ("variants.x={pool='none', stride=2}", "variants.x.stride", "pool = 'none' takes no stride"),
    ("variants.x={pool='global_max_pool', window=2}", "variants.x.window", "takes no window"),
    (
        "variants.max.arguments.ceilmode=true",
        "variants.max.arguments.ceilmode = true",
        "max_pool has no such argument; did you mean 'ceil_mode'?",
    ),
    ("variants.new.pool=gated_pool", "variants.new.window", "missing; gated_pool needs it"),
    (
        "variants.x={pool='learned_gem_pool', window=2, arguments={q=3}}",
        "variants.x.arguments.q = 3",
        "learned_gem_pool has no such argument; known: axes, ceil_mode, channels, dilation, eps, p",
    ),
    (
        "variants.x={pool='gated_pool', window=2, arguments={rngs=0}}",
        "variants.x.arguments.rngs = 0",
        "no such argument",
    ),
    ("variants.max.arguments.strides=1", "variants.max.arguments.strides", "write stride = ..."),
    ("variants.max.arguments.x=1", "variants.max.arguments.x", "no such argument"),
]


@pytest.mark.parametrize(("override", "key", "allowed"), REFUSED, ids=[r[0] for r in REFUSED])
def test_a_refusal_names_key_value_and_what_is_allowed(path, override, key, allowed):
    message = refusal(path, override)
    assert key in message
    assert allowed in message
    assert len(message.splitlines()) == 1


def test_a_refusal_names_the_file_or_the_override_at_fault(path):
    assert refusal(path, "training.epochs=0").startswith("--set: training.epochs = 0:")
    path.write_text(VALID.replace("epochs = 3", "epochs = 0"))
    assert refusal(path).startswith(f"{path}: training.epochs = 0:")
    assert refusal(path, "training.batch_size=32").startswith(f"{path}: training.epochs = 0:")


def test_every_mistake_is_named_at_once(path):
    lines = refusal(path, "training.epochs=0", "model.nrom=batch").splitlines()
    assert len(lines) == 2
    assert "did you mean 'norm'?" in "".join(lines)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("training.epochs", "form key=value"),
        ("training..epochs=1", "not a key"),
        ("=1", "not a key"),
        ("training.seeds=[1", "neither a TOML value nor a word"),
        ("model.widths.first=1", "widths is not a table"),
    ],
)
def test_a_malformed_override_is_explained(path, override, complaint):
    assert complaint in refusal(path, override)


def test_files_that_cannot_be_read_are_named(path, tmp_path):
    assert "cannot be read" in refusal(tmp_path / "missing.toml")
    path.write_text("epochs = = 3")
    message = refusal(path)
    assert str(path) in message
    assert "line 1" in message


def test_the_fingerprint_covers_what_decides_a_run_and_nothing_else(path):
    def mark(*overrides):
        return load(path, overrides).fingerprint("max")

    same = ["name=x", "training.seeds=[9]", "training.seeds_together=true"]
    same += ["measurement.seconds=1", "variants.other.pool=none"]
    other = ["training.epochs=4", "model.kernel=5", "dataset.train_limit=99"]
    other += ["variants.max.window=3", "variants.max.pool=avg_pool", "training.weight_decay=0.5"]
    assert {mark(override) for override in same} == {mark()}
    there, elsewhere = (mark(f"dataset={{name='mnist', directory='/{f}'}}") for f in "ab")
    assert there == elsewhere != mark()
    assert len({mark(), *map(mark, other)}) == 1 + len(other)


def test_differences_name_the_keys_that_changed(path):
    before = dump(load(path))
    after = dump(load(path, ["training.epochs=4", "dataset.train_limit=99"]))
    assert differences(before, after) == [
        "training.epochs was 3, is 4",
        "dataset.train_limit was absent, is 99",
    ]


def test_the_dump_says_every_default(path):
    saved = tomllib.loads(dump(load(path)))
    assert saved["training"]["weight_decay"] == 0
    assert saved["measurement"]["rounds"] == 50
    assert saved["variants"]["max"] == {"pool": "max_pool", "window": 2}


def test_extra_convolutions_are_for_networks_of_stages(path):
    override = "variants.max.extra_convolutions=1"
    assert load(path, [override]).slots("max")[0].extra_convolutions == 1
    message = refusal(path, override, "model={name='resnet'}")
    assert "variants.max" in message
    assert "the network resnet takes no extra_convolutions" in message
