import inspect
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxpool
from jaxpool import nn
from jaxpool.nn.random import RandomPool
from tests.operators import OPERATORS

pytestmark = pytest.mark.usefixtures("compile_quickly")

MODULES = {
    cls._operator: cls
    for cls in vars(nn).values()
    if isinstance(cls, type) and issubclass(cls, nn.Pool) and cls is not nn.Pool
}
ROWS = [row for row in OPERATORS if row.function in MODULES and row.is_plain]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_module_is_its_operator_with_the_arguments_filled_in(row):
    x = row.smooth(np.random.default_rng(0), row.shape)
    mask = {name: value for name, value in row.options.items() if name == "where"}
    options = {name: value for name, value in row.options.items() if name != "where"}
    if issubclass(MODULES[row.function], RandomPool):
        options["deterministic"] = True
    module = MODULES[row.function](*row.args, **options)
    result, expected = jax.jit(
        lambda x: (module(x, **mask), row.function(x, *row.args, **row.options))
    )(x)
    jax.tree.map(np.testing.assert_array_equal, result, expected)
    assert not jax.tree.leaves(nnx.state(module))


def test_every_operator_has_a_module():
    without = {
        jaxpool.gated_pool,  # its filters are learned: nn.GatedPool
        jaxpool.reduce_window,  # in the signature of jax.lax
        jaxpool.fractional_max_pool_with_argmax,  # not needed in a model: see MaxPoolWithArgmax
    }
    operators = {getattr(jaxpool, name) for name in jaxpool.pooling.__all__}
    assert operators - without == set(MODULES)


@pytest.mark.parametrize("cls", MODULES.values(), ids=lambda cls: cls.__name__)
def test_modules_are_public_and_show_the_arguments_of_their_operator(cls):
    assert cls.__name__ in nn.__all__
    expected = list(inspect.signature(cls._operator).parameters.values())
    shown = list(inspect.signature(cls).parameters.values())
    if issubclass(cls, RandomPool):
        assert [p.name for p in shown[-3:]] == ["deterministic", "rng_collection", "rngs"]
        shown, expected = shown[:-3], [p for p in expected if p.name not in cls.withheld]
    assert shown == expected[cls._arrays :]


def test_several_arrays():
    x = jnp.arange(32.0).reshape(1, 4, 4, 2)
    values, indices = nn.MaxPoolWithArgmax(2)(x)
    np.testing.assert_array_equal(
        nn.MaxUnpool((4, 4))(values, indices), jaxpool.max_unpool(values, indices, (4, 4))
    )
    boxes = jnp.array([[0.0, 0.0, 3.0, 3.0]])
    aligned = nn.RoiAlign(2, sampling_ratio=2)(x, boxes, batch_indices=jnp.array([0]))
    expected = jaxpool.roi_align(x, boxes, 2, sampling_ratio=2, batch_indices=jnp.array([0]))
    np.testing.assert_array_equal(aligned, expected)


def test_an_array_is_not_an_argument_of_a_module():
    with pytest.raises(TypeError, match=r"temperature must not be an array of shape \(2,\) here"):
        nn.LogSumExpPool(2, temperature=jnp.ones(2))
    x = jnp.arange(8.0).reshape(1, 4, 2)
    np.testing.assert_array_equal(
        nn.LogSumExpPool(2)(x, temperature=jnp.ones(2)), jaxpool.logsumexp_pool(x, 2, jnp.ones(2))
    )


def test_a_mask_is_given_with_the_array():
    x = jnp.arange(6.0).reshape(1, 6, 1)
    where = x != 5
    assert nn.MaxPool(3)(x, where=where).tolist() == [[[2], [4]]]
    assert nn.GlobalAvgPool()(x, where=where).tolist() == [[2]]


class Net(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.pool = nn.MaxPool([3, 3], strides=[2, 2], padding=[1, (0, 1)])
        self.head = nnx.Sequential(nn.AvgPool(2), nn.GlobalMaxPool())

    def __call__(self, x):
        return self.head(self.pool(nnx.relu(self.conv(x))))


def test_in_a_model_under_the_transformations_of_nnx():
    x = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype(np.float32)
    net = Net(nnx.Rngs(0))
    y = nnx.jit(Net.__call__)(net, x)
    assert y.shape == (2, 4)
    np.testing.assert_allclose(y, net(x), rtol=1e-6)
    gradient = nnx.jit(nnx.grad(lambda net, x: net(x).sum()))(net, x)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
    definition, state = nnx.split(net)
    assert len(jax.tree.leaves(state)) == 2  # of the convolution; pooling has none
    np.testing.assert_array_equal(nnx.merge(definition, state)(x), net(x))


def test_modules_built_alike_compile_once():
    traces = []

    @nnx.jit
    def apply(module, x):
        traces.append(module)
        return module(x)

    x = jnp.ones((1, 6, 1))
    for module in (nn.MaxPool(2), nn.MaxPool(window_shape=2), nn.MaxPool(2)):
        apply(module, x)
    assert len(traces) == 1
    apply(nn.MaxPool(3), x)
    assert len(traces) == 2


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="window_shape"):
        nn.MaxPool()
    with pytest.raises(TypeError, match="stride"):
        nn.MaxPool(2, stride=2)
    with pytest.raises(ValueError, match=r"window_shape must be .* got 0"):
        nn.MaxPool(0)(jnp.ones((1, 6, 1)))
    with pytest.raises(TypeError, match="where"):
        nn.MaxPool(2)(jnp.ones((1, 6, 1)), where=jnp.ones((1, 6, 1)))


def test_the_library_does_not_need_flax():
    """`jaxpool` and `jaxpool.compat.flax` import without Flax; `jaxpool.nn` does not."""
    script = (
        "import sys; sys.modules['flax'] = None; import jaxpool, jaxpool.compat.flax as f; "
        "import jax.numpy as jnp; print(f.max_pool(jnp.ones((1, 4, 1)), (2,)).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(1, 3, 1)"
