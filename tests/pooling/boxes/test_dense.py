"""Gradients of box operators by matrix products (the lowering for GPU and TPU), on CPU."""

import contextlib
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from jaxpool.engine.plan.target import TPU
from jaxpool.pooling.boxes import _dense, _picks
from tests import boxes as judges
from tests import quick

OPERATORS = {
    "align": jaxpool.roi_align,
    "align, fixed": functools.partial(jaxpool.roi_align, sampling_ratio=2),
    "align, max": functools.partial(jaxpool.roi_align, reduce="max"),
    "pool": jaxpool.roi_pool,
    "position-sensitive align": jaxpool.ps_roi_align,
    "position-sensitive pool": jaxpool.ps_roi_pool,
}
OUTPUT = (2, 3)


@pytest.fixture(params=["at once", "in parts", "integers"])
def form(request, monkeypatch):
    """Means: all boxes at once, or in groups. Maxima: sums of floats, or of integers as on GPU."""
    if request.param == "in parts":
        monkeypatch.setattr(_dense, "LEAST", 1)
    if request.param == "integers":
        monkeypatch.setattr(_picks, "GPU", TPU)


def both_gradients(operator, *operands):
    """Gradients by features and boxes, with the lowering for CPU and that for GPU and TPU."""
    features, boxes, image, cotangent = operands

    def gradients(*operands):
        features, boxes, image, cotangent = operands
        pool = functools.partial(operator, output_shape=OUTPUT, batch_indices=image)
        return jax.vjp(pool, features, boxes)[1](cotangent)

    expected = quick.jit(gradients)(features, boxes, image, cotangent)
    with jaxpool.portable():
        return quick.jit(gradients)(features, boxes, image, cotangent), expected


def case(operator, count=12):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(3, 5, 6, 6)).astype(np.float32)
    boxes = judges.some(rng, count, 6)
    image = rng.integers(0, 3, count).astype(np.int32)
    shape = jax.eval_shape(
        lambda x, b: operator(x, b, OUTPUT, batch_indices=image), features, boxes
    ).shape
    return features, boxes, image, rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_gradients_of_the_form_for_cpu(name, form):
    operator = OPERATORS[name]
    for result, expected in zip(*both_gradients(operator, *case(operator)), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name", OPERATORS)
def test_infinite_cotangents_stay_where_their_box_is(name, form):
    """Each box has a different infinity or NaN, which affects only elements of this box."""
    operator = OPERATORS[name]
    features, boxes, image, cotangent = case(operator)
    boxes[1] = 0, 0, 4, 4
    cotangent[1, 0, 1, :] = np.inf
    cotangent[2, :, :, 0] = -np.inf
    cotangent[3, 1] = np.nan
    cotangent[6] = np.inf
    results, expected = both_gradients(operator, features, boxes, image, cotangent)
    np.testing.assert_allclose(results[0], expected[0], rtol=1e-5, atol=2e-5)
    assert np.isfinite(results[0]).any()
    assert not np.isfinite(results[0]).all()


@pytest.mark.parametrize("name", OPERATORS)
def test_features_outside_a_box_do_not_reach_its_gradients(name):
    operator = OPERATORS[name]
    features = np.full((1, 8, 9, 6), np.nan, np.float32)
    features[:, :, ::2] = np.inf
    features[:, 2:6, 3:7] = np.random.default_rng(0).normal(size=(4, 4, 6))
    boxes = np.array([[4.0, 3, 5, 4], [4.3, 3.2, 5.9, 4.6]], np.float32)
    _, _, image, cotangent = case(operator, count=2)
    results, expected = both_gradients(operator, features, boxes, image * 0, cotangent)
    for result, wanted in zip(results, expected, strict=True):
        assert np.isfinite(result).all()
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=2e-5)


