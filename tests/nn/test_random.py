import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxpool
from jaxpool import nn

X = jax.random.normal(jax.random.key(0), (2, 9, 9, 3))
BUILDERS = {
    "stochastic": lambda **options: nn.StochasticPool(2, **options),
    "fractional": lambda **options: nn.FractionalMaxPool(2, 4, **options),
    "fractional, disjoint": lambda **options: nn.FractionalAvgPool(None, 4, **options),
    "fractional, two shapes": lambda **options: nn.FractionalMaxPool((2, 3), [5, 4], **options),
}


@pytest.fixture(params=BUILDERS)
def build(request):
    return BUILDERS[request.param]


def test_each_training_call_draws_anew(build):
    pool = build(rngs=nnx.Rngs(0))
    first, second = pool(X), pool(X)
    assert np.any(first != second)
    again = build(rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(again(X), first)
    np.testing.assert_array_equal(again(X), second)
    assert np.any(build(rngs=nnx.Rngs(1))(X) != first)


def test_two_modules_of_one_source_draw_different_numbers():
    rngs = nnx.Rngs(0)
    one, other = (nn.StochasticPool(2, rngs=rngs) for _ in range(2))
    assert np.any(one(X) != other(X))


def test_inference_draws_nothing(build):
    pool = build(rngs=nnx.Rngs(0))
    model = nnx.Sequential(pool)
    model.eval()
    expected = pool(X)
    np.testing.assert_array_equal(pool(X), expected)
    np.testing.assert_array_equal(build(deterministic=True)(X), expected)
    np.testing.assert_array_equal(pool(X, deterministic=True), expected)
    assert np.any(pool(X, deterministic=False) != expected)
    model.train()
    assert np.any(pool(X) != expected)


def test_what_inference_computes():
    np.testing.assert_array_equal(
        nn.StochasticPool(2, deterministic=True)(X), jaxpool.stochastic_pool(X, 2)
    )
    row = jnp.arange(10.0).reshape(1, 10, 1)
    even = nn.FractionalMaxPool(None, 4, deterministic=True)(row)
    np.testing.assert_array_equal(even[0, :, 0], [1, 4, 6, 9])
    first = nn.FractionalMaxPool(None, (4, 3), axes=(3, 1), deterministic=True)(X[:, :, None, :, 0])
    swapped = nn.FractionalMaxPool(None, (3, 4), axes=(1, 3), deterministic=True)(
        X[:, :, None, :, 0]
    )
    np.testing.assert_array_equal(first, swapped)


def test_sources_of_randomness():
    key = jax.random.key(3)
    pool = nn.StochasticPool(2)
    expected = jaxpool.stochastic_pool(X, 2, key=key)
    np.testing.assert_array_equal(pool(X, rngs=key), expected)
    stream = nnx.Rngs(pooling=5)
    np.testing.assert_array_equal(
        pool(X, rngs=stream["pooling"]), pool(X, rngs=nnx.Rngs(pooling=5))
    )
    other = nn.StochasticPool(2, rngs=nnx.Rngs(pooling=5, dropout=6), rng_collection="dropout")
    same = nn.StochasticPool(2, rngs=nnx.Rngs(6)["default"])
    np.testing.assert_array_equal(other(X), same(X))


def test_in_training_steps_under_jit():
    """The stream's counter goes on from step to step, and gradients flow."""

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
            self.pool = nn.StochasticPool(2, rngs=rngs)

        def __call__(self, x):
            return self.pool(nnx.relu(self.conv(x)))

    net = Net(nnx.Rngs(0))

    @nnx.jit
    def step(net, x):
        return nnx.value_and_grad(lambda net: net(x).sum())(net)

    (first, gradient), (second, _) = step(net, X), step(net, X)
    assert first != second
    assert np.any(gradient["conv"]["kernel"][...] != 0)


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"rngs must be nnx\.Rngs, .* or None, got 0"):
        nn.StochasticPool(2, rngs=0)
    with pytest.raises(ValueError, match="draws random numbers unless deterministic=True"):
        nn.StochasticPool(2)(X)
    with pytest.raises(ValueError, match="needs deterministic= in its constructor or its call"):
        nn.StochasticPool(2, deterministic=None)(X)
    with pytest.raises(TypeError, match="key"):
        nn.StochasticPool(2, key=jax.random.key(0))
    with pytest.raises(TypeError, match="key must be one key"):
        nn.StochasticPool(2)(X, rngs=jnp.ones(3))
