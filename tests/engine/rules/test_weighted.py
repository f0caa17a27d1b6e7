"""Weighted sums against plain loops, with their transposes and higher derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxpool.engine.plan import tuning
from jaxpool.engine.rules import weighted
from jaxpool.window import Window
from tests import constant, differences, geometry, quick
from tests.geometry import examples


def kernel(x, y):
    return jnp.sin(2 * x) * y + x


@functools.partial(quick.jit, static_argnames="window")
def every(v, x, y, g, window):
    return (
        weighted.weighted_sum(kernel, v, (x,), (y,), window),
        weighted.weighted_sum(kernel, None, (x,), (y,), window),
        weighted.weighted_sum(kernel, g, (x,), (y,), window, transposed=True),
    )


few = constant.setting(tuning, "WRITTEN_OUT", spelt_out=64, looped=1)


@pytest.mark.usefixtures("few")
@examples(10)
@given(geometry.poolings(), st.integers(0, 2**31))
def test_against_plain_loops(pooling, seed):
    """`judge` visits one window after the other, row-major with the pooled axes last."""
    rng = np.random.default_rng(seed)
    window = pooling.resolved()
    v, x = rng.normal(size=(2, *pooling.shape)).astype(np.float32)
    y, g = rng.normal(size=(2, *window.output_shape(pooling.shape))).astype(np.float32)
    collected, weights, distributed = every(v, x, y, g, window)

    place = np.arange(x.size).reshape(x.shape)
    readers = np.zeros((x.size, y.size))
    numbers = pooling.judge(place, lambda elements, indices, count: 0).astype(int)
    outputs = np.moveaxis(
        np.arange(numbers.size).reshape(numbers.shape), pooling.axes, range(-len(pooling.axes), 0)
    )
    visit = iter(outputs.ravel())

    def note(elements, indices, count):
        readers[np.array(elements, int), next(visit)] = 1
        return 0

    pooling.judge(place, note)
    pairs = readers * (np.sin(2 * np.outer(x, np.ones(y.size))) * y.ravel() + x.reshape(-1, 1))
    np.testing.assert_allclose(np.ravel(collected), v.ravel() @ pairs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.ravel(weights), pairs.sum(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.ravel(distributed), pairs @ g.ravel(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"strides": 2, "padding": 1}, {"strides": 3}, {"strides": 1}])
def test_every_operand_has_derivatives(options):
    add = weighted.weighted_sum
    give = functools.partial(add, transposed=True)
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        window = Window.resolve((2, 7, 2), 3, **options)
        x, v = jnp.asarray(rng.normal(size=(2, 2, 7, 2)))
        y, g = jnp.asarray(rng.normal(size=(2, *window.output_shape((2, 7, 2)))))
        for function, operands in [
            (lambda v, x, y: add(kernel, v, (x,), (y,), window), (v, x, y)),
            (lambda x, y: add(kernel, None, (x,), (y,), window), (x, y)),
            (lambda g, x, y: give(kernel, g, (x,), (y,), window), (g, x, y)),
        ]:
            differences.check(function, *operands)


def test_operands_of_size_one_and_unmapped_operands_are_broadcast():
    """Along axes that are not pooled, and under `vmap`."""
    rng = np.random.default_rng(0)
    window = Window.resolve((2, 7, 3), 3, strides=2)
    v, x = rng.normal(size=(2, 2, 7, 3)).astype(np.float32)
    y = rng.normal(size=(2, 3, 3)).astype(np.float32)

    def collect(v, x, y):
        return weighted.weighted_sum(kernel, v, (x,), (y,), window)

    narrow = collect(v, x[:1, :, :1], y[:, :, :1])
    wide = collect(v, np.broadcast_to(x[:1, :, :1], v.shape), np.broadcast_to(y[:, :, :1], y.shape))
    np.testing.assert_allclose(narrow, wide, rtol=1e-6)
    both = jax.vmap(collect, (0, None, None))(np.stack([v, 2 * v]), x, y)
    np.testing.assert_allclose(both[1], 2 * collect(v, x, y), rtol=1e-6)
    weights = jax.vmap(lambda y: weighted.weighted_sum(kernel, None, (x,), (y,), window))
    stacked = np.stack([y, 3 * y])
    np.testing.assert_allclose(
        weights(stacked)[1], weighted.weighted_sum(kernel, None, (x,), (3 * y,), window), rtol=1e-6
    )
    pulled = jax.vjp(collect, v, x[:1, :, :1], y[:, :, :1])[1](jnp.ones((2, 3, 3)))
    assert [p.shape for p in pulled] == [(2, 7, 3), (1, 7, 1), (2, 3, 1)]


def test_residuals_are_smaller_than_taps_times_outputs():
    window = Window.resolve((4, 32, 32, 8), 5, strides=1, padding=2)
    x = jnp.ones((4, 32, 32, 8))

    def pool(x):
        return weighted.weighted_sum(kernel, x, (x,), (x,), window)

    _, pull = jax.vjp(pool, x)
    kept = sum(leaf.size for leaf in jax.tree.leaves(pull) if hasattr(leaf, "size"))
    assert kept <= 4 * x.size
