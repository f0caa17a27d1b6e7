"""Mixed precision: what is learned stays float32, and what is multiplied is bfloat16."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.config import ConfigError
from experiments.data import DatasetInfo
from experiments.folder import StudyFolder
from experiments.models import (
    Head,
    Slot,
    all_cnn,
    region_net,
    resnet,
    sentence_scorer,
    small_cnn,
    text_cnn,
)
from experiments.models.slot import LEARNED
from experiments.precision import compute_in_bfloat16, inputs_in_bfloat16, outputs_in_float32
from experiments.programs import Programs
from experiments.training import Device, Trainer
from tests.experiments.tiny import tiny_study

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(4, 12, 12, 2)).astype(np.float32)
SIGNALS = RANDOM.normal(size=(4, 16, 2)).astype(np.float32)
TOKENS = RANDOM.integers(0, 20, (4, 3, 6)).astype(np.int32)
LENGTHS = np.array([[6, 2, 1], [3, 3, 6], [1, 1, 1], [5, 6, 2]], np.int32)
CORNERS = np.sort(RANDOM.uniform(0, 12, (4, 5, 2, 2)), axis=2).reshape(4, 5, 4)
IMAGE, SIGNAL = DatasetInfo((12, 12, 2), 3, 9, 9), DatasetInfo((16, 2), 3, 9, 9, kind="signal")
SEQUENCE = DatasetInfo((6,), 3, 9, 9, kind="sequence", vocabulary=20)
DOCUMENT = DatasetInfo((3, 6), 3, 9, 9, kind="document", vocabulary=20)
MAX, STRIDED = Slot("max_pool", arguments={"window_shape": 2}), Slot("strided", stride=2)
SMALL = small_cnn.SmallCNNOptions

NETWORKS = {
    "small_cnn": (SMALL(widths=(4, 6)), IMAGE, (MAX, STRIDED), "average", IMAGES),
    "layer norm": (SMALL(widths=(4,), norm="layer"), IMAGE, (MAX,), "gem", IMAGES),
    "signals": (SMALL(widths=(4,), norm="none"), SIGNAL, (MAX,), "attention", SIGNALS),
    "all_cnn": (all_cnn.AllCNNOptions(widths=(4, 6)), IMAGE, (MAX, STRIDED), "max", IMAGES),
    "resnet": (
        resnet.ResNetOptions(depth=6, widths=(4, 6), activation="pre"),
        *(IMAGE, (MAX,), "lp", IMAGES),
    ),
    "region_net": (
        region_net.RegionNetOptions(widths=(4,), hidden=5),
        *(DatasetInfo((12, 12, 2), 3, 9, 9, kind="scene"), (MAX,), "roi_align"),
        {"image": IMAGES, "boxes": CORNERS.astype(np.float32)},
    ),
    "text_cnn": (
        text_cnn.TextCNNOptions(features=6, width=5),
        *(SEQUENCE, (), "k_max", {"tokens": TOKENS[:, 0], "length": LENGTHS[:, 0]}),
    ),
    "sentence_scorer": (
        sentence_scorer.SentenceScorerOptions(features=6, hidden=5, position=True),
        *(DOCUMENT, (), "attention"),
        {"tokens": TOKENS, "length": LENGTHS, "sentences": np.array([3, 3, 2, 1], np.int32)},
    ),
}
CHANGES = ("model.widths=[4, 8]", "training.seeds=[0]")
PRODUCTS = re.compile(r"stablehlo\.(?:convolution|dot_general).* : \((.*)\) ->")


def products(program, *arguments):
    """The operands of every convolution and product of matrices, as StableHLO's types."""
    return PRODUCTS.findall(jax.jit(program).lower(*arguments).as_text())


def forms(options, info, slots, head, inputs, built=nnx.eval_shape):
    """The state of a network, by default only its shapes, and what it gives in both precisions."""
    structure, state = nnx.split(built(lambda: options.build(info, slots, Head(head), nnx.Rngs(0))))

    def half(state):
        network = nnx.merge(structure, state, copy=True)
        compute_in_bfloat16(network)
        return network(inputs_in_bfloat16(inputs), train=True, key=jax.random.key(1))

    def single(state):
        network = nnx.merge(structure, state, copy=True)
        return network(jax.tree.map(jnp.asarray, inputs), train=True, key=jax.random.key(1))

    return state, half, single


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_multiplies_in_bfloat16(name):
    state, half, _ = forms(*NETWORKS[name])
    operands = products(half, state)
    assert operands
    assert not [types for types in operands if "f32" in types]


