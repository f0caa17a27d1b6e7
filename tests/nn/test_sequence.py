import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

import jaxpool
from jaxpool import nn
from tests import differences

pytestmark = pytest.mark.usefixtures("compile_quickly")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 6, 3)).astype(np.float32)
LENGTHS = jnp.array([6, 1, 3, 0, 2])
WHERE = nn.mask_from_lengths(LENGTHS, 6)
GAPS = np.array([[0, 1, 0, 1, 1, 0], [1] * 6, [0] * 6, [0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]])
GAPS = GAPS.astype(bool)[..., None]
KINDS = ["first", "last", "mean", "max", "sum", "attention"]


def build(kind, features=3, hidden=4):
    if kind != "attention":
        return nn.SequencePool(kind)
    pool = nn.SequenceAttentionPool(features, hidden, rngs=nnx.Rngs(0))
    pool.hidden.bias[...] += jnp.linspace(-1, 1, hidden, dtype=jnp.float32)
    return pool


def judge(pool, tokens):
    """The definition for the unmasked tokens of one sequence."""
    if isinstance(pool, nn.SequenceAttentionPool):
        kernel, bias = np.float64(pool.hidden.kernel[...]), np.float64(pool.hidden.bias[...])
        score = np.float64(pool.score.kernel[...])[:, 0]
        weights = np.array([np.exp(np.tanh(token @ kernel + bias) @ score) for token in tokens])
        return sum(w * token for w, token in zip(weights / weights.sum(), tokens, strict=True))
    if not len(tokens):
        return np.full(3, -np.inf if pool.kind == "max" else 0)
    return {
        "first": lambda: tokens[0],
        "last": lambda: tokens[-1],
        "mean": lambda: sum(tokens) / len(tokens),
        "max": lambda: np.max(tokens, 0),
        "sum": lambda: sum(tokens),
    }[pool.kind]()


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_masks(kind):
    """Agrees with the definition for padding anywhere; masked tokens affect no gradient."""
    pool = build(kind)
    masks = [np.ones((1, 6, 1), bool), np.array(WHERE), GAPS]

    def loss(x, where):
        y = pool(x, where=where)
        weighted = jnp.cos(jnp.arange(y.size)).reshape(y.shape) * jnp.where(jnp.isinf(y), 0, y)
        return jnp.sum(weighted), y

    @jax.jit
    def every(x, spoilt):
        gradient = jax.value_and_grad(loss, has_aux=True)
        pairs = zip(masks, spoilt, strict=True)
        return pool(x), [(gradient(x, where), gradient(nans, where)) for where, nans in pairs]

    plain, results = every(X, [np.where(where, X, np.nan) for where in masks])
    for where, (clean, hidden) in zip(masks, results, strict=True):
        where = np.broadcast_to(where, (5, 6, 1))[..., 0]
        expected = [judge(pool, np.float64(x[there])) for x, there in zip(X, where, strict=True)]
        expected = [np.broadcast_to(row, 3) for row in expected]  # an empty sum is a scalar 0
        np.testing.assert_allclose(clean[0][1], expected, rtol=1e-5, atol=1e-6)
        jax.tree.map(np.testing.assert_array_equal, clean, hidden)
        assert np.all(np.isfinite(clean[1]))
        assert not np.any(clean[1][~where])
    np.testing.assert_allclose(plain, results[0][0][0][1], rtol=1e-6, atol=1e-6)


def test_derivatives_of_the_attention():
    with jax.enable_x64(True):
        definition, state = nnx.split(build("attention", 2, 2))
        vector, unravel = ravel_pytree(jax.tree.map(np.float64, state))

        def function(x, vector):
            return nnx.merge(definition, unravel(vector))(x, where=GAPS[:1])

        x = np.random.default_rng(1).normal(size=(1, 6, 2))
        differences.check(function, jnp.asarray(x), vector)


def test_dtypes():
    """The result has the dtype of the input; attention requires a floating dtype."""
    pools = [build(kind) for kind in KINDS]

    @jax.jit
    def every(x, whole, flags):
        half, wide = x.astype(jnp.bfloat16), x.astype(jnp.bfloat16).astype(jnp.float32)
        return (
            [(pool(half, where=WHERE), pool(wide, where=WHERE)) for pool in pools],
            [pool(whole, where=WHERE) for pool in pools if pool not in (pools[2], pools[-1])],
            [pool(flags, where=WHERE) for pool in pools[:2]],
        )

    floats, integers, booleans = every(X, np.arange(90).reshape(5, 6, 3), X > 0)
    for half, wide in floats:
        assert half.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.float32(half), wide, rtol=0.01, atol=0.01)
    assert {y.dtype for y in integers} == {np.dtype(np.int32)}
    assert {y.dtype for y in booleans} == {np.dtype(bool)}
    with jax.enable_x64(True):
        x = np.float64(X)
        y = jax.jit(lambda x: pools[-1](x))(x)
        np.testing.assert_allclose(y, [judge(pools[-1], row) for row in x], rtol=1e-12)


