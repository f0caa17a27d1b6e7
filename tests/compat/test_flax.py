"""Comparison with Flax over every signature that both accept, except for Flax's bugs."""

import functools
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import jaxpool
from jaxpool.compat import flax as compat
from tests import geometry, quick

pytestmark = pytest.mark.usefixtures("compile_quickly")

CASES = [
    ((8, 2), (3,)),
    ((2, 7, 3), (7,)),
    ((2, 6, 5, 3), (3, 2)),
    ((3, 2, 6, 5, 1), (2, 3)),
    ((2, 4, 3, 5, 2), (2, 2, 2)),
]
OPTIONS = [
    ("max_pool", {}),
    ("min_pool", {}),
    ("avg_pool", {}),
    ("avg_pool", {"count_include_pad": False}),
]


def every_call(module, shape, window):
    """Every function of a module with every stride and padding, each as a function of x."""
    paddings = ["VALID", "SAME", "SAME_LOWER"]
    if len(shape) - len(window) <= 2:  # with more batch axes, Flax refuses padding as pairs
        paddings.append([(1, 0), (0, 1), (1, 1)][: len(window)])
    for (name, options), strides, padding in itertools.product(
        OPTIONS, (None, (2,) * len(window)), paddings
    ):
        arguments = {"window_shape": window, "strides": strides, "padding": padding}
        yield functools.partial(getattr(module, name), **arguments, **options)


def compare(results):
    ours, theirs = (jax.tree.leaves(result) for result in results)
    assert len(ours) == len(theirs) >= 24
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "window"), CASES, ids=str)
def test_values_are_those_of_flax(shape, window):
    x = geometry.distinct(np.random.default_rng(0), shape)
    compare(
        quick.jit(lambda x, m=module: [call(x) for call in every_call(m, shape, window)])(x)
        for module in (compat, nnx)
    )


def test_gradients_are_those_of_flax():
    shape, window = (2, 6, 5, 1), (3, 2)
    x = geometry.distinct(np.random.default_rng(0), shape)

    def gradients(module, x):
        for call in every_call(module, shape, window):
            y, pull = jax.vjp(call, x)
            yield pull(jnp.sin(jnp.arange(y.size)).reshape(y.shape))[0]

    compare(quick.jit(lambda x, m=module: list(gradients(m, x)))(x) for module in (compat, nnx))


@pytest.mark.parametrize("name", ["max_pool", "min_pool", "avg_pool", "pool"])
def test_signatures_are_those_of_flax(name):
    ours, theirs = (inspect.signature(getattr(module, name)) for module in (compat, nnx))
    assert list(ours.parameters) == list(theirs.parameters)
    for parameter, other in zip(ours.parameters.values(), theirs.parameters.values(), strict=True):
        assert (parameter.kind, parameter.default) == (other.kind, other.default)


@pytest.mark.parametrize(
    ("init", "function"), [(0.0, lax.add), (-jnp.inf, lax.max), (1.0, lax.mul)]
)
@pytest.mark.parametrize("padding", ["VALID", "SAME", ((1, 2), (0, 1))])
def test_pool(init, function, padding):
    shape = (2, 7, 6, 2)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    arguments = (x, init, function, (3, 2), (2, 1), padding)
    np.testing.assert_allclose(compat.pool(*arguments), nnx.pool(*arguments), rtol=1e-5)


def test_where_flax_is_wrong():
    """Flax hides NaN in large arrays, sums 16-bit floats in 16 bits, and widens bfloat16."""
    x = jnp.zeros((1, 96, 96, 1)).at[0, 3, 3, 0].set(jnp.nan)
    assert np.isnan(compat.max_pool(x, (2, 2), (2, 2))).sum() == 1
    x = jnp.full((1, 64, 64, 1), 1.01, jnp.bfloat16)
    y = compat.avg_pool(x, (64, 64), count_include_pad=False)
    assert y.dtype == jnp.bfloat16
    assert y.item() == x[0, 0, 0, 0]
    x = jnp.arange(24).reshape(2, 2, 3, 2, 1)
    assert compat.max_pool(x, (2, 1), padding=[(1, 0), (0, 0)]).shape == x.shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2,), "window_shape and strides must be sequences of ints.* got 2"),
        (((2,), 2), "window_shape and strides must be sequences.* got .* 2"),
        (((2, 2, 2),), r"at least 4 axes for window_shape=\(2, 2, 2\), got 3"),
        (((2,), (1, 1)), r"strides must have 1 entries.* got \(1, 1\)"),
        (((0,),), r"window_shape must be integers of at least 1, got \(0,\)"),
        (((2,), None, 1), "padding .* got 1"),
        (((2,), None, (1,)), r"padding .* got \(1,\)"),
        (((2,), None, "FULL"), "padding .*FULL"),
    ],
)
def test_bad_input(arguments, message):
    x = np.ones((2, 6, 1), np.float32)
    for function in (compat.max_pool, compat.min_pool, compat.avg_pool):
        with pytest.raises((TypeError, ValueError), match=message):
            function(x, *arguments)


@pytest.mark.parametrize("padding", [((-1, 0),), ((-2, 3),), ((1, -1),), ((-3, -2),)], ids=str)
@pytest.mark.parametrize("name", ["max_pool", "min_pool", "avg_pool"])
def test_negative_padding_cuts_elements_off(name, padding):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 9, 3)).astype(np.float32))
    options = [{"count_include_pad": c} for c in (True, False)] if name == "avg_pool" else [{}]
    for more in options:
        call = {"window_shape": (3,), "strides": (2,), "padding": padding, **more}
        theirs = getattr(nnx, name)(x, **call)
        np.testing.assert_allclose(getattr(compat, name)(x, **call), theirs, rtol=1e-6)


@pytest.mark.parametrize("count_include_pad", [True, False])
def test_averages_of_complex_numbers(count_include_pad):
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.normal(size=(2, 6, 3)) + 1j * rng.normal(size=(2, 6, 3))).astype("c8")
    call = {"padding": ((1, 2),), "count_include_pad": count_include_pad}
    ours, theirs = compat.avg_pool(x, (2,), **call), nnx.avg_pool(x, (2,), **call)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("padding", [((3, 0), (0, 4)), ((0, 2), (5, 1))], ids=str)
def test_the_average_of_a_window_in_padding_is_nan(padding):
    """`compat.flax` keeps Flax's NaN; `jaxpool.avg_pool` returns 0."""
    x = jnp.ones((1, 5, 4, 2))
    call = {"window_shape": (2, 2), "padding": padding, "count_include_pad": False}
    ours, theirs = compat.avg_pool(x, **call), nnx.avg_pool(x, **call)
    assert np.isnan(theirs).any()
    np.testing.assert_array_equal(ours, theirs)
    own = jaxpool.avg_pool(x, **call, strides=1)
    np.testing.assert_array_equal(own, np.nan_to_num(theirs))