@pytest.mark.thorough
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_nearly_the_same_in_bfloat16(name):
    state, half, single = forms(*NETWORKS[name], built=lambda build: build())
    found, expected = jax.jit(lambda state: (half(state), single(state)))(state)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(
            np.asarray(one, np.float32), other, rtol=0.05, atol=0.05 * np.abs(other).mean()
        )


@pytest.mark.parametrize("pool", [*LEARNED, "stochastic_pool", "blur_pool"])
def test_poolings_that_learn_or_draw_give_bfloat16(pool):
    arguments = {} if pool == "blur_pool" else {"window_shape": 2}
    if pool == "gated_pool":
        arguments["channels"] = 4
    slots = (Slot(pool, arguments=arguments),)
    state, half, _ = forms(SMALL(widths=(4,)), IMAGE, slots, "average", IMAGES)
    assert jax.eval_shape(half, state).dtype == jnp.bfloat16


def test_only_boxes_and_integers_keep_their_dtype():
    batch = {"image": IMAGES, "boxes": CORNERS.astype(np.float32), "length": LENGTHS}
    halved = inputs_in_bfloat16(batch)
    assert {name: array.dtype.name for name, array in halved.items()} == {
        "image": "bfloat16",
        "boxes": "float32",
        "length": "int32",
    }
    assert outputs_in_float32(halved)["image"].dtype == jnp.float32


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The same study in both precisions."""
    folder = tmp_path_factory.mktemp("config")
    return {
        precision: tiny_study(folder, f"training.precision={precision}", *CHANGES)
        for precision in ("float32", "bfloat16")
    }


def test_a_step_keeps_its_state_in_float32_and_convolves_in_bfloat16(studies):
    programs = Programs.build(studies["bfloat16"], "max")
    inputs, labels = np.zeros((16, 8, 8, 1), np.float32), np.zeros(16, np.int32)
    state, key = jax.eval_shape(programs.init, 0), jax.random.key(0)
    after, loss = jax.eval_shape(programs.step, state, inputs, labels, key)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), after) == jax.tree.map(
        lambda a: (a.shape, a.dtype), state
    )
    assert jnp.bfloat16 not in {leaf.dtype for leaf in jax.tree.leaves(after)}
    assert loss.dtype == jax.eval_shape(programs.predict, state, inputs).dtype == jnp.float32
    for program, arguments in [
        (programs.step, (state, inputs, labels, key)),
        (programs.predict, (state, inputs)),
    ]:
        operands = products(program, *arguments)
        assert operands
        assert all(types.count("xbf16") == 2 for types in operands)


def test_losses_in_bfloat16_come_near_those_in_float32(studies):
    inputs, labels = np.tile(IMAGES[:, :8, :8, :1], (4, 1, 1, 1)), np.arange(16) % 3
    losses = {}
    for precision, study in studies.items():
        programs = Programs.build(study, "max")
        state, step = programs.init(0), jax.jit(programs.step)
        losses[precision] = []
        for number in range(4):
            state, loss = step(state, inputs, labels, jax.random.key(number))
            losses[precision].append(float(loss))
    assert losses["bfloat16"] != losses["float32"]
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.02)


@pytest.mark.thorough
def test_training_in_bfloat16_comes_near_float32(studies, tmp_path):
    losses = {}
    for precision, study in studies.items():
        one = Trainer(study, "max", Device.of(study.dataset.limited()))
        _, (history,) = one.fit((0,), StudyFolder(tmp_path / precision), lambda seeds, lines: None)
        losses[precision] = [line.train_loss for line in history]
    assert losses["bfloat16"] != losses["float32"]
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.02)


def test_precision_counts_in_fingerprints_and_its_default_is_as_before_it_existed(
    studies, tmp_path
):
    plain = tiny_study(tmp_path, *CHANGES)
    for fingerprint in ("fingerprint", "cost_fingerprint"):
        one, same, other = (
            getattr(study, fingerprint)("max") for study in (plain, *studies.values())
        )
        assert one == same != other
    # As computed before `[training]` had this key.
    assert plain.fingerprint("max").startswith("650d8ccb5b7c6f2c")
    assert plain.cost_fingerprint("max").startswith("87fdef8315318da7")


def test_an_unknown_precision_is_refused_in_one_line(tmp_path):
    with pytest.raises(ConfigError) as error:
        tiny_study(tmp_path, "training.precision=float16")
    assert str(error.value) == (
        "--set: training.precision = \"float16\": not allowed; did you mean 'bfloat16'? known: "
        "float32, bfloat16"
    )