def test_any_batch_and_vmap():
    pools = [build(kind) for kind in KINDS]

    @jax.jit
    def every(x, where):
        def one(x, where):
            return [pool(x, where=where) for pool in pools]

        return one(x, where), jax.vmap(one)(x, where), one(x[:, None], where[:, None])

    whole, alone, deep = every(X, WHERE)
    for y, mapped, more in zip(whole, alone, deep, strict=True):
        np.testing.assert_allclose(y, mapped, rtol=1e-5)
        np.testing.assert_allclose(y, more[:, 0], rtol=1e-5)


def test_state_counts():
    for kind in KINDS[:-1]:
        assert not jax.tree.leaves(nnx.state(build(kind)))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(build("attention")))) == 12 + 4 + 5


def test_the_mask():
    expected = [[True] * n + [False] * (6 - n) for n in (6, 1, 3, 0, 2)]
    np.testing.assert_array_equal(WHERE[..., 0], expected)
    assert nn.mask_from_lengths(jnp.zeros((2, 3), jnp.int32), 4).shape == (2, 3, 4, 1)
    assert nn.mask_from_lengths(np.uint8(2), 4)[:, 0].tolist() == [True, True, False, False]
    traced = jax.jit(nn.mask_from_lengths, static_argnums=1)(LENGTHS, 6)
    np.testing.assert_array_equal(traced, WHERE)


def test_the_mask_serves_every_operator():
    largest, mean = jax.jit(
        lambda x: (jaxpool.global_max_pool(x, where=WHERE), jaxpool.avg_pool(x, 2, where=WHERE))
    )(X)
    np.testing.assert_array_equal(largest[1], X[1, 0])
    np.testing.assert_allclose(mean[1, 0], X[1, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: nn.mask_from_lengths(jnp.array([1.5]), 4),
            TypeError,
            "lengths must be of an integer dtype, got float32",
        ),
        (lambda: nn.mask_from_lengths([1, 2], 4), TypeError, "lengths must be an array, got list"),
        (
            lambda: nn.mask_from_lengths(jnp.array([5]), 4),
            ValueError,
            r"lengths must lie in \[0, max_length=4\], got \[5\]",
        ),
        (
            lambda: nn.mask_from_lengths(jnp.array([-1]), 4),
            ValueError,
            r"lengths must lie in .* got \[-1\]",
        ),
        (lambda: nn.mask_from_lengths(LENGTHS, 0), ValueError, "max_length .* at least 1, got 0"),
        (lambda: nn.mask_from_lengths(LENGTHS, 2.0), TypeError, "max_length must be an int, got"),
        (lambda: nn.SequencePool("median"), ValueError, r"kind must be one of .* got 'median'"),
        (
            lambda: nn.SequencePool("mean")(X[0, 0]),
            ValueError,
            r"x must have at least the axes \(tokens, features\), got shape \(3,\)",
        ),
        (
            lambda: nn.SequencePool("first")(X[:, :0]),
            ValueError,
            r"x must have at least one element to pool, got shape \(5, 0, 3\)",
        ),
        (
            lambda: nn.SequencePool("last")(X, where=X > 0),
            ValueError,
            r"where must have size 1 along the last axis, .* got shape \(5, 6, 3\)",
        ),
        (
            lambda: nn.SequencePool("mean")(X, where=np.ones((5, 7, 1), bool)),
            ValueError,
            r"where of shape \(5, 7, 1\) does not broadcast",
        ),
        (
            lambda: nn.SequenceAttentionPool(0, rngs=nnx.Rngs(0)),
            ValueError,
            "features must be at least 1, got 0",
        ),
        (
            lambda: nn.SequenceAttentionPool(3, 0, rngs=nnx.Rngs(0)),
            ValueError,
            "hidden_features must be at least 1, got 0",
        ),
        (lambda: nn.SequenceAttentionPool(3, rngs=0), TypeError, "rngs must be .* got 0"),
        (
            lambda: build("attention")(X[..., 1:]),
            ValueError,
            r"x must have 3 features, got shape \(5, 6, 2\)",
        ),
        (lambda: build("attention")(X > 0), TypeError, "x must be of a floating dtype, got bool"),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()
