"""Every mode and composition of differentiation, for every row of the table of operators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from jax.test_util import check_grads

from jaxpool import engine
from tests.operators import OPERATORS


@pytest.fixture(params=OPERATORS, ids=str)
def operator(request):
    return request.param


@pytest.fixture
def x(operator):
    return jnp.asarray(operator.smooth(np.random.default_rng(0), operator.shape))


def loss(operator):
    """A scalar with a derivative of every order, and a different cotangent for every output."""

    def function(x):
        y = operator(x)
        weights = jnp.cos(jnp.arange(y[0].size, dtype=y.dtype)).reshape(y.shape[1:])
        return jnp.sum(weights * y**3)

    return function


def parts(operator, x):
    """`x` along a new first axis, in pieces that are pooled alike alone and together."""
    return x[:, None] if operator.by_row else x[None]


def agree(results, expected):
    """Equal to rounding; NaN and infinities exactly."""
    expected = np.asarray(expected)
    scale = np.max(np.abs(expected), initial=1, where=np.isfinite(expected))
    for result in results:
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6 * scale)


@pytest.fixture(autouse=True, scope="module")
def compile_quickly():
    """These tests compile much, and ask how derivatives compose, not how well XLA optimises."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_finite_differences(operator):
    with jax.enable_x64(True):
        x = jnp.asarray(operator.smooth(np.random.default_rng(0), operator.shape), jnp.float64)
        check_grads(jax.jit(operator), (x,), order=2, modes=("fwd", "rev"), rtol=1e-5, atol=1e-5)


def test_forward_and_reverse_mode_have_one_jacobian(operator):
    """Also on ties, NaN and infinities, and at padding."""
    x = jnp.asarray(operator.awkward(np.random.default_rng(1), operator.shape))
    forward, reverse = jax.jit(lambda x: (jax.jacfwd(operator)(x), jax.jacrev(operator)(x)))(x)
    agree([forward], reverse)
    if operator.exact:
        np.testing.assert_array_equal(forward, reverse)


def test_with_and_without_jit(operator, x):
    agree([jax.jit(operator)(x)], operator(x))


def test_vmap(operator, x):
    """Of the gradient, over any axis, and under the gradient."""
    function = loss(operator)
    gradient = jax.grad(function)

    @jax.jit
    def both(x):
        two = jnp.stack([x, x + 1], -1)
        return (
            gradient(x),
            jax.vmap(gradient)(parts(operator, x)).reshape(x.shape),
            jax.grad(lambda x: jax.vmap(function)(parts(operator, x)).sum())(x),
            jax.vmap(gradient, -1, 1)(two)[:, 0],
        )

    expected, *results = both(x)
    agree(results, expected)


def test_hessian_vector_products(operator, x):
    """Forward over reverse, reverse over forward, and reverse over reverse."""
    function = loss(operator)
    gradient = jax.grad(function)
    v = jnp.sin(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape)

    @jax.jit
    def products(x):
        return (
            jax.jvp(gradient, (x,), (v,))[1],
            jax.grad(lambda x: jax.jvp(function, (x,), (v,))[1])(x),
            jax.grad(lambda x: jnp.vdot(gradient(x), v))(x),
        )

    expected, *results = products(x)
    assert np.any(expected)
    agree(results, expected)


def test_checkpoint_scan_and_linearize(operator, x):
    function = loss(operator)
    keep_winners = jax.checkpoint_policies.save_only_these_names(engine.RESIDUAL)

    def step(carry, part):
        return carry + function(part), None

    @jax.jit
    def every(x):
        _, tangent = jax.linearize(function, x)
        return (
            jax.grad(function)(x),
            jax.grad(jax.checkpoint(function))(x),
            jax.grad(jax.checkpoint(function, policy=keep_winners))(x),
            jax.grad(lambda x: lax.scan(step, 0.0, parts(operator, x))[0])(x),
            jax.linear_transpose(tangent, x)(jnp.ones(()))[0],
        )

    expected, *results = every(x)
    agree(results, expected)


def test_export_with_a_symbolic_batch(operator, x):
    """Of value and gradient, called with another batch than any that was traced."""
    (batch,) = export.symbolic_shape("batch")
    signature = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    function = jax.jit(lambda x: (operator(x), jax.grad(loss(operator))(x)))
    exported = export.export(function)(signature)
    three = jnp.concatenate([x, x[:1] + 1])
    for result, expected in zip(exported.call(three), function(three), strict=True):
        agree([result], expected)
