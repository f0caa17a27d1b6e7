"""Short rows: on XLA:CPU merged with their neighbours, which must not change anything."""

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

# Channels on both sides of each rule, then no channels at all, and axes behind the pooled one.
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
    """Small integers, so that there are ties and sums are exact, with what is hard on a maximum."""
    x = rng.integers(-3, 4, shape).astype(np.float32)
    for hard in (-np.inf, np.nan):
        x[rng.random(shape) < 0.02] = hard
    return jnp.asarray(x)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_same_as_elsewhere(shape, window):
    """What is computed for XLA:CPU and what is computed for other backends, bit for bit."""
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
            value((window, again), 0),  # a step to be isolated, and one that may stay open
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
def test_what_is_merged(channels, padding):
    """Rows up to 31 elements long where that costs nothing, up to 15 where it costs a copy."""
    shape = (2, 8, 9, channels)
    window = Window.resolve(shape, 3, strides=1, padding=padding)
    by = layout.merged(window, shape, target=CPU)
    assert by.into_pooled == (channels <= (15 if padding else 31))
    x = jnp.arange(np.prod(shape)).reshape(shape)
    assert by.merge(x).shape == ((2, 8, 9 * channels) if by.into_pooled else shape)
    np.testing.assert_array_equal(by.split(by.merge(x)), x)
    assert not layout.merged(window, shape, target=GPU).trailing


def test_a_loop_that_reads_a_copy_stays_open():
    """So that the last axis, of one channel, is split off in the same loop, and not by copying."""
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


def test_a_symbolic_row_is_left_alone():
    (channels,) = jax.export.symbolic_shape("channels")
    window = Window.resolve((2, 8, 9, channels), 3, strides=1)
    assert not layout.merged(window, (2, 8, 9, channels), target=CPU).trailing
