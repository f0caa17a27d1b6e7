import functools
import itertools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from jaxpool import reduce_window
from jaxpool.compat import lax as compat_lax
from tests import differences, quick


def judge(arrays, init, function, window, strides, pads, base, dilation):
    """Folds the elements of each window in row-major order, starting with `init`."""
    sizes = arrays[0].shape
    spread = [(n - 1) * b + 1 if n else 0 for n, b in zip(sizes, base, strict=True)]
    room = [
        n + sum(pad) - d * (k - 1) - 1
        for n, pad, d, k in zip(spread, pads, dilation, window, strict=True)
    ]
    outputs = [max(r // s + 1, 0) for r, s in zip(room, strides, strict=True)]
    results = [np.empty(outputs, x.dtype) for x in arrays]
    for output in np.ndindex(*outputs):
        value = init
        for tap in np.ndindex(*window):
            place = [
                o * s + t * d - low
                for o, s, t, d, (low, _) in zip(output, strides, tap, dilation, pads, strict=True)
            ]
            at = tuple(p // b for p, b in zip(place, base, strict=True))
            on_an_element = not any(p % b for p, b in zip(place, base, strict=True))
            if on_an_element and all(0 <= i < n for i, n in zip(at, sizes, strict=True)):
                value = function(value, tuple(x[at] for x in arrays))
        for result, part in zip(results, value, strict=True):
            result[output] = part
    return results


def compose(left, right):
    """The affine map `right(left(x))` modulo a prime: associative, but not commutative."""
    return (left[0] * right[0]) % 97, (left[1] * right[0] + right[1]) % 97


def maps(rng, shape):
    return (
        rng.integers(1, 97, shape).astype(np.int32),
        rng.integers(0, 97, shape).astype(np.int32),
    )


# shape, window, strides, padding, base dilation, window dilation
GEOMETRIES = [
    ((6, 5), (2, 3), (1, 1), [(0, 0), (0, 0)], (1, 1), (1, 1)),
    ((6, 5), (3, 3), (2, 1), [(1, 2), (4, 3)], (1, 1), (1, 1)),
    ((6, 5), (3, 2), (2, 3), [(1, 1), (2, 0)], (2, 3), (1, 1)),
    ((6, 5), (3, 4), (1, 1), [(5, 4), (3, 2)], (2, 2), (2, 3)),
    ((5, 6), (2, 2), (3, 1), [(-1, -2), (-3, 4)], (3, 1), (1, 2)),
    ((4, 3, 5), (2, 1, 3), (1, 2, 2), [(1, 0), (0, 1), (2, 2)], (1, 2, 1), (1, 1, 2)),
    ((7,), (2,), (1,), [(9, 9)], (4,), (3,)),
    ((3,), (4,), (1,), [(20, 20)], (1,), (7,)),
    ((3,), (12,), (1,), [(40, 30)], (1,), (5,)),
    ((40,), (13,), (1,), [(0, 0)], (1,), (1,)),
    ((40,), (31,), (3,), [(20, 25)], (1,), (1,)),
    ((64,), (16,), (16,), [(8, 8)], (1,), (1,)),
    ((64,), (12,), (4,), [(13, 0)], (1,), (3,)),
    ((50,), (50,), (1,), [(0, 0)], (1,), (1,)),
    ((3,), (70,), (1,), [(69, 90)], (1,), (1,)),
    ((4,), (9,), (1,), [(0, 5)], (1,), (1,)),
    ((30,), (77,), (5,), [(60, 71)], (3,), (2,)),
    ((5,), (9,), (1,), [(0, 0)], (1,), (1,)),
    ((0, 3), (2, 2), (1, 1), [(2, 1), (0, 0)], (2, 1), (1, 1)),
    ((5,), (2,), (1,), [(-3, -3)], (1,), (1,)),
    ((5,), (1,), (1,), [(-1, -2)], (1,), (1,)),  # here, XLA aborts
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_folds_in_order(geometry):
    shape, *window = geometry
    rng = np.random.default_rng(0)
    arrays, init = maps(rng, shape), (np.int32(3), np.int32(5))
    results = quick.jit(lambda arrays: reduce_window(arrays, init, compose, *window))(arrays)
    for result, expected in zip(results, judge(arrays, init, compose, *window), strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_maxima_minima_and_sums(geometry):
    shape, *window = geometry
    x = np.random.default_rng(1).integers(-9, 10, shape).astype(np.float32)
    cases = [
        (lax.max, max, -np.inf),
        (lax.max, max, 2.0),
        (jnp.minimum, min, np.inf),
        (jnp.minimum, min, -2.0),
        (operator.add, operator.add, 0.0),
        (lax.add, operator.add, 1.5),
    ]

    @quick.jit
    def every(x):
        return [reduce_window(x, init, function, *window) for function, _, init in cases]

    for result, (_, function, init) in zip(every(x), cases, strict=True):

        def one(left, right, function=function):
            return (function(left[0], right[0]),)

        (expected,) = judge((x,), (np.float32(init),), one, *window)
        np.testing.assert_array_equal(result, expected)


def test_init_is_combined_once_and_first():
    x = jnp.ones(300)
    for window in (3, 40, 300):
        reach = [(window, window)]
        reduced = jax.jit(functools.partial(reduce_window, padding=reach), static_argnums=(2, 3))
        summed = np.asarray(reduced(x, 10.0, lax.add, (window,)))
        assert summed[0] == summed[-1] == 10
        assert summed[window] == window + 10
    assert np.all(reduce_window(x, 7.0, lambda a, b: a, (5,)) == 7)
    assert np.all(reduce_window(x, 7.0, lambda a, b: b, (5,)) == 1)


def test_no_function_meets_padding():
    """The derivative of hypot is NaN at (0, 0), which only padding positions could cause."""
    x = jnp.arange(1.0, 8.0)

    @quick.jit
    @jax.grad
    def gradient(x):
        narrow = reduce_window(x, 0.0, jnp.hypot, (3,), padding=[(9, 9)], base_dilation=(2,))
        wide = reduce_window(x, 0.0, jnp.hypot, (9,), padding=[(15, 15)])
        return narrow.sum() + wide.sum()

    assert np.all(np.isfinite(gradient(x)))
    assert np.all(gradient(x) > 0)


@pytest.mark.parametrize("length", [100, 100_000])
def test_what_jax_lax_gets_wrong_on_large_arrays(length):
    """NaN propagates, and base dilation is applied (openxla/xla#48714)."""
    x = jnp.arange(float(length)).at[length // 2].set(jnp.nan)
    largest = reduce_window(x, -jnp.inf, lax.max, (3,), base_dilation=(2,))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(largest)), length + np.arange(-2, 1))
    np.testing.assert_array_equal(largest[:4], [1, 1, 2, 2])
    ones = jnp.ones((length, 1))
    summed = reduce_window(ones, 0.0, lax.add, (3, 1), base_dilation=(2, 1))
    np.testing.assert_array_equal(summed[:, 0], np.where(np.arange(len(summed)) % 2, 1, 2))


@pytest.mark.parametrize(
    ("function", "init"),
    [(lax.mul, 1.5), (lambda a, b: a + b + a * b, 0.5), (lax.add, 2.0)],
)
def test_derivatives_with_respect_to_operand_and_init(function, init):
    """Of the squared result, since a sum has no second derivatives."""
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(2).uniform(0.5, 1.5, (3, 4)))

        def squared(x, init):
            padding = [(1, 1), (3, 2)]
            y = reduce_window(x, init, function, (2, 3), (1, 2), padding, (1, 2), (2, 1))
            return y**2

        differences.check(squared, x, jnp.asarray(init))


def test_derivatives_through_doubling():
    """Derivatives of a product that contains 0, where a quotient would divide by 0."""
    x = np.random.default_rng(3).uniform(0.9, 1.1, 24).astype(np.float32)
    x[5] = 0

    def product(x):
        return reduce_window(x, 1.0, lax.mul, (13,), padding=[(6, 6)])

    inside = abs(np.arange(24)[:, None] - np.arange(24)) <= 6
    others = inside[:, :, None] & (np.arange(24)[:, None] != np.arange(24))[None]
    near = np.arange(24)[:, None, None] - np.arange(24)
    expected = np.where(others & (abs(near) <= 6), x, 1).prod(-1) * inside
    forward, reverse = jax.jit(lambda x: (jax.jacfwd(product)(x), jax.jacrev(product)(x)))(x)
    np.testing.assert_allclose(forward, expected, rtol=1e-5)
    np.testing.assert_allclose(reverse, expected, rtol=1e-5)


def test_where_init_ties_with_a_window_it_takes_the_derivative():
    x = jnp.array([1.0, 2.0, 0.0])

    def largest(x, init):
        return reduce_window(x, init, lax.max, (2,)).sum()

    gradients = jax.grad(largest, (0, 1))(x, 2.0)
    np.testing.assert_array_equal(gradients[0], [0, 0, 0])
    assert gradients[1] == 2
    assert np.isnan(reduce_window(x, jnp.nan, lax.max, (2,))).all()


def test_functions_may_close_over_what_is_differentiated():
    def scaled(scale, x):
        return reduce_window(x, 0.0, lambda a, b: a + b + scale * a * b, (3,)).sum()

    x = jnp.array([1.0, 2.0, 3.0])
    # x + y + z + s (xy + xz + yz) + s^2 xyz
    assert jax.grad(scaled)(0.5, x) == pytest.approx(2 + 3 + 6 + 2 * 0.5 * 6)


def test_functions_see_scalars():
    """The function is called with scalars, as in `jax.lax`, so control flow works."""

    def larger(a, b):
        assert a.shape == b.shape == ()
        return lax.cond(a > b, lambda: a, lambda: b)

    x = jnp.array([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    np.testing.assert_array_equal(reduce_window(x, -jnp.inf, larger, (1, 2)), [[3, 2], [5, 5]])


def test_variadic_argmax_and_its_derivative():
    x = jnp.array([[3.0, 1.0, 4.0, 1.0, 5.0]])
    numbers = lax.broadcasted_iota(jnp.int32, x.shape, 1)

    def larger(left, right):
        keep = left["value"] >= right["value"]
        return jax.tree.map(lambda a, b: jnp.where(keep, a, b), left, right)

    def reduced(x):
        operand = {"at": numbers, "value": x}
        return reduce_window(operand, {"at": -1, "value": -jnp.inf}, larger, (1, 3))

    found = reduced(x)
    np.testing.assert_array_equal(found["value"], [[4, 4, 5]])
    np.testing.assert_array_equal(found["at"], [[2, 2, 4]])
    assert found["at"].dtype == jnp.int32
    gradient = jax.grad(lambda x: reduced(x)["value"].sum())(x)
    np.testing.assert_array_equal(gradient, [[0, 0, 2, 0, 1]])


def test_a_wide_window_takes_few_combinations():
    def combinations(window, strides, length=8192):
        calls = itertools.count()

        def multiply(a, b):
            next(calls)
            return a * b

        jax.eval_shape(
            lambda x: reduce_window(x, 1.0, multiply, (window,), (strides,)),
            jax.ShapeDtypeStruct((length,), np.float32),
        )
        return next(calls)

    assert combinations(1025, 1) <= 2 * 10 + 2
    assert combinations(4096, 4096) <= 12 + 2
    assert combinations(4095, 1) <= 2 * 12 + 2


@pytest.mark.parametrize(
    ("values", "function", "init", "expected"),
    [
        (np.bool_([1, 1, 0]), operator.and_, True, [True, False]),
        (np.bool_([0, 1, 0]), lax.bitwise_or, False, [True, True]),
        (np.bool_([0, 0, 1]), jnp.add, False, [False, True]),
        (np.bool_([1, 1, 0]), operator.xor, False, [False, True]),
        (np.int32([7, 5, 6]), lax.bitwise_and, -1, [5, 4]),
        (np.int8([100, 100, 27]), lax.add, 0, [-56, 127]),
        (np.uint8([3, 250, 4]), lax.max, -np.inf, [250, 250]),
        (np.int32([3, -7, 4]), lax.min, np.inf, [-7, -7]),
        (np.complex64([1j, 2, 1j]), lax.mul, 1, [2j, 2j]),
        (np.complex64([1j, 2, 1j]), lax.add, 0, [2 + 1j, 2 + 1j]),
        (jnp.bfloat16([1.5, 2, 4]), lax.mul, 1, [3, 8]),
    ],
)
def test_dtypes(values, function, init, expected):
    result = reduce_window(values, init, function, (2,))
    assert result.dtype == values.dtype
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected, values.dtype))


def test_half_precision_is_summed_in_single():
    x = jnp.full(4096, 1.01, jnp.bfloat16)
    summed = reduce_window(x, 0.0, lax.add, (4096,))
    assert summed.dtype == jnp.bfloat16
    assert summed[0] == jnp.bfloat16(4096 * float(x[0]))


def test_vmap_over_operand_and_init():
    x = jnp.asarray(np.random.default_rng(4).normal(size=(3, 6)).astype(np.float32))
    init = jnp.array([0.5, 1.0, -2.0])

    def reduced(x, init):
        functions = (lax.mul, lax.max, lax.add)
        same = functools.partial(reduce_window, window_dimensions=(3,), padding="SAME_LOWER")
        return jnp.stack([same(x, init, function) for function in functions])

    @quick.jit
    def both(x, init):
        rows = [reduced(row, scalar) for row, scalar in zip(x, init, strict=True)]
        return jax.vmap(reduced)(x, init), jnp.stack(rows)

    together, apart = both(x, init)
    np.testing.assert_allclose(together, apart, rtol=1e-6)


def test_export_with_symbolic_sizes_where_nothing_happens():
    (batch,) = export.symbolic_shape("batch")
    signature = jax.ShapeDtypeStruct((batch, 5), jnp.float32)
    x = jnp.arange(15.0).reshape(3, 5)
    for function, init in ((lax.mul, 2.0), (lax.max, -jnp.inf), (lax.add, 1.0)):

        @quick.jit
        def summed(x, function=function, init=init):
            y = reduce_window(x, init, function, (1, 3), padding="SAME", base_dilation=(1, 2))
            return y.sum()

        gradient = jax.jit(jax.grad(summed))
        exported = export.export(gradient)(signature)
        np.testing.assert_allclose(exported.call(x), gradient(x), rtol=1e-6)
    with pytest.raises(ValueError, match="static size along axis 0"):
        export.export(jax.jit(lambda x: reduce_window(x, 0.0, lax.add, (2, 1))))(signature)


X = jnp.zeros((2, 3))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"operand": 3.0}, TypeError, "operand must be an array"),
        ({"operand": ()}, ValueError, "operand must hold at least one array"),
        ({"operand": (X, X[0])}, ValueError, r"one shape, got shapes \[\(2, 3\), \(3,\)\]"),
        ({"init_value": (0.0,)}, TypeError, "init_value must have the structure of operand"),
        ({"init_value": np.zeros(2)}, TypeError, "init_value must be a scalar"),
        ({"init_value": "zero"}, TypeError, "init_value must be a scalar.*'zero'"),
        ({"init_value": 1j}, TypeError, "operand's dtype, float32, got 1j of dtype complex64"),
        ({"computation": "add"}, TypeError, "computation must be a function.*'add'"),
        ({"computation": lambda a, b: (a, b)}, TypeError, "must return what it is given"),
        ({"computation": lambda a, b: a > b}, TypeError, r"float32\[\], got bool\[\]"),
        ({"window_dimensions": 2}, TypeError, "sequence of ints, got 2"),
        (
            {"window_dimensions": (2,)},
            ValueError,
            r"window_dimensions=\(2,\) has entries, got 2 axes",
        ),
        ({"window_strides": (2,)}, ValueError, "window_strides must have 2 entries"),
        ({"window_dimensions": None}, TypeError, "sequence of ints, got None"),
        ({"window_dimensions": (2, 0)}, ValueError, r"at least 1, got \(2, 0\)"),
        ({"window_dimensions": (2, 1.5)}, TypeError, "window_dimensions must be a sequence"),
        ({"window_strides": (1, True)}, TypeError, "window_strides must be a sequence"),
        ({"window_strides": (1, -1)}, ValueError, "window_strides must be integers of at least 1"),
        ({"base_dilation": (0, 1)}, ValueError, "base_dilation must be integers of at least 1"),
        ({"window_dilation": "ab"}, TypeError, "window_dilation must be a sequence"),
        ({"padding": "FULL"}, ValueError, "'VALID', 'SAME', .* got 'FULL'"),
        ({"padding": 1}, TypeError, "pairs of ints .* got 1"),
        ({"padding": (1, 1)}, TypeError, r"pairs of ints .* got \(1, 1\)"),
        ({"padding": [(1, 1)]}, ValueError, "padding must have 2 entries"),
    ],
)
def test_bad_input(change, error, message):
    given = {
        "operand": X,
        "init_value": 0.0,
        "computation": lax.add,
        "window_dimensions": (1, 2),
    }
    with pytest.raises(error, match=message):
        reduce_window(**given | change)


def test_compat_is_the_same_function():
    x = jnp.arange(6.0)
    ours, theirs = (f(x, 1.0, lax.mul, (2,)) for f in (compat_lax.reduce_window, reduce_window))
    np.testing.assert_array_equal(ours, theirs)


def test_windows_of_one_element_copy():
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_array_equal(reduce_window(x, 0.0, lax.add, (1, 1)), x)
