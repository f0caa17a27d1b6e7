"""`jaxpool.compat.flax`: Flax's own tests rewritten, and comparisons with Flax."""

import functools
import inspect

import flax.linen
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxpool.compat import flax as ours
from tests import quick

NAMES = ("max_pool", "min_pool", "avg_pool")
GROUPS, GROUP = 3, 10


def drawn(group):
    """Arguments in Flax's form, with no, one or several batch axes."""
    rng = np.random.default_rng(group)
    for _ in range(GROUP):
        dimensions, batch = int(rng.integers(1, 4)), int(rng.integers(0, 3))
        window = tuple(int(k) for k in rng.integers(1, 4, dimensions))
        strides = tuple(int(s) for s in rng.integers(1, 4, dimensions))
        pads = tuple(tuple(int(p) for p in rng.integers(0, k, 2)) for k in window)
        # With several batch axes, Flax accepts only named padding.
        padding = [pads, "SAME", "VALID"][rng.integers(0 if batch < 2 else 1, 3)]
        shape = (*[2] * batch, *rng.integers(3, 7, dimensions), 2)
        x = rng.permutation(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape) / 8 - 2
        yield x, (window, strides if rng.integers(3) else None, padding)


@pytest.mark.parametrize("group", range(GROUPS))
def test_results_equal_those_of_flax(group, record_property):
    cases = list(drawn(group))
    record_property("cases", len(cases))

    def every(module, arrays):
        results = []
        for x, (_, arguments) in zip(arrays, cases, strict=True):
            average = functools.partial(module.avg_pool, count_include_pad=False)
            for pool in (module.max_pool, average):
                value, pull = jax.vjp(lambda x: pool(x, *arguments), x)  # noqa: B023
                results += [value, pull(jnp.cos(value))[0]]
            results += [module.min_pool(x, *arguments), module.avg_pool(x, *arguments)]
            results.append(module.pool(x, 1.0, lax.mul, *arguments))
        return results

    arrays = [x for x, _ in cases]
    got, expected = quick.jit(lambda x: (every(ours, x), every(flax.linen.pooling, x)))(arrays)
    assert len(got) == 7 * GROUP
    for result, right in zip(got, expected, strict=True):
        assert result.dtype == right.dtype
        np.testing.assert_allclose(result, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [*NAMES, "pool"])
def test_linen_and_nnx_have_the_same_signatures(name):
    def parameters(module):
        return [
            (p.name, p.default)
            for p in inspect.signature(getattr(module, name)).parameters.values()
        ]

    assert parameters(ours) == parameters(flax.linen.pooling) == parameters(flax.nnx)


def test_a_user_defined_reduction():
    x = jnp.full((1, 3, 3, 1), 2.0)
    y = ours.pool(x, 1.0, lambda a, b: a * b, (2, 2), None, "VALID")
    np.testing.assert_array_equal(y, np.full((1, 2, 2, 1), 16.0))


def test_strides_default_to_one():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    np.testing.assert_array_equal(ours.max_pool(x, (2, 2))[0, :, :, 0], [[4, 5], [7, 8]])
    np.testing.assert_array_equal(ours.min_pool(x, (2, 2))[0, :, :, 0], [[0, 1], [3, 4]])
    np.testing.assert_array_equal(ours.avg_pool(x, (2, 2))[0, :, :, 0], [[2, 3], [5, 6]])


def test_only_winners_have_a_derivative():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    gradient = jax.grad(lambda x: ours.max_pool(x, (2, 2), (1, 1)).sum())(x)
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 0, 0], [0, 1, 1], [0, 1, 1]])


def test_count_include_pad():
    x = jnp.ones((1, 3, 3, 1))
    with_padding = ours.avg_pool(x, (2, 2), padding="SAME")[0, :, :, 0]
    np.testing.assert_array_equal(with_padding, [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 0.25]])
    without = ours.avg_pool(x, (2, 2), padding="SAME", count_include_pad=False)
    np.testing.assert_array_equal(without, x)


def test_any_number_of_batch_axes():
    x = jnp.arange(2.0 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    for name in NAMES:
        pool = getattr(ours, name)
        arguments = ((2, 2), (2, 2), [(1, 0), (0, 1)])
        several = pool(x, *arguments)
        one = pool(x.reshape(6, 4, 5, 6), *arguments)
        none = pool(x[1, 2], *arguments)
        assert several.shape == (2, 3, 2, 3, 6)
        np.testing.assert_array_equal(several.reshape(one.shape), one)
        np.testing.assert_array_equal(several[1, 2], none)


def test_integers_and_half_precision():
    x = np.arange(6).reshape(1, 6, 1)
    assert ours.max_pool(x, (2,)).dtype == np.int32
    np.testing.assert_array_equal(ours.avg_pool(x, (2,))[0, :, 0], [0.5, 1.5, 2.5, 3.5, 4.5])
    halves = jnp.full((1, 64, 64, 1), 1.01, jnp.bfloat16)
    for include in (True, False):  # Flax returns 0.5, in float32
        y = ours.avg_pool(halves, (64, 64), count_include_pad=include)
        assert y.dtype == jnp.bfloat16
        assert y.item() == halves[0, 0, 0, 0]