def test_temporaries_do_not_grow_with_the_number_of_boxes():
    features = jax.ShapeDtypeStruct((1, 32, 32, 256), np.float32)

    def temporaries(operator, count):
        def loss(x, boxes):
            return operator(x, boxes, 7).sum()

        boxes = jax.ShapeDtypeStruct((count, 4), np.float32)
        with jaxpool.portable():
            compiled = jax.jit(jax.grad(loss)).lower(features, boxes).compile()
        # (beside the cotangent)
        memory: Any = compiled.memory_analysis()
        return memory.temp_size_in_bytes - count * 49 * 256 * 4

    few, many = temporaries(jaxpool.roi_align, 64), temporaries(jaxpool.roi_align, 256)
    assert many < 1.5 * few


def test_gradients_of_maxima_in_bfloat16_are_added_up_in_float32(form):
    features = jnp.ones((1, 4, 4, 1), jnp.bfloat16).at[0, 0, 0].set(2)
    boxes = np.array([[0, 0, 3, 3]] * 400, np.float32)

    def total(x):
        image = np.zeros(400, np.int32)
        return jaxpool.roi_pool(x, boxes, 1, batch_indices=image).sum()

    for context in (contextlib.nullcontext, jaxpool.portable):
        with context():
            gradient = quick.jit(jax.grad(total))(features)
        assert gradient.dtype == jnp.bfloat16
        assert gradient[0, 0, 0, 0] == 400


def terms(dtype) -> Any:
    """Terms of very different magnitudes, and their indices."""
    rng = np.random.default_rng(0)
    shape = 40, 2, 3, 5
    sizes = np.array([1.0, 1e-6, 1e6, 1e-25, 1e25])  # one for each channel
    y = (rng.normal(size=shape) * sizes * 10.0 ** rng.integers(-3, 3, shape)).astype(dtype)
    image, row, column = (rng.integers(0, n, shape) for n in (2, 3, 3))
    return y, (image, 0, row, column, np.arange(5)), (2, 1, 3, 3, 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_by_integers(dtype):
    with jax.enable_x64(dtype == np.float64):
        y, at, shape = terms(dtype)
        expected, scale = np.zeros(shape), np.zeros(shape)
        np.add.at(expected, at, y)
        np.maximum.at(scale, at, np.abs(y))
        result = quick.jit(lambda y: _picks.add_up(y, at, shape))(y)
        assert result.dtype == dtype
        error = np.abs(result - expected) / np.maximum(scale, 1e-300)
        assert error.max() < 4 * np.finfo(dtype).eps
        order = np.random.default_rng(1).permutation(40)
        shuffled = tuple(a[order] if np.ndim(a) == 4 else a for a in at)
        again = quick.jit(lambda y: _picks.add_up(y, shuffled, shape))(y[order])
        np.testing.assert_array_equal(result, again)


def test_a_single_term_is_kept_exactly():
    numbers = [0, -1 / 3, 3e38, -3e38, 1e-28, 2**-24, np.inf, -np.inf, np.nan]
    y = np.array(numbers, np.float32).reshape(9, 1, 1, 1)
    at: Any = 0, 0, np.arange(9).reshape(9, 1, 1, 1), 0, 0
    result = quick.jit(lambda y: _picks.add_up(y, at, (1, 1, 9, 1, 1)))(y)
    np.testing.assert_array_equal(np.ravel(result), np.ravel(y))


def test_what_is_not_finite_among_the_terms():
    y = np.array(
        [[np.inf, 1, np.inf], [np.inf, -np.inf, 0], [-np.inf, -np.inf, 2], [1, np.nan, 1]],
        np.float32,
    )
    at: Any = 0, 0, np.arange(12).reshape(4, 1, 3, 1) // 3, 0, 0
    result = quick.jit(lambda y: _picks.add_up(y, at, (1, 1, 5, 1, 1)))(y.reshape(4, 1, 3, 1))
    np.testing.assert_array_equal(np.ravel(result), [np.inf, np.nan, -np.inf, np.nan, 0])
