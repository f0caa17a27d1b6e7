import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from tests import quick

RNG = np.random.default_rng(0)


def blurred(row, size, stride):
    """Blurs one axis, in plain loops."""
    low, high = (size - 1) // 2, math.ceil((size - 1) / 2)

    def element(i):
        if high < len(row):
            i = -i if i < 0 else 2 * (len(row) - 1) - i if i >= len(row) else i
        return row[min(max(i, 0), len(row) - 1)]

    weights = [math.comb(size - 1, t) for t in range(size)]
    outputs = (len(row) + low + high - size) // stride + 1
    return [
        sum(w * element(o * stride + t - low) for t, w in enumerate(weights)) / sum(weights)
        for o in range(outputs)
    ]


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize("shape", [(2, 9, 3), (2, 3, 2), (1, 1, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_one_axis(size, shape, stride):
    x = RNG.normal(size=shape).astype(np.float32)
    y = jaxpool.blur_pool(x, size, stride)
    assert y.shape[1] == math.ceil(shape[1] / stride)
    expected = np.apply_along_axis(lambda row: blurred(row, size, stride), 1, x.astype(float))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_two_axes_each_with_its_stride():
    x = RNG.normal(size=(2, 5, 8, 3)).astype(np.float32)
    y = jaxpool.blur_pool(x, 4, (1, 3))
    expected = np.apply_along_axis(lambda row: blurred(row, 4, 1), 1, x.astype(float))
    expected = np.apply_along_axis(lambda row: blurred(row, 4, 3), 2, expected)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    first = jaxpool.blur_pool(x.transpose(0, 3, 1, 2), 4, (3, 1), axes=(-1, -2))
    np.testing.assert_allclose(first.transpose(0, 2, 3, 1), y, rtol=1e-6)


def test_a_constant_stays_and_a_filter_of_one_does_not_blur():
    ones = jnp.ones((1, 6, 7, 2))
    for size in range(1, 8):
        np.testing.assert_allclose(jaxpool.blur_pool(ones, size), 1, rtol=1e-6)
    x = RNG.normal(size=(1, 6, 7, 2)).astype(np.float32)
    np.testing.assert_array_equal(jaxpool.blur_pool(x, 1, 2), x[:, ::2, ::2])


def test_a_shift_changes_less_than_after_a_strided_maximum():
    """Anti-aliasing: the reason to blur."""
    x = RNG.normal(size=(8, 32, 32, 4)).astype(np.float32)
    moved = np.roll(x, 2, (1, 2))

    def change(pool):
        y, shifted = (np.asarray(pool(a))[:, 4:-4, 4:-4] for a in (x, np.roll(x, 1, (1, 2))))
        return np.mean((y - shifted) ** 2) / np.var(y)

    np.testing.assert_allclose(
        jaxpool.max_blur_pool(moved, 2)[:, 4:-4, 4:-4],
        jnp.roll(jaxpool.max_blur_pool(x, 2), 1, (1, 2))[:, 4:-4, 4:-4],
        rtol=1e-6,
    )
    assert change(lambda x: jaxpool.max_blur_pool(x, 2, 5)) < 0.5 * change(
        lambda x: jaxpool.max_pool(x, 2)
    )


def test_max_blur_is_a_maximum_and_a_blur():
    x = RNG.normal(size=(2, 9, 10, 3)).astype(np.float32)
    y = jaxpool.max_blur_pool(x, (3, 2), 5, (2, 3), padding=((1, 1), (0, 1)))
    largest = jaxpool.max_pool(x, (3, 2), strides=1, padding=((1, 1), (0, 1)))
    np.testing.assert_array_equal(y, jaxpool.blur_pool(largest, 5, (2, 3)))
    rows = jaxpool.max_blur_pool(x, 3, axes=1)
    expected = jaxpool.blur_pool(jaxpool.max_pool(x, 3, strides=1, axes=1), axes=1)
    np.testing.assert_array_equal(rows, expected)


def test_maps_of_no_size():
    assert jaxpool.blur_pool(np.ones((2, 0, 3), np.float32)).shape == (2, 0, 3)
    assert jaxpool.max_blur_pool(np.ones((2, 2, 3), np.float32), 3).shape == (2, 0, 3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_blurred_in_single(dtype):
    x = jax.random.normal(jax.random.key(0), (2, 9, 9, 3)).astype(dtype)
    y = jaxpool.blur_pool(x, 5)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, jaxpool.blur_pool(x.astype(jnp.float32), 5).astype(dtype))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter_size": 0}, "filter_size must be from 1 to 7, got 0"),
        ({"filter_size": 8}, "filter_size must be from 1 to 7, got 8"),
        ({"filter_size": (3, 3)}, r"filter_size must be an int, got \(3, 3\)"),
        ({"filter_size": True}, "filter_size must be an int, got True"),
        ({"strides": 0}, "strides must be integers of at least 1, got 0"),
        ({"strides": (2, 2)}, r"strides must have 1 entries, .* got \(2, 2\)"),
        ({"axes": 5}, "axes must lie in .* got 5"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        jaxpool.blur_pool(np.ones((1, 4, 3), np.float32), **options)


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize("shape", [(2, 9, 10, 3), (1, 3, 1, 2), (1, 2, 4, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_derivative_is_the_adjoint(size, shape, stride):
    """The gradient is the transpose of the filter, also where ends repeat elements."""
    blur = quick.jit(lambda x: jaxpool.blur_pool(x, size, stride))
    x = RNG.normal(size=shape).astype(np.float32)
    dx = RNG.normal(size=shape).astype(np.float32)
    y, dy = jax.jvp(blur, (x,), (dx,))
    g = RNG.normal(size=y.shape).astype(np.float32)
    (pulled,) = jax.vjp(blur, x)[1](g)
    np.testing.assert_allclose(dy, blur(dx), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.vdot(pulled, dx), np.vdot(g, dy), rtol=1e-3, atol=1e-4)
    basis = np.zeros(shape, np.float32)
    place = tuple(n // 2 for n in shape)
    basis[place] = 1
    np.testing.assert_allclose(pulled[place], np.vdot(g, blur(basis)), rtol=1e-4, atol=1e-6)


def blurred_with_mask(row, exists, size, stride):
    """The weighted mean of unmasked elements, by the loops above; 0 if all are masked."""
    total = blurred(np.where(exists, row, 0), size, stride)
    weight = blurred(exists.astype(float), size, stride)
    return [t / w if w else 0.0 for t, w in zip(total, weight, strict=True)]


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 2), (4, 1), (7, 3)])
def test_masked_elements_have_no_weight(size, stride):
    x = RNG.normal(size=(1, 11, 2)).astype(np.float32)
    where = RNG.random((1, 11, 2)) < 0.4
    where[:, :6, 0] = False

    @quick.jit
    def value_and_gradient(x):
        return jax.value_and_grad(
            lambda x: (jaxpool.blur_pool(x, size, stride, where=where) ** 2).sum()
        )(x)

    y = jaxpool.blur_pool(np.where(where, x, np.nan), size, stride, where=where)
    expected = [
        blurred_with_mask(x[0, :, c].astype(float), where[0, :, c], size, stride) for c in range(2)
    ]
    np.testing.assert_allclose(y[0].T, expected, rtol=1e-5, atol=1e-6)
    value, gradient = value_and_gradient(np.where(where, x, np.nan))
    np.testing.assert_allclose(value, (np.array(expected) ** 2).sum(), rtol=1e-5)
    assert not gradient[~where].any()
    assert np.isfinite(gradient).all()


def test_windows_without_an_element_are_none_for_the_filter():
    x = jnp.array([9.0, 1.0, 2.0, 9.0, 9.0, 3.0]).reshape(1, 6, 1)
    where = x != 9
    maxima = jnp.array([1.0, 2.0, 2.0, 9.0, 3.0]).reshape(1, 5, 1)  # of two elements each
    y = jaxpool.max_blur_pool(x, 2, 3, 1, where=where)
    expected = jaxpool.blur_pool(maxima, 3, 1, where=maxima != 9)
    np.testing.assert_array_equal(y, expected)
    assert not jaxpool.max_blur_pool(x, 2, where=jnp.zeros((1, 6, 1), bool)).any()


def test_a_mask_of_all_elements_changes_nothing():
    x = RNG.normal(size=(2, 7, 8, 3)).astype(np.float32)
    for pool in (jaxpool.blur_pool, lambda x, **m: jaxpool.max_blur_pool(x, 2, **m)):
        masked = pool(x, where=np.ones((1, 1, 1, 1), bool))
        np.testing.assert_allclose(masked, pool(x), rtol=1e-5, atol=1e-6)
