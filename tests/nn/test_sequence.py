import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxpool
from jaxpool import nn

X = jax.random.normal(jax.random.key(0), (4, 5, 3))
LENGTHS = jnp.array([5, 1, 3, 0])
WHERE = nn.mask_from_lengths(LENGTHS, 5)


def test_the_mask():
    expected = [[True] * n + [False] * (5 - n) for n in (5, 1, 3, 0)]
    np.testing.assert_array_equal(WHERE[..., 0], expected)
    assert nn.mask_from_lengths(jnp.zeros((2, 3), jnp.int32), 4).shape == (2, 3, 4, 1)
    traced = jax.jit(nn.mask_from_lengths, static_argnums=1)(LENGTHS, 5)
    np.testing.assert_array_equal(traced, WHERE)


@pytest.mark.parametrize("kind", ["first", "last", "mean", "max", "sum"])
def test_each_sequence_as_if_it_were_alone(kind):
    pool = nn.SequencePool(kind)
    y = pool(X, where=WHERE)
    for row, sequence, length in zip(y[:3], X, LENGTHS, strict=False):
        np.testing.assert_allclose(row, pool(sequence[:length]), rtol=1e-6)
    empty = -np.inf if kind == "max" else 0
    np.testing.assert_array_equal(y[3], np.full(3, empty))


def test_what_the_kinds_are():
    sequence = np.asarray(X)
    for kind, expected in {
        "first": sequence[:, 0],
        "last": sequence[:, -1],
        "mean": sequence.mean(1),
        "max": sequence.max(1),
        "sum": sequence.sum(1),
    }.items():
        np.testing.assert_allclose(nn.SequencePool(kind)(X), expected, rtol=1e-5, atol=1e-6)


def test_padding_on_the_left():
    where = jnp.array([False, True, True, True, False])[:, None]
    np.testing.assert_array_equal(nn.SequencePool("first")(X, where=where), X[:, 1])
    np.testing.assert_array_equal(nn.SequencePool("last")(X, where=where), X[:, 3])


@pytest.mark.parametrize("kind", ["first", "last", "attention"])
def test_masked_tokens_may_be_anything(kind):
    pool = nn.SequencePool(kind) if kind != "attention" else attention()
    spoilt = jnp.where(WHERE, X, jnp.nan)
    np.testing.assert_array_equal(pool(spoilt, where=WHERE), pool(X, where=WHERE))
    gradient = jax.grad(lambda x: pool(x, where=WHERE).sum())(spoilt)
    np.testing.assert_array_equal(gradient[3], 0)
    assert np.all(np.isfinite(gradient))


def attention(**options):
    return nn.SequenceAttentionPool(3, 7, rngs=nnx.Rngs(0), **options)


def test_attention_is_a_mean_weighted_by_scores():
    pool = attention()
    hidden = np.tanh(X @ pool.hidden.kernel[...] + pool.hidden.bias[...])
    scores = np.exp(hidden @ pool.score.kernel[...] + pool.score.bias[...])
    np.testing.assert_allclose(pool(X), (scores * X).sum(1) / scores.sum(1), rtol=1e-5, atol=1e-6)
    for row, sequence, length in zip(pool(X, where=WHERE)[:3], X, LENGTHS, strict=False):
        np.testing.assert_allclose(row, pool(sequence[:length]), rtol=1e-5, atol=1e-6)
    half = pool(X.astype(jnp.bfloat16), where=WHERE)
    assert half.dtype == jnp.bfloat16
    assert not np.any(half[3])


def test_the_mask_serves_every_operator():
    y = jaxpool.avg_pool(X, 2, where=WHERE)
    np.testing.assert_allclose(y[1, 0], X[1, 0], rtol=1e-6)
    np.testing.assert_array_equal(jaxpool.global_max_pool(X, where=WHERE)[1], X[1, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((jnp.array([1.5]), 4), "lengths must be of an integer dtype, got float32"),
        (([1, 2], 4), "lengths must be an array, got list"),
        ((jnp.array([5]), 4), r"lengths must lie in \[0, max_length=4\], got \[5\]"),
        ((jnp.array([-1]), 4), r"lengths must lie in .* got \[-1\]"),
        ((LENGTHS, 0), "max_length must be .* at least 1, got 0"),
        ((LENGTHS, 2.0), "max_length must be an int"),
    ],
)
def test_bad_lengths(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        nn.mask_from_lengths(*arguments)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"kind must be one of .* got 'median'"):
        nn.SequencePool("median")
    with pytest.raises(ValueError, match=r"x must have at least the axes .* got 1 axes"):
        nn.SequencePool("mean")(X[0, 0])
    with pytest.raises(ValueError, match=r"x must have 3 features, got shape \(4, 5, 2\)"):
        attention()(X[..., 1:])
