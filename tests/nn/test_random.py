import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxpool
from jaxpool import nn

pytestmark = pytest.mark.usefixtures("compile_quickly")

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 9, 3)), np.float32)
BUILDERS = {
    "stochastic": lambda **options: nn.StochasticPool(2, **options),
    "fractional": lambda **options: nn.FractionalMaxPool(2, 4, **options),
    "fractional, disjoint": lambda **options: nn.FractionalAvgPool(None, 4, **options),
    "fractional, two shapes": lambda **options: nn.FractionalMaxPool((2, 3), [5, 4], **options),
}


@pytest.fixture(params=BUILDERS)
def build(request):
    return BUILDERS[request.param]


def test_draws_in_training_and_none_in_inference(build):
    """Each training call draws new numbers, reproducibly by seed; inference draws none."""
    training = build(rngs=nnx.Rngs(0)), build(rngs=nnx.Rngs(0)), build(rngs=nnx.Rngs(1))
    inference = build(rngs=nnx.Rngs(0)), build(deterministic=True)
    model = nnx.Sequential(inference[0])
    model.eval()
    merged = nnx.merge(*nnx.split(build(rngs=nnx.Rngs(0))))

    @nnx.jit
    def call(training, inference, x):
        draws = [pool(x) for pool in training]
        means = [pool(x) for pool in inference]
        return draws, [*means, inference[0](x), training[0](x, deterministic=True)]

    (first, same, other), (mean, *means) = call(training, inference, X)
    (second, again, _), (later, *_) = call(training, inference, X)
    np.testing.assert_array_equal(first, same)
    np.testing.assert_array_equal(second, again)
    for one, another in [(first, second), (first, other), (first, mean), (second, mean)]:
        assert np.any(one != another)
    for result in (*means, later):
        np.testing.assert_array_equal(result, mean)

    model.train()
    resumed, begun = nnx.jit(lambda model, pool, x: (model(x), pool(x)))(model, merged, X)
    assert np.any(resumed != mean)
    np.testing.assert_array_equal(begun, first)


def test_what_is_drawn():
    """The module calls the operator with the next key of its stream, or with a given key."""
    pool = nn.StochasticPool(2, rngs=nnx.Rngs(0))
    bare, key = nn.StochasticPool(2), jax.random.key(3)
    other = nn.StochasticPool(2, rngs=nnx.Rngs(pooling=5, dropout=6), rng_collection="dropout")
    stream = nnx.Rngs(0)["pooling"].fork()
    first, second = stream(), stream()

    @nnx.jit
    def every(pool, other, x):
        return {
            "first": (pool(x), jaxpool.stochastic_pool(x, 2, key=first)),
            "second": (pool(x), jaxpool.stochastic_pool(x, 2, key=second)),
            "a key": (bare(x, rngs=key), jaxpool.stochastic_pool(x, 2, key=key)),
            "a stream": (bare(x, rngs=nnx.Rngs(5)["default"]), bare(x, rngs=nnx.Rngs(pooling=5))),
            "not the own one": (pool(x, rngs=key), jaxpool.stochastic_pool(x, 2, key=key)),
            "another collection": (
                other(x),
                nn.StochasticPool(2, rngs=nnx.Rngs(6)["default"])(x),
            ),
        }

    for result, expected in every(pool, other, X).values():
        np.testing.assert_array_equal(result, expected)


def test_two_modules_of_one_source_draw_different_numbers():
    rngs = nnx.Rngs(0)
    pools = [nn.StochasticPool(2, rngs=rngs) for _ in range(2)]
    one, other = nnx.jit(lambda pools, x: [pool(x) for pool in pools])(pools, X)
    assert np.any(one != other)


def test_what_inference_computes():
    """The expected value of stochastic pooling; evenly spaced windows of fractional pooling."""
    row = jnp.arange(11.0).reshape(1, 11, 1)
    x = X[:, :, None, :, 0]

    @jax.jit
    def every(row, x):
        def disjoint(*shape, axes):
            return nn.FractionalMaxPool(None, shape, axes=axes, deterministic=True)(x)

        return (
            (nn.StochasticPool(2, deterministic=True)(X), jaxpool.stochastic_pool(X, 2)),
            (nn.FractionalMaxPool(2, 4, deterministic=True)(row)[0, :, 0], [1, 4, 7, 10]),
            (nn.FractionalMaxPool(None, 4, deterministic=True)(row)[0, :, 0], [1, 4, 7, 10]),
            (nn.FractionalAvgPool(None, 4, deterministic=True)(row)[0, :, 0], [0.5, 3, 6, 9]),
            (disjoint(4, 3, axes=(3, 1)), disjoint(3, 4, axes=(1, 3))),
        )

    for result, expected in every(row, x):
        np.testing.assert_array_equal(result, expected)


