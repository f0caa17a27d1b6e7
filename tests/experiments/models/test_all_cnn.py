import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.data import cifar10
from experiments.data.dataset import DatasetInfo
from experiments.models import Head, ModelError, Slot
from experiments.models.all_cnn import AllCNNOptions

INFO = DatasetInfo(input_shape=(12, 12, 3), classes=10, train_size=9, test_size=9)
IMAGES = jnp.asarray(np.random.default_rng(1).normal(size=(4, 12, 12, 3)), np.float32)
MAX = {"window_shape": 3, "strides": 2, "padding": "SAME"}
PUBLISHED = {
    "base": Slot("max_pool", arguments=MAX),
    "strided": Slot("strided", stride=2),
    "conv_pool": Slot("max_pool", arguments=MAX, extra_convolutions=1),
    "all_conv": Slot("strided", stride=2, extra_convolutions=1),
}


def network(slot, info=INFO, head="average", **options):
    options = AllCNNOptions(name="all_cnn", **{"widths": (4, 6), **options})
    return options.build(info, [slot] * options.stages, Head(head), nnx.Rngs(0))


def drawn(build):
    """A network with random weights."""
    structure, state = nnx.split(nnx.eval_shape(build))
    random = np.random.default_rng(0)
    draw = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), leaf.dtype), state)
    return nnx.merge(structure, draw)


def kernels(net):
    layers = [c for stage in net.stages for c in stage.convolutions] + list(net.last)
    return [tuple(layer.kernel.shape) for layer in layers]


@pytest.mark.parametrize(
    ("form", "each"), [("base", 2), ("strided", 2), ("conv_pool", 3), ("all_conv", 3)]
)
def test_the_four_published_forms_have_the_published_layers(form, each):
    def build():
        options = AllCNNOptions(name="all_cnn")
        return options.build(cifar10.INFO, [PUBLISHED[form]] * 2, Head(), nnx.Rngs(0))

    net = nnx.eval_shape(build)
    expected = [(3, 3, 3, 96), *[(3, 3, 96, 96)] * (each - 1), (3, 3, 96, 192)]
    expected += [*[(3, 3, 192, 192)] * (each - 1), (3, 3, 192, 192), (1, 1, 192, 192)]
    assert kernels(net) == expected
    assert net.classifier.kernel.shape == (192, 10)
    strides = [[c.stride[0] for c in stage.convolutions] for stage in net.stages]
    assert strides == [[1] * (each - 1) + [2 if PUBLISHED[form].pool == "strided" else 1]] * 2


def test_the_published_sizes_of_parameters():
    def size(form):
        def build():
            options = AllCNNOptions(name="all_cnn")
            return options.build(cifar10.INFO, [PUBLISHED[form]] * 2, Head(), nnx.Rngs(0))

        parameters = nnx.state(nnx.eval_shape(build), nnx.Param)
        return sum(leaf.size for leaf in jax.tree.leaves(parameters))

    # "approximately 0.9 M" and "1.3 to 1.4 M", section 3.2 of the paper.
    assert size("base") == size("strided") == pytest.approx(0.95e6, rel=0.05)
    assert size("conv_pool") == size("all_conv") == pytest.approx(1.37e6, rel=0.05)


def test_evaluation_drops_nothing_and_training_draws_by_its_key():
    net = drawn(lambda: network(Slot("strided", stride=2), widths=(4,), convolutions=1))
    structure, state = nnx.split(net)

    @jax.jit
    def call(key):
        net = nnx.merge(structure, state)
        return net(IMAGES), net(IMAGES, train=True), net(IMAGES, train=True, key=key)

    evaluated, kept, one = call(jax.random.key(0))
    np.testing.assert_array_equal(evaluated, kept)
    np.testing.assert_array_equal(one, call(jax.random.key(0))[2])
    assert np.abs(one - call(jax.random.key(1))[2]).max() > 0


def test_its_end_is_a_convolution_to_classes_and_the_average_of_its_inner_positions():
    net = drawn(lambda: network(Slot("none"), widths=(4,), convolutions=1))
    x = jax.nn.relu(net.stages[0].convolutions[0](IMAGES))
    x = jax.lax.conv_general_dilated(
        x, net.last[0].kernel[...], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = jax.nn.relu(x + net.last[0].bias[...])
    x = jax.nn.relu(x @ net.last[1].kernel[0, 0] + net.last[1].bias[...])
    by_class = x @ net.classifier.kernel[...] + net.classifier.bias[...]
    assert by_class.shape == (4, 10, 10, 10)
    np.testing.assert_allclose(net(IMAGES), by_class.mean((1, 2)), rtol=1e-4, atol=1e-3)


def test_signals_norms_and_other_heads():
    signals = DatasetInfo(input_shape=(20, 2), classes=3, train_size=9, test_size=9, kind="signal")

    def build():
        return network(PUBLISHED["base"], info=signals, head="average_and_max", norm="batch")

    net = nnx.eval_shape(build)
    assert net.classifier.kernel.shape == (12, 3)
    assert all(convolution.bias is None for convolution in net.last)
    y = jax.eval_shape(lambda x: build()(x, train=True), jnp.ones((2, 20, 2)))
    assert y.shape == (2, 3)


def test_too_small_a_feature_map_is_said_before_anything_is_computed():
    slot = Slot("max_pool", arguments={"window_shape": 3, "strides": 2}, place="variants.x")
    with pytest.raises(ModelError, match=r"variants\.x: leaves a feature map of 2x2.* 3 positions"):
        nnx.eval_shape(lambda: network(slot))
