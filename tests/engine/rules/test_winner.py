"""The derivative of a maximum needs only the winner's index, which is small and exact."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from jaxpool import engine
from jaxpool.engine.plan import tuning
from jaxpool.monoid import MAX, MIN
from jaxpool.window import Window
from tests import quick


@pytest.mark.parametrize(("window", "strides"), [(2, 2), (3, 2), (3, 1), (4, 4), (9, 1), (32, 32)])
def test_reverse_mode_keeps_bytes_not_floats(window, strides):
    x = jnp.zeros((1, 32, 32, 4))
    y, pull = jax.vjp(lambda x: jaxpool.max_pool(x, window, strides=strides), x)
    residuals = jax.tree.leaves(pull)
    winners = [r for r in residuals if jnp.issubdtype(r.dtype, jnp.unsignedinteger)]
    assert sum(winner.nbytes for winner in winners) <= 2 * x.size
    # The input is for TPU; programs for other devices do not read it.
    assert [r.shape for r in residuals if r.dtype == x.dtype] == [x.shape]
    text = jax.jit(lambda pull, y: pull(y)).lower(pull, y).compile().as_text()
    entry = text[text.index("ENTRY") :]
    (name,) = re.findall(r"(%\S+) = f32\[1,32,32,4\]\S* parameter", entry)
    assert len(re.findall(rf"{name}\b", entry)) <= 1


@pytest.mark.parametrize("monoid", [MAX, MIN], ids=["max", "min"])
def test_only_the_winner_has_a_derivative(monoid):
    """Elements that do not win have no derivative, whatever their tangents and cotangents."""
    x = jnp.array([1.0, 1.0, jnp.nan, jnp.nan, 2.0, 3.0]).reshape(1, 6, 1)
    winner = [0, 2, 5 if monoid is MAX else 4]
    window = Window.resolve(x.shape, 2)
    tangent = jnp.full(6, jnp.nan).at[jnp.array(winner)].set(jnp.array([1.0, -jnp.inf, 3.0]))
    pool = jax.jit(lambda x: engine.reduce(x, monoid, window))
    _, pushed = jax.jvp(pool, (x,), (tangent.reshape(x.shape),))
    assert pushed[0, :, 0].tolist() == [1, -np.inf, 3]
    (pulled,) = jax.vjp(pool, x)[1](jnp.array([jnp.nan, 2, -jnp.inf]).reshape(1, 3, 1))
    expected = np.zeros(6)
    expected[winner] = [np.nan, 2, -np.inf]
    np.testing.assert_array_equal(pulled[0, :, 0], expected)


def test_the_index_passes_no_derivative_but_the_value_does():
    x = jnp.array([3.0, 1.0, 2.0, 5.0]).reshape(1, 4, 1)
    window = Window.resolve(x.shape, 2)

    def loss(x):
        value, index = engine.arg_reduce(x, MAX, window)
        return jnp.sum(value**2 * (1 + index))

    @quick.jit
    def derivatives(x):
        return jax.grad(loss)(x), jax.jacfwd(loss)(x), jax.hessian(loss)(x)

    reverse, forward, second = derivatives(x)
    for gradient in (reverse, forward):
        assert gradient[0, :, 0].tolist() == [6, 0, 0, 40]
    assert second[0, 3, 0, 0, 3, 0] == 8


def test_integers_pass_through_differentiated_programs():
    x = jnp.arange(6).reshape(1, 6, 1)

    def loss(scale):
        return jnp.sum(scale * jaxpool.max_pool(x, 2) + jaxpool.max_pool(x > 2, 2))

    assert jax.grad(loss)(2.0) == 1 + 3 + 5
    _, pull = jax.vjp(lambda x: jaxpool.max_pool(x, 2), x)
    (cotangent,) = pull(np.zeros((1, 3, 1), jax.dtypes.float0))
    assert cotangent.dtype == jax.dtypes.float0


@pytest.mark.parametrize("shape", [(2, 3, 3, 5), (2, 96, 97, 3)], ids=["small", "large"])
@pytest.mark.parametrize("hard", [np.nan, -np.nan, np.inf, -np.inf, 3e38])
def test_extremes_of_whole_maps_with_nan_and_infinities(shape, hard):
    """Also if the sum of the map is NaN, inf - inf, or overflows."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=shape).astype(np.float32)
    x[0, 0, :2, 1] = hard
    x[1, :, :, 2] = hard
    x[1, 1, 1, 0], x[1, 2, 2, 0] = np.inf, -np.inf
    np.testing.assert_array_equal(jaxpool.global_max_pool(x), x.max((1, 2)))
    smallest = jaxpool.min_pool(x, shape[1:3])
    np.testing.assert_array_equal(smallest, x.min((1, 2), keepdims=True))


@pytest.mark.parametrize("monoid", [MAX, MIN], ids=["max", "min"])
@pytest.mark.parametrize(
    ("shape", "window"),
    [((2, 24, 29, 60), 4), ((3, 410, 70), 10), ((2, 64, 64, 8), 64), ((1, 60, 48, 64), (5, 2))],
)
def test_joint_search_equals_separate_value_and_winner(shape, window, monoid, monkeypatch):
    """Large inputs use the joint search; ties, signed zeros and NaN give the same results."""
    rng = np.random.default_rng(0)
    x = rng.choice([-1, -0.0, 0.0, 1, np.nan, np.inf, -np.inf], shape).astype(np.float32)
    x[0] = np.where(np.isnan(x[0]), 0, x[0])
    window = Window.resolve(shape, window)

    def value_and_winner(large):
        monkeypatch.setattr(tuning, "JOINT_SEARCH_ELEMENTS", large)
        jax.clear_caches()  # programs already traced contain the other limit
        program = jax.jit(lambda x: engine.arg_reduce(x, monoid, window)).lower(x).compile()
        return "c64[" in program.as_text(), program(x)

    (joined, together), (apart, one_by_one) = map(value_and_winner, (0, x.size + 1))
    jax.clear_caches()
    assert not apart
    assert joined == (jax.default_backend() == "cpu")
    for found, expected in zip(together, one_by_one, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(together[0]), np.signbit(one_by_one[0]))
