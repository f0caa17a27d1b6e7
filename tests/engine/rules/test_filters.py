"""Sums weighted by a filter against plain loops, with derivatives, mapped and as on TPU."""

import contextlib
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from jaxpool.engine.plan import tuning
from jaxpool.engine.rules.filters import filtered_sum
from jaxpool.window import Window
from tests import constant, differences, geometry, quick
from tests.geometry import examples

few = constant.setting(tuning, "UNROLLED_TAPS", spelt_out=25, looped=1)


def by_loops(x, w, window):
    """One tap after the other, of rows that are taken by number; padding is zero."""
    total = np.zeros(np.broadcast_shapes(window.output_shape(x.shape), w.shape[1:]))
    for number, tap in enumerate(itertools.product(*(range(a.window) for a in window.axes))):
        element = x
        for position, axis, one in zip(window.positions, window.axes, tap, strict=True):
            there = axis.exists(one).reshape(-1, *(1,) * (-position - 1))
            element = element.take(axis.inputs(one), axis=position, mode="clip") * there
        total += element * w[number]
    return total


@functools.partial(quick.jit, static_argnames="window")
def every(x, w, g, window):
    y, pull = jax.vjp(functools.partial(filtered_sum, window=window), x, w)
    return y, *pull(g)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("form", ["cpu", "portable"])
@examples(8)
@given(geometry.poolings(), st.booleans(), st.integers(0, 2**31))
def test_against_plain_loops(form, pooling, shared, seed):
    rng = np.random.default_rng(seed)
    window = pooling.resolved()
    x = rng.normal(size=pooling.shape).astype(np.float32)
    last = 1 if shared or -1 in window.positions else x.shape[-1]
    w = rng.normal(size=(window.taps, *(1,) * (x.ndim - 1), last)).astype(np.float32)
    y = by_loops(x, w, window)
    g = rng.normal(size=y.shape).astype(np.float32)
    with jaxpool.portable() if form == "portable" else contextlib.nullcontext():
        results = every(x, w, g, window)
    np.testing.assert_allclose(results[0], y, rtol=1e-5, atol=1e-5)
    # (g * y).sum() is linear in x: its derivative in a direction is its value there. So in w.
    for operand, derivative in zip((x, w), results[1:], strict=True):
        assert derivative.shape == operand.shape
        direction = rng.normal(size=operand.shape)
        moved = (direction, w) if operand is x else (x, direction)
        expected = (g * by_loops(*moved, window)).sum()
        np.testing.assert_allclose((derivative * direction).sum(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("options", [{"strides": 2, "padding": 1}, {"strides": 3}, {"dilation": 2}])
def test_every_operand_has_derivatives(options):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        window = Window.resolve((2, 7, 2), 3, **options)
        x, w = jnp.asarray(rng.normal(size=(2, 7, 2))), jnp.asarray(rng.normal(size=(3, 1, 1, 2)))
        differences.check(lambda x, w: filtered_sum(x, w, window), x, w)

        def slopes(x, w):
            pull = jax.grad(lambda x, w: (filtered_sum(x, w, window) ** 2).sum(), argnums=(0, 1))
            return jnp.concatenate([slope.ravel() for slope in pull(x, w)])

        differences.check(slopes, x, w)


@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)])
def test_mapped_operands(mapped):
    rng = np.random.default_rng(0)
    window = Window.resolve((2, 7, 3), 3, strides=2, padding=1)
    shapes = (2, 7, 3), (3, 1, 1, 3)
    x, w = (
        rng.normal(size=shape if axis is None else (4, *shape)).astype(np.float32)
        for shape, axis in zip(shapes, mapped, strict=True)
    )
    g = rng.normal(size=window.output_shape((2, 7, 3))).astype(np.float32)
    result = jax.vmap(lambda x, w: every(x, w, g, window), in_axes=mapped)(x, w)
    expected = [
        every(
            *(a if axis is None else a[i] for a, axis in zip((x, w), mapped, strict=True)),
            g,
            window,
        )
        for i in range(4)
    ]
    for one, several in zip(result, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(one, np.stack(several), rtol=1e-5, atol=1e-6)
