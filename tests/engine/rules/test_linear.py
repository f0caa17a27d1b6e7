"""Windowed sums and their transpose, as matrices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxpool.axis import Uneven
from jaxpool.engine.lower import masked, sums
from jaxpool.engine.lower.precision import PLAIN
from jaxpool.engine.plan.target import CPU, GPU, TPU
from jaxpool.engine.rules import linear
from jaxpool.window import Window
from tests import geometry, oracle, quick
from tests.geometry import Pooling, examples


@functools.partial(quick.jit, static_argnames="window")
def both(x, y, winner, window):
    transposed = linear.windowed_sum(y, window, winner, transposed=True)
    return linear.windowed_sum(x, window, winner), transposed


def inner(a, b):
    return int(np.sum(np.asarray(a, np.int64) * np.asarray(b, np.int64)))


def some_winner(rng, pooling):
    """Per window a random tap inside the image or none; more cases than a maximum can select."""
    window = pooling.resolved()

    def choose(elements, indices, count):
        return rng.choice(indices) if indices and rng.random() < 0.8 else -1

    index = pooling.judge(np.zeros(pooling.shape), choose).astype(int)
    places = np.unravel_index(np.maximum(index, 0), [axis.size for axis in window.axes])
    outputs = np.indices(index.shape, sparse=True)
    number = np.zeros(index.shape, int)
    for position, axis, place in zip(pooling.axes, window.axes, places, strict=True):
        tap = (place + axis.low - outputs[position] * axis.stride) // axis.dilation
        number = number * axis.window + tap
    dtype = masked.index_dtype(window)
    return np.where(index < 0, masked.no_winner(dtype), number).astype(dtype)


@examples(14)
@given(geometry.poolings(), st.booleans(), st.integers(0, 2**31))
def test_the_transpose_is_the_adjoint(pooling, chosen, seed):
    """<sum x, y> == <x, transpose y>, exactly, on integers."""
    rng = np.random.default_rng(seed)
    window = pooling.resolved()
    x = rng.integers(-9, 10, pooling.shape).astype(np.int32)
    y = rng.integers(-9, 10, window.output_shape(pooling.shape)).astype(np.int32)
    winner = some_winner(rng, pooling) if chosen else None
    collected, distributed = both(x, y, winner, window)
    assert collected.shape == y.shape
    assert distributed.shape == x.shape
    assert inner(collected, y) == inner(x, distributed)
    if not chosen:
        np.testing.assert_array_equal(collected, pooling.judge(x, oracle.total))


@st.composite
def uneven(draw):
    """An axis of windows that overlap, touch or leave gaps."""
    starts, ends = [draw(st.integers(0, 3))], []
    ends.append(starts[0] + draw(st.integers(1, 4)))
    for _ in range(draw(st.integers(0, 5))):
        starts.append(draw(st.integers(starts[-1], ends[-1] + 2)))
        ends.append(max(ends[-1], starts[-1] + 1) + draw(st.integers(0, 3)))
    lengths = (end - start for start, end in zip(starts, ends, strict=True))
    return Uneven(ends[-1] + draw(st.integers(0, 3)), tuple(starts), tuple(lengths))


@examples(15)
@given(uneven(), uneven(), st.sampled_from([CPU, GPU, TPU]), st.integers(0, 2**31))
def test_uneven_windows(rows, columns, target, seed):
    rng = np.random.default_rng(seed)
    window = Window((-3, -2), (rows, columns))
    x = rng.integers(-9, 10, (2, rows.size, columns.size, 3)).astype(np.int32)
    y = rng.integers(-9, 10, window.output_shape(x.shape)).astype(np.int32)
    total, chosen, winner = np.zeros_like(y), np.zeros_like(y), np.zeros(y.shape, np.uint8)
    for i, j in np.ndindex(*window.output):
        top, left = rows.starts[i], columns.starts[j]
        tile = x[:, top : top + rows.lengths[i], left : left + columns.lengths[j]]
        total[:, i, j] = tile.sum((1, 2))
        row, column = rng.integers(tile.shape[1]), rng.integers(tile.shape[2])
        winner[:, i, j] = row * columns.window + column
        chosen[:, i, j] = tile[:, row, column]

    @quick.jit
    def results(x, y, winner):
        return (
            sums.windowed_sum(x, window=window, accumulation=PLAIN, target=target),
            masked.select_winners(x, winner, window=window, target=target),
            sums.windowed_sum_transpose(y, window=window, accumulation=PLAIN, target=target),
            masked.scatter_to_winners(y, winner, window=window, target=target),
        )

    summed, collected, spread, distributed = results(x, y, winner)
    np.testing.assert_array_equal(summed, total)
    np.testing.assert_array_equal(collected, chosen)
    assert inner(total, y) == inner(x, spread)
    assert inner(chosen, y) == inner(x, distributed)


SHAPES = {
    "wide": Pooling((1, 30, 2), (1,), (11,), (2,), ((5, 3),), (1,)),
    "tiling": Pooling((2, 9, 8, 1), (1, 2), (3, 3), (3, 4), ((1, 0), (0, 2)), (1, 1)),
    "small": Pooling((2, 7, 1), (1,), (3,), (2,), ((1, 1),), (1,)),
}


@pytest.fixture(params=SHAPES)
def example(request):
    """A window with an input, an output and a winner."""
    rng = np.random.default_rng(3)
    pooling = SHAPES[request.param]
    window = pooling.resolved()
    x, y = (
        jnp.asarray(rng.integers(-9, 10, shape).astype(np.float32))
        for shape in (pooling.shape, window.output_shape(pooling.shape))
    )
    return window, x, y, jnp.asarray(some_winner(rng, pooling))


@pytest.mark.parametrize("chosen", [False, True])
def test_linear_maps_are_their_own_jvp_and_each_other_s_vjp(example, chosen):
    window, x, y, winner = example
    options = {"window": window, "winner": winner if chosen else None}
    collect = functools.partial(linear.windowed_sum, **options)
    distribute = functools.partial(linear.windowed_sum, transposed=True, **options)

    @quick.jit
    def derivatives(x, y):
        zeros = jnp.zeros_like(x), jnp.zeros_like(y)
        collected = jax.jvp(collect, zeros[:1], (x,))[1], *jax.vjp(distribute, zeros[1])[1](x)
        distributed = jax.jvp(distribute, zeros[1:], (y,))[1], *jax.vjp(collect, zeros[0])[1](y)
        return collected, distributed

    for results, plain in zip(derivatives(x, y), (collect(x), distribute(y)), strict=True):
        for result in results:
            np.testing.assert_array_equal(result, plain)


def test_batching_over_any_axis(example):
    window, x, y, winner = example
    last = x.ndim
    xs, ys, winners = (jnp.stack([a, a[::-1]]) for a in (x, y, winner))

    @quick.jit
    def batched(xs, ys, winners):
        every = jnp.moveaxis(winners, 0, last)
        return (
            jax.vmap(lambda x: linear.windowed_sum(x, window), 1, last)(jnp.moveaxis(xs, 0, 1)),
            jax.vmap(lambda x, w: linear.windowed_sum(x, window, w), (0, last), 1)(xs, every),
            jax.vmap(lambda x: linear.windowed_sum(x, window, winner))(xs),
            jax.vmap(lambda w: linear.windowed_sum(y, window, w, transposed=True), last)(every),
        )

    sums, chosen, same_winner, same_output = batched(xs, ys, winners)
    for i in range(2):
        np.testing.assert_array_equal(sums[..., i], linear.windowed_sum(xs[i], window))
        np.testing.assert_array_equal(chosen[:, i], linear.windowed_sum(xs[i], window, winners[i]))
        np.testing.assert_array_equal(same_winner[i], linear.windowed_sum(xs[i], window, winner))
        np.testing.assert_array_equal(
            same_output[i], linear.windowed_sum(y, window, winners[i], transposed=True)
        )


def test_wide_sums_do_not_cancel():
    """Prefix sums would cancel: small numbers after large ones would be lost."""
    x = np.full((1, 4096, 1), 1e-3, np.float32)
    x[0, 0] = 1e7
    window = Window.resolve(x.shape, 100, strides=1)
    sums = np.asarray(jax.jit(linear.windowed_sum, static_argnums=1)(x, window))[0, 1:, 0]
    np.testing.assert_allclose(sums, 0.1, rtol=1e-5)
