"""Derivatives against finite differences, in every composition of the two modes.

The checks are those of `check_grads(order=2, modes=("fwd", "rev"))`, but in one compiled program
that is called three times instead of in a dozen programs.
"""

import jax
import jax.numpy as jnp
import numpy as np

from tests import quick

STEP = 1e-5


def check(function, *arguments):
    """First and second derivatives of `function` in all `arguments`, arrays of float64.

    For a direction u and a cotangent w, with H the second derivatives of `w @ function`: J u and
    u J u by forward mode, w J by reverse mode, and H u by each order of the two modes. Finite
    differences along u give J u (from the function), u J u (from J u) and H u (from w J).
    """
    rng = np.random.default_rng(0)
    u = tuple(jnp.asarray(rng.normal(size=a.shape)) for a in arguments)
    w = jnp.asarray(rng.normal(size=jax.eval_shape(function, *arguments).shape))

    def forward(*arguments):
        return jax.jvp(function, arguments, u)

    def reverse(*arguments):
        return jax.vjp(function, *arguments)[1](w)

    @quick.jit
    def every(*arguments):
        (value, pushed), (_, bent) = jax.jvp(forward, arguments, u)
        pulled, turned = jax.jvp(reverse, arguments, u)
        return {
            "values": (value, pushed, pulled),
            "slopes": (pushed, bent, turned),
            "reverse over forward": jax.vjp(lambda *a: forward(*a)[1], *arguments)[1](w),
            "reverse over reverse": jax.vjp(reverse, *arguments)[1](u),
        }

    here = every(*arguments)
    before, after = (
        every(*(a + sign * b for a, b in zip(arguments, u, strict=True)))["values"]
        for sign in (-STEP, STEP)
    )
    differences = jax.tree.map(lambda a, b: (b - a) / (2 * STEP), before, after)
    close(here["slopes"], differences, 1e-6)
    _, pushed, pulled = here["values"]
    close(jnp.vdot(w, pushed), sum(map(jnp.vdot, u, pulled)), 1e-10)
    turned = here["slopes"][2]
    assert any(np.any(part != 0) for part in turned)
    close(here["reverse over forward"], turned, 1e-10)
    close(here["reverse over reverse"], turned, 1e-10)


def close(results, expected, tolerance):
    """Compares arrays with a tolerance relative to the largest element."""

    def one(result, expected):
        assert result.dtype == expected.dtype == np.float64
        scale = np.abs(expected).max(initial=1)
        np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * scale)

    jax.tree.map(one, results, expected)
