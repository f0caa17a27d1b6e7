"""On XLA:CPU, short rows are merged with their neighbours; results must not change."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpool import max_pool
from jaxpool.engine.lower import extreme
from jaxpool.engine.lower.precision import PLAIN, Accumulation
from jaxpool.engine.lower.taps import interior_pad
from jaxpool.engine.plan import layout
from jaxpool.engine.plan.target import CPU, GPU
from jaxpool.engine.rules import linear
from jaxpool.monoid import MAX
from jaxpool.window import Window
from tests import quick

# Channel counts on both sides of each threshold, then no channels, and axes after the pooled one.
SHAPES = {
    "one channel": (2, 30, 31, 1),
    "few channels": (1, 20, 21, 3),
    "fifteen": (1, 17, 18, 15),
    "sixteen": (1, 17, 18, 16),
    "many": (1, 9, 10, 33),
    "large": (2, 128, 129, 3),
}
WINDOWS = {
    "overlapping": {"window_shape": 3, "strides": 1, "padding": "SAME"},
    "strided": {"window_shape": 3, "strides": 2, "padding": 1},
    "far apart": {"window_shape": 2, "strides": (1, 2), "padding": ((1, 0), (0, 1)), "dilation": 3},
    "unpadded": {"window_shape": (2, 3), "strides": 1},
    "gaps": {"window_shape": (3, 1), "strides": (2, 3)},
    "wide": {"window_shape": (5, 4), "strides": (1, 3), "padding": ((2, 2), (3, 0))},
    "ceil": {"window_shape": 3, "strides": 2, "padding": 1, "ceil_mode": True},
    "rows": {"window_shape": (3,), "strides": 1, "padding": 1, "axes": (1,)},
    "columns": {"window_shape": (3,), "strides": 2, "padding": 1, "axes": (2,)},
    "last axes": {
        "window_shape": (3, 1),
        "strides": 1,
        "padding": ((1, 1), (0, 0)),
        "axes": (2, 3),
    },
}


def values(rng, shape):
    """Small integers, for ties and exact sums; with NaN and infinities for maxima."""
    x = rng.integers(-3, 4, shape).astype(np.float32)
    for hard in (-np.inf, np.nan):
        x[rng.random(shape) < 0.02] = hard
    return jnp.asarray(x)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_merged_rows_give_the_same_bits_as_other_backends(shape, window):
    """The programs for XLA:CPU and for other backends give equal bits."""
    shape = SHAPES[shape]
    window = Window.resolve(shape, **WINDOWS[window])
    rng = np.random.default_rng(3)
    x, where = values(rng, shape), jnp.asarray(rng.random(shape) < 0.7)
    tangent = jnp.asarray(rng.integers(-9, 10, shape).astype(np.float32))
    cotangent = rng.integers(-9, 10, window.output_shape(shape)).astype(np.float32)
    cotangent = jnp.asarray(cotangent)

    again = Window.resolve(window.output_shape(shape), 1)

    @functools.partial(quick.jit, static_argnames="target")
    def everything(x, where, cotangent, *, target):
        y, index = extreme.extreme_with_winners(
            x, monoid=MAX, window=window, plan=(window,), target=target
        )
        _, among = extreme.extreme_with_winners(
            x, where, monoid=MAX, window=window, plan=(window,), target=target
        )
        value = functools.partial(extreme.isolated_value, x, MAX, target=target)
        add = functools.partial(linear.sum_code, window=window, accumulation=PLAIN, target=target)
        give = functools.partial(
            linear.transpose_code, window=window, accumulation=PLAIN, target=target
        )
        return (
            value((window, again), 0),  # one step that is isolated, and one that is not
            value((window,), 0),
            *(y, index, among, add(tangent), add(tangent, among)),
            *(give(cotangent), give(cotangent, index), give(cotangent, among)),
        )

    here = everything(x, where, cotangent, target=CPU)
    elsewhere = everything(x, where, cotangent, target=GPU)
    for ours, other in zip(here, elsewhere, strict=True):
        np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize("channels", [1, 15, 16, 31, 32])
@pytest.mark.parametrize("padding", [0, 1])
def test_which_rows_are_merged_with_their_neighbours(channels, padding):
    """Rows of up to 31 elements where merging needs no copy, of up to 15 where it needs one."""
    shape = (2, 8, 9, channels)
    window = Window.resolve(shape, 3, strides=1, padding=padding)
    by = layout.merged(window, shape, target=CPU)
    assert by.into_pooled == (channels <= (15 if padding else 31))
    x = jnp.arange(np.prod(shape)).reshape(shape)
    assert by.merge(x).shape == ((2, 8, 9 * channels) if by.into_pooled else shape)
    np.testing.assert_array_equal(by.split(by.merge(x)), x)
    assert not layout.merged(window, shape, target=GPU).trailing


def test_a_loop_that_reads_a_copy_is_not_isolated():
    """The reshape that splits off the last axis then fuses into the same loop, without a copy."""
    x = jax.ShapeDtypeStruct((4, 64, 64, 1), np.float32)

    def conditionals(padding):
        pool = jax.jit(functools.partial(max_pool, window_shape=3, strides=1, padding=padding))
        return pool.lower(x).as_text().count("stablehlo.case")

    assert conditionals(1) == 1  # the copy
    assert conditionals(0) == 1  # the loop itself
    x = jax.ShapeDtypeStruct((4, 64, 64, 64), np.float32)
    assert conditionals(1) == 1


def test_divisors_are_repeated_with_the_rows():
    mean = Accumulation(np.dtype(np.float32), ((2.0, 3.0), (1.0, 2.0, 1.0)))
    assert mean.repeated(1) is mean
    assert mean.repeated(2).divisors == ((2.0, 3.0), (1.0, 1.0, 2.0, 2.0, 1.0, 1.0))
    assert Accumulation(divisors=((9.0,), (4.0,))).repeated(2).divisors == ((9.0,), (4.0,))


def test_interior_padding_between_the_outputs_of_a_stride():
    window = Window.resolve((1, 9, 1), (3,), strides=2, padding=1)
    y = jnp.arange(1, 6, dtype=np.float32).reshape(1, 5, 1)
    spread_out = interior_pad(y, window, np.float32(0))
    np.testing.assert_array_equal(spread_out.ravel(), [1, 0, 2, 0, 3, 0, 4, 0, 5])
    every = layout.stride_one(window, y.shape, target=CPU)
    assert every is not None
    assert every.output == (9,)
    assert layout.stride_one(window, y.shape, target=GPU) is None


def test_a_row_of_symbolic_length_is_not_merged():
    (channels,) = jax.export.symbolic_shape("channels")
    window = Window.resolve((2, 8, 9, channels), 3, strides=1)
    assert not layout.merged(window, (2, 8, 9, channels), target=CPU).trailing