def test_a_mask_and_half_precision():
    """Masked elements, NaN included, are never drawn; the dtype is that of the input."""
    where = jnp.arange(9)[:, None] % 3 > 0
    spoilt = jnp.where(where, X, jnp.nan).astype(jnp.bfloat16)
    pools = [nn.StochasticPool(3), nn.StochasticPool(3, deterministic=True)]

    @jax.jit
    def every(x, key):
        def total(x):
            values = [pool(x, where=where, rngs=key) for pool in pools]
            return sum(jnp.sum(value) for value in values), values

        return jax.grad(total, has_aux=True)(x)

    gradient, values = every(spoilt, jax.random.key(0))
    for array in (*values, gradient):
        assert array.dtype == jnp.bfloat16
        assert np.all(np.isfinite(np.float32(array)))
    assert not np.any(np.float32(gradient)[:, :, ::3])


def test_in_training_steps_under_transformations():
    """Steps draw new numbers, gradients exist, and images under vmap draw independently."""

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(3, 4, rngs=rngs)
            self.pool = nn.StochasticPool(2, rngs=rngs)

        def __call__(self, x):
            return self.pool(nnx.relu(self.linear(x)))

    net = Net(nnx.Rngs(0))
    state = nnx.state(net)
    assert len(jax.tree.leaves(nnx.state(net, nnx.Param))) == 2
    assert len(jax.tree.leaves(state["pool"])) == 2  # the key and its counter

    @nnx.jit
    def step(net, x):
        return nnx.value_and_grad(lambda net: net(x).sum())(net)

    (first, gradient), (second, _) = step(net, X), step(net, X)
    assert first != second
    assert np.any(gradient["linear"]["kernel"][...] != 0)

    @nnx.jit
    @nnx.split_rngs(splits=2)
    @nnx.vmap(in_axes=(nnx.StateAxes({nnx.RngState: 0, ...: None}), None))
    def each(net, x):
        return net(x)

    one, other = each(net, X)
    assert np.any(one != other)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: nn.StochasticPool(2, rngs=0),
            TypeError,
            r"rngs must be nnx\.Rngs, an nnx\.RngStream or None, got 0",
        ),
        (
            lambda: nn.StochasticPool(2, rngs=nnx.Rngs(params=0)),
            ValueError,
            r"rngs must have a stream 'pooling' or 'default', got only \['params'\]",
        ),
        (
            lambda: nn.StochasticPool(2)(X, rngs=nnx.Rngs(params=0)),
            ValueError,
            "rngs must have a stream 'pooling' or 'default'",
        ),
        (
            lambda: nn.StochasticPool(2, rng_collection=1),
            TypeError,
            "rng_collection must be a str, got 1",
        ),
        (
            lambda: nn.StochasticPool(2, deterministic="no"),
            TypeError,
            "deterministic must be a bool or None, got 'no'",
        ),
        (lambda: nn.StochasticPool(2)(X), ValueError, "draws random numbers unless deterministic"),
        (
            lambda: nn.StochasticPool(2, deterministic=None)(X),
            ValueError,
            "needs deterministic= in its constructor or its call",
        ),
        (lambda: nn.StochasticPool(2, key=jax.random.key(0)), TypeError, "key"),
        (lambda: nn.FractionalMaxPool(2, 4, samples=0.5), TypeError, "samples"),
        (
            lambda: nn.StochasticPool(2)(X, rngs=jnp.ones(3)),
            TypeError,
            r"rngs must be one key, .* got float32\[3\]",
        ),
        (
            lambda: nn.FractionalMaxPool(None, (4, 4, 4), deterministic=True)(X[0]),
            ValueError,
            "x must have at least 4 axes for output_shape of 3 entries, got 3 axes",
        ),
        (
            lambda: nn.FractionalMaxPool(None, 0, deterministic=True)(X),
            ValueError,
            "output_shape must be integers of at least 1, got 0",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()
