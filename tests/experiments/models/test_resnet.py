import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pydantic import ValidationError

from experiments.data.dataset import DatasetInfo
from experiments.models import Head, Slot, SlotError
from experiments.models.resnet import ResNetOptions

INFO = DatasetInfo(input_shape=(12, 9, 3), classes=10, train_size=9, test_size=9)
IMAGES = jnp.asarray(np.random.default_rng(1).normal(size=(3, 12, 9, 3)), np.float32)
STRIDED, NONE = Slot("strided", stride=2), Slot("none")
BLUR = Slot("max_blur_pool", arguments={"window_shape": 2, "strides": 2, "padding": "SAME"})


def options(**given):
    return ResNetOptions(name="resnet", **{"depth": 8, "widths": (2, 3, 4), **given})


def network(slot, info=INFO, **given):
    chosen = options(**given)
    return chosen.build(info, [slot] * chosen.stages, Head(), nnx.Rngs(0))


def block(*given, **options):
    """The first block that changes the resolution, with random weights."""
    net = nnx.eval_shape(lambda: network(*given, **options))
    structure, state = nnx.split(net.blocks[1])
    random = np.random.default_rng(0)
    draw = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), leaf.dtype), state)
    return nnx.merge(structure, draw)


@nnx.jit
def trained(block, x):
    return block(x, True, None, None)


def count(*given, **options):
    """The number of parameters of a network."""
    net = nnx.eval_shape(lambda: network(*given, **options))
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))


def sizes(*given, **options):
    """The spatial shape that each block and the head read, by tracing a step of training."""
    seen = []

    def watch(layer):
        original = layer.__call__

        def call(self, x, *rest):
            seen.append(x.shape[1:-1])
            return original(self, x, *rest)

        return call

    def train(x):
        net = network(*given, **options)
        for layer in {type(net.blocks[0]), type(net.head)}:
            patch.setattr(layer, "__call__", watch(layer))
        return net(x, train=True, key=jax.random.key(0))

    with pytest.MonkeyPatch.context() as patch:
        assert jax.eval_shape(train, IMAGES).shape == (3, 10)
    return seen


def by_lax(x, kernel, stride=1):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_the_published_depths_have_the_published_sizes(depth, millions):
    published = {"depth": depth, "widths": (16, 32, 64), "shortcut": "identity"}
    assert count(STRIDED, **published) / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("activation", ["post", "pre"])
@pytest.mark.parametrize("shortcut", ["projection", "identity"])
def test_a_slot_changes_the_resolution_of_both_paths(activation, shortcut):
    given = {"activation": activation, "shortcut": shortcut}
    for slot in (STRIDED, BLUR):
        assert sizes(slot, **given) == [(12, 9), (12, 9), (6, 5), (3, 3)]
        assert count(slot, **given) == count(NONE, **given)
    assert sizes(NONE, **given) == [(12, 9)] * 4


@pytest.mark.parametrize("activation", ["post", "pre"])
def test_the_stem_has_a_slot_if_asked_for(activation):
    assert (options().stages, options(stem=True).stages) == (2, 3)
    for slot in (STRIDED, BLUR):
        found = sizes(slot, stem=True, activation=activation)
        assert found == [(6, 5), (6, 5), (3, 3), (2, 2)]


def normalised(x, norm):
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(var + norm.epsilon) * norm.scale[...] + norm.bias[...]


def test_a_strided_block_is_the_published_one():
    one = block(STRIDED)
    x = jax.nn.relu(jax.random.normal(jax.random.key(2), (3, 8, 8, 2)))
    y = jax.nn.relu(normalised(by_lax(x, one.first.kernel[...], 2), one.norms[0]))
    y = normalised(by_lax(y, one.second.kernel[...]), one.norms[1])
    # The shortcut reads the pixels on which the strided convolution is centred.
    projected = by_lax(x[:, 1::2, 1::2], one.projection.kernel[...])
    expected = jax.nn.relu(y + normalised(projected, one.projection_norm))
    np.testing.assert_allclose(trained(one, x), expected, rtol=1e-4, atol=1e-3)


def test_a_pooled_block_with_activations_first_and_zeros_for_channels():
    pool = Slot("avg_pool", arguments={"window_shape": 2})
    one = block(pool, activation="pre", shortcut="identity")
    x = jax.random.normal(jax.random.key(2), (3, 8, 8, 2))
    active = jax.nn.relu(normalised(x, one.norms[0]))
    y = pool(jax.nn.relu(normalised(by_lax(active, one.first.kernel[...]), one.norms[1])))
    shortcut = jnp.concatenate([pool(active), jnp.zeros((3, 4, 4, 1))], -1)
    expected = by_lax(y, one.second.kernel[...]) + shortcut
    np.testing.assert_allclose(trained(one, x), expected, rtol=1e-4, atol=1e-3)


def test_a_learned_pooling_is_shared_by_both_paths():
    gem = Slot("learned_gem_pool", arguments={"window_shape": 2, "strides": 2, "padding": "SAME"})
    assert count(gem) == count(NONE) + 2
    assert sizes(gem) == sizes(STRIDED)


def test_signals_are_read_too():
    signals = DatasetInfo(input_shape=(16, 2), classes=3, train_size=9, test_size=9, kind="signal")
    slot = Slot("max_pool", arguments={"window_shape": 2})
    y = jax.eval_shape(lambda x: network(slot, signals)(x), jnp.ones((2, 16, 2)))
    assert y.shape == (2, 3)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"depth": 10}, "must be 6 n \\+ 2 for 3 widths: 8, 14, 20 ..."),
        ({"depth": 2}, "must be 6 n \\+ 2"),
        ({"widths": (4,)}, "at least two"),
        ({"widths": (4, 3, 2), "shortcut": "identity"}, "must not decrease"),
    ],
)
def test_invalid_depths_and_options_are_refused(given, complaint):
    with pytest.raises(ValidationError, match=complaint):
        options(**given)


def test_a_pooling_that_does_not_fit_is_named():
    place = "variants.x"
    with pytest.raises(SlotError, match=r"^variants\.x: max_pool.* feature map of 12x9x3"):
        nnx.eval_shape(
            lambda: network(Slot("max_pool", arguments={"window_shape": 10}, place=place))
        )
