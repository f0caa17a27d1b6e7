"""Every mode and composition of differentiation, for every row of the table of operators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

import jaxpool
from jaxpool import engine
from tests import differences, quick
from tests.operators import OPERATORS

pytestmark = pytest.mark.usefixtures("compile_quickly")


@pytest.fixture(params=OPERATORS, ids=str)
def operator(request):
    return request.param


def loss(operator):
    """A scalar loss with derivatives of every order, and another cotangent for every output."""

    def function(x):
        y = operator(x)
        weights = jnp.cos(jnp.arange(y[0].size, dtype=y.dtype)).reshape(y.shape[1:])
        return jnp.sum(weights * y**3)

    return function


def agree(result, expected, message=""):
    """Compares up to rounding; NaN and infinities must be equal."""
    expected = np.asarray(expected)
    scale = np.max(np.abs(expected), initial=1, where=np.isfinite(expected))
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6 * scale, err_msg=message)


def test_every_operator_has_a_row():
    missing = {*jaxpool.pooling.__all__} - {row.function.__name__ for row in OPERATORS}
    assert not missing, f"write a row of SPECIAL in tests/operators.py for {', '.join(missing)}"


def test_first_and_second_derivatives(operator):
    """Of the squared result, which has second derivatives; by finite differences in all modes."""
    with jax.enable_x64(True):
        x = jnp.asarray(operator.smooth(np.random.default_rng(0), operator.shape), jnp.float64)

        def square(x):
            y = operator(x)
            return jnp.where(jnp.isfinite(y), y, 0) ** 2  # a masked window's maximum is -inf

        differences.check(square, x)


def test_forward_and_reverse_mode_have_one_jacobian(operator):
    """Includes ties, NaN, infinities and padding."""
    x = jnp.asarray(operator.awkward(np.random.default_rng(1), operator.shape))
    modes = quick.jit(lambda x: (jax.jacfwd(operator)(x), jax.jacrev(operator)(x)))
    forward, reverse = modes(x)
    agree(forward, reverse)
    if operator.exact:
        np.testing.assert_array_equal(forward, reverse)


def gradients(operator, x):
    """Computes the gradient of the loss by every transformation, in one program."""
    function = loss(operator)
    gradient = jax.grad(function)
    keep_winners = jax.checkpoint_policies.save_only_these_names(engine.RESIDUAL)
    parts = x[:, None] if operator.by_row else x[None]

    def mapped(x):
        return jax.vmap(function)(x.reshape(parts.shape)).sum()

    def scanned(x):
        parts_of_x = x.reshape(parts.shape)
        return lax.scan(lambda total, part: (total + function(part), None), 0.0, parts_of_x)[0]

    return {
        "vmap of grad": jax.vmap(gradient)(parts).reshape(x.shape),
        "vmap over a last axis": jax.vmap(gradient, -1, 1)(jnp.stack([x, x + 1], -1))[:, 0],
        "grad of vmap": jax.grad(mapped)(x),
        "checkpoint": jax.grad(jax.checkpoint(function))(x),
        "winners saved": jax.grad(jax.checkpoint(function, policy=keep_winners))(x),
        "scan": jax.grad(scanned)(x),
        "linearize": jax.linear_transpose(jax.linearize(function, x)[1], x)(jnp.ones(()))[0],
    }


def test_transformations(operator):
    """All give the same gradient; value and gradient are also exported with a symbolic batch."""
    two = jnp.asarray(operator.smooth(np.random.default_rng(0), operator.shape))
    x = jnp.concatenate([two, two[:1] + 1])  # a batch size that was not traced

    def plain(x):
        return operator(x), jax.grad(loss(operator))(x)

    (batch,) = export.symbolic_shape("batch")
    exported = export.export(jax.jit(plain))(jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype))
    every = quick.jit(lambda x: (plain(x), exported.call(x), gradients(operator, x)))
    (value, gradient), from_export, by_transformation = every(x)
    assert np.any(gradient)
    agree(operator(x), value, "without jit")
    for result, expected in zip(from_export, (value, gradient), strict=True):
        agree(result, expected, "export")
    for name, result in by_transformation.items():
        agree(result, gradient, name)
