import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxpool
from jaxpool import nn

X = jnp.abs(jax.random.normal(jax.random.key(0), (2, 6, 6, 3))) + 0.1
GEOMETRY = {"strides": 2, "padding": 1}
BUILDERS = {
    "gem": lambda channels: nn.LearnedGemPool((3, 3), 2.5, channels=channels, **GEOMETRY),
    "sharp": lambda channels: nn.LearnedLogSumExpPool((3, 3), 0.5, channels=channels, **GEOMETRY),
    "mixed": lambda channels: nn.LearnedMixedPool((3, 3), 0.3, channels=channels, **GEOMETRY),
    "gated": lambda channels: nn.GatedPool((3, 3), channels=channels, rngs=nnx.Rngs(0), **GEOMETRY),
}
OPERATORS = {
    "gem": lambda x, where: jaxpool.gem_pool(x, 3, 2.5, where=where, **GEOMETRY),
    "sharp": lambda x, where: jaxpool.logsumexp_pool(x, 3, 0.5, where=where, **GEOMETRY),
    "mixed": lambda x, where: jaxpool.mixed_pool(x, 3, 0.3, where=where, **GEOMETRY),
}


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("name", OPERATORS)
def test_it_begins_as_the_operator(name, channels):
    pool = BUILDERS[name](channels)
    where = jax.random.bernoulli(jax.random.key(1), 0.7, X.shape)
    for mask in (None, where):
        np.testing.assert_allclose(pool(X, where=mask), OPERATORS[name](X, mask), rtol=1e-5)


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("name", BUILDERS)
def test_parameters_are_learned(name, channels):
    """A few steps of gradient descent halve the distance to another value of the parameters."""
    pool = BUILDERS[name](channels)
    definition, state = nnx.split(pool)
    (leaf,) = jax.tree.leaves(state)
    assert leaf.dtype == jnp.float32
    assert leaf.shape[-1:] == (() if channels is None and leaf.ndim == 0 else (channels or 1,))
    goal = nnx.merge(definition, jax.tree.map(lambda p: p + 0.5, state))(X)
    optimizer = nnx.Optimizer(pool, optax.adam(0.05), wrt=nnx.Param)

    @nnx.jit
    def step(pool, optimizer):
        loss, gradient = nnx.value_and_grad(lambda pool: jnp.mean((pool(X) - goal) ** 2))(pool)
        optimizer.update(pool, gradient)
        return loss

    losses = [float(step(pool, optimizer)) for _ in range(12)]
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", BUILDERS)
def test_the_dtype_follows_the_input(name, dtype):
    pool = BUILDERS[name](3)
    y = pool(X.astype(dtype))
    assert y.dtype == dtype
    gradient = nnx.grad(lambda pool: pool(X.astype(dtype)).sum().astype(jnp.float32))(pool)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("channels", [None, 3])
def test_the_whole_map(channels):
    where = jnp.arange(6)[:, None, None] < 4
    for pool, operator in [
        (nn.LearnedGemPool(None, channels=channels), jaxpool.gem_pool),
        (nn.LearnedLogSumExpPool(None, channels=channels), jaxpool.logsumexp_pool),
        (nn.LearnedMixedPool(None, channels=channels), jaxpool.mixed_pool),
    ]:
        expected = operator(X, 6, where=where)[:, 0, 0]
        np.testing.assert_allclose(pool(X, where=where), expected, rtol=1e-5)
    first = nn.LearnedGemPool(None, axes=(-2, -1))(jnp.moveaxis(X, -1, 0))
    np.testing.assert_allclose(first.T, jaxpool.gem_pool(X, 6)[:, 0, 0], rtol=1e-5)


def test_the_gate_is_a_filter_of_the_window():
    pool = BUILDERS["gated"](3)
    kernel = pool.filter[...][:, :, None, :]
    logits = jax.lax.conv_general_dilated(
        X,
        kernel,
        (2, 2),
        [(1, 1)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=3,
    )
    expected = jaxpool.mixed_pool(X, 3, nnx.sigmoid(logits), **GEOMETRY)
    np.testing.assert_allclose(pool(X), expected, rtol=1e-5)


def test_filters_follow_the_order_of_the_axes():
    filters = jax.random.normal(jax.random.key(1), (3, 2, 1))
    y = jaxpool.gated_pool(X, (3, 2), filters)
    swapped = jaxpool.gated_pool(X, (2, 3), filters.swapaxes(0, 1), axes=(2, 1))
    np.testing.assert_array_equal(y, swapped)
    masked = jaxpool.gated_pool(X.at[:, 0].set(jnp.nan), 2, filters[:2], where=jnp.isfinite(X))
    assert np.all(np.isnan(masked[:, 0]))
    where = (jnp.arange(6) > 0)[:, None, None]
    hidden = jaxpool.gated_pool(X.at[:, 0].set(jnp.nan), 2, filters[:2], where=where)
    np.testing.assert_array_equal(hidden, jaxpool.gated_pool(X, 2, filters[:2], where=where))


def test_bad_arguments():
    with pytest.raises(ValueError, match="p must be finite and greater than 0, got 0"):
        nn.LearnedGemPool(2, 0)
    for alpha in (0, 1, -0.5):
        with pytest.raises(ValueError, match=f"alpha must be .*got {alpha}"):
            nn.LearnedMixedPool(2, alpha)
    with pytest.raises(ValueError, match="channels must be integers of at least 1, got 0"):
        nn.LearnedGemPool(2, channels=0)
    with pytest.raises(ValueError, match="strides must be left out where window_shape=None"):
        nn.LearnedLogSumExpPool(None, strides=2)
    with pytest.raises(ValueError, match=r"p must be .* got shape \(4,\)"):
        nn.LearnedGemPool(2, channels=4)(X)
    with pytest.raises(
        ValueError, match=r"filters must have shape \(2, 2, 1\) or \(2, 2, 3\), got \(2, 2, 4\)"
    ):
        nn.GatedPool((2, 2), channels=4, rngs=nnx.Rngs(0))(X)
    with pytest.raises(ValueError, match=r"filters must have shape .* got \(2, 1\)"):
        nn.GatedPool(2, rngs=nnx.Rngs(0))(X)
    with pytest.raises(TypeError, match="filters must be of a floating dtype, got int32"):
        jaxpool.gated_pool(X, 2, jnp.ones((2, 2, 1), jnp.int32))
