import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.config import load
from experiments.data import DatasetInfo
from experiments.models import Head, ModelError, Slot
from experiments.models.small_cnn import SmallCNN, SmallCNNOptions
from experiments.models.stage import normalisation
from tests.experiments.tiny import write_tiny

IMAGES = jnp.asarray(np.random.default_rng(1).normal(size=(5, 8, 8, 2)), np.float32)
INFO = DatasetInfo(input_shape=(8, 8, 2), classes=3, train_size=5, test_size=5)
SIGNALS = DatasetInfo(input_shape=(8, 2), classes=3, train_size=5, test_size=5, kind="signal")


def network(*slots, **changes):
    options = {"widths": [4] * len(slots), "convolutions": 1, "kernel": (3, 3), "norm": "batch"}
    return SmallCNN(INFO, slots, Head(), SmallCNNOptions(**{**options, **changes}), nnx.Rngs(0))


def parameters(net):
    return jax.tree.map(lambda leaf: leaf.shape, nnx.to_pure_dict(nnx.state(net, nnx.Param)))


def test_a_network_is_convolution_relu_pooling_global_average_and_head():
    net = network(Slot("max_pool", arguments={"window_shape": 2}), kernel=(1, 1), norm="none")
    stage = net.stages[0].convolutions[0]
    x = np.asarray(IMAGES) @ np.asarray(stage.kernel)[0, 0] + np.asarray(stage.bias)
    x = np.maximum(x, 0).reshape(5, 4, 2, 4, 2, 4).max((2, 4)).mean((1, 2))
    expected = x @ np.asarray(net.classifier.kernel) + np.asarray(net.classifier.bias)
    np.testing.assert_allclose(net(IMAGES), expected, rtol=1e-5, atol=1e-5)


def test_strided_samples_the_convolution_that_none_computes_in_full():
    strided, full = network(Slot("strided", stride=2)), network(Slot("none"))
    whole = full.stages[0].convolutions[0](IMAGES)
    np.testing.assert_allclose(
        strided.stages[0].convolutions[0](IMAGES), whole[:, 1::2, 1::2], rtol=1e-5, atol=1e-5
    )


def test_every_form_of_pooling_has_the_same_parameters():
    slots = [
        Slot("max_pool", arguments={"window_shape": 2}),
        Slot("avg_pool", arguments={"window_shape": 2, "strides": 1}),
        Slot("strided", stride=2),
        Slot("none"),
    ]
    shapes = [parameters(nnx.eval_shape(lambda s=slot: network(s, s))) for slot in slots]
    assert all(shape == shapes[0] for shape in shapes)


def test_a_learned_pooling_adds_its_parameters_to_those_that_all_share():
    plain = nnx.to_flat_state(
        nnx.state(network(*[Slot("max_pool", arguments={"window_shape": 2})] * 2))
    )
    pools = [
        Slot("gated_pool", arguments={"window_shape": 2}),
        Slot("learned_mixed_pool", arguments={"window_shape": 2}),
    ]
    net = network(*pools)
    state = dict(nnx.to_flat_state(nnx.state(net)))
    for path, leaf in plain:
        np.testing.assert_array_equal(state.pop(path)[...], leaf[...])
    assert [leaf.shape for leaf in state.values()] == [(2, 2, 1), ()]
    gradient = nnx.jit(nnx.grad(lambda net: (net(IMAGES, train=True) ** 2).sum()))(net)
    for pool in gradient["pools"].values():
        assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(pool))


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("convolutions", [1, 2])
def test_depth_and_norm_follow_the_options(norm, convolutions):
    options = {"widths": [4, 6], "convolutions": convolutions, "norm": norm}
    net = nnx.eval_shape(lambda: network(Slot("none"), Slot("none"), **options))
    assert nnx.eval_shape(lambda net: net(IMAGES, train=True), net).shape == (5, 3)
    assert [len(stage.convolutions) for stage in net.stages] == [convolutions] * 2
    normed = [norm is not None for stage in net.stages for norm in stage.norms]
    assert normed == [norm != "none"] * 2 * convolutions
    assert net.classifier.kernel.shape == (6, 3)


def test_batch_statistics_move_in_training_only():
    net = network(Slot("none"))
    mean = net.stages[0].norms[0].mean
    before = np.asarray(mean[...])
    net(IMAGES)
    np.testing.assert_array_equal(mean[...], before)
    net(IMAGES, train=True)
    assert np.abs(np.asarray(mean[...]) - before).max() > 0


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="norm must be 'batch', 'layer' or 'none', got 'group'"):
        normalisation("group", 4, nnx.Rngs(0))


def test_the_options_build_the_network_for_the_shapes_of_a_dataset():
    slots = [Slot("max_pool", arguments={"window_shape": 2})]
    options = SmallCNNOptions(name="small_cnn", widths=(4,))
    assert options.stages == 1
    assert options.build(INFO, slots, Head(), nnx.Rngs(0))(IMAGES).shape == (5, 3)
    assert options.build(SIGNALS, slots, Head(), nnx.Rngs(0))(IMAGES[:, 0]).shape == (5, 3)


def test_a_kernel_has_one_size_per_spatial_axis():
    options = SmallCNNOptions(name="small_cnn", widths=(4,), kernel=(3, 5))
    net = options.build(INFO, [Slot("none")], Head(), nnx.Rngs(0))
    assert net.stages[0].convolutions[0].kernel.shape == (3, 5, 2, 4)
    with pytest.raises(
        ModelError, match=r"model\.kernel = \(3, 5\).* one size per spatial axis; there are 1"
    ):
        options.build(SIGNALS, [Slot("none")], Head(), nnx.Rngs(0))


def test_the_head_decides_what_the_classifier_reads(tmp_path):
    for head, features in [("average_and_max", 2 * 4), ("flatten", 4 * 4 * 4)]:
        study = load(write_tiny(tmp_path), [f"model.head={head}"])
        info = study.dataset.describe()
        net = study.model.build(info, study.slots("max"), study.head("max"), nnx.Rngs(0))
        assert net.classifier.kernel.shape == (features, 10)
