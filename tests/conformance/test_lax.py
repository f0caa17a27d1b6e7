"""Compares `jaxpool.compat.lax` with `jax.lax.reduce_window`, where `jax.lax` is correct.

`jax.lax` is correct for small arrays and windows. For large ones it is not (NaN, base dilation),
and it lacks some derivatives.
"""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxpool.compat import lax as ours
from tests import quick

GROUPS, GROUP = 8, 12


def argmax(left, right):
    keep = left[0] >= right[0]
    return tuple(jnp.where(keep, a, b) for a, b in zip(left, right, strict=True))


# dtype, function, init, and whether `jax.lax` has a gradient
REDUCTIONS = [
    ("float32", lax.max, -np.inf, True),
    ("float32", lax.min, np.inf, True),
    ("float32", lax.add, 0.0, True),
    ("float32", lax.add, 2.5, False),
    ("float32", jnp.maximum, -1.0, False),
    ("float32", lax.mul, 1.0, False),
    ("float32", jnp.logaddexp, -1.0, False),
    ("float32", lambda a, b: b, 7.0, False),
    ("bfloat16", lax.min, np.inf, False),
    ("int32", lax.max, np.iinfo(np.int32).min, False),
    ("int32", lax.max, -np.inf, False),
    ("int32", lax.bitwise_xor, np.int32(5), False),
    ("uint8", lax.add, np.uint8(3), False),
    ("bool", lax.bitwise_or, False, False),
    ("bool", operator.and_, True, False),
    ("variadic", argmax, (-np.inf, np.int32(-1)), False),
]


def geometry(rng):
    rank = int(rng.integers(1, 4))

    def each(low, high):
        return tuple(int(n) for n in rng.integers(low, high + 1, rank))

    window, strides, shape = each(1, 4), each(1, 3), each(3, {1: 15, 2: 8, 3: 5}[rank])
    # XLA aborts for a window of one element with negative padding.
    pads = [tuple(int(p) for p in rng.integers(-1 if k > 1 else 0, 5, 2)) for k in window]
    return shape, {
        "window_dimensions": window,
        "window_strides": strides,
        "padding": [pads, pads, "VALID", "same", "SAME_LOWER"][rng.integers(5)],
        "base_dilation": [None, each(1, 3)][rng.integers(2)],
        "window_dilation": [None, each(1, 3)][rng.integers(2)],
    }


def has_gradient(options):
    """`jax.lax` has no gradient of a dilated or cropped maximum."""
    dilated = options["base_dilation"] or options["window_dilation"]
    padding = options["padding"]
    return not dilated and (isinstance(padding, str) or min(min(pad) for pad in padding) >= 0)


def operand(rng, dtype, shape):
    if dtype == "variadic":
        return rng.integers(-4, 5, shape).astype(np.float32), np.indices(shape, np.int32).sum(0)
    if dtype == "float32":  # distinct elements: `jax.lax` breaks ties differently
        x = rng.permutation(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)
        return x / x.size - 0.5
    return jnp.asarray(rng.integers(0 if dtype in ("bool", "uint8") else -9, 9, shape), dtype)


@pytest.mark.parametrize("group", range(GROUPS))
def test_results_equal_those_of_lax(group, record_property):
    record_property("cases", GROUP)
    rng = np.random.default_rng(group)
    cases = []
    for number in range(GROUP):
        reduction = REDUCTIONS[(group * GROUP + number) % len(REDUCTIONS)]
        shape, options = geometry(rng)
        cases.append((operand(rng, reduction[0], shape), reduction, options))

    def every(reduce_window, operands):
        results = []
        for x, (_, (_, function, init, differentiable), options) in zip(
            operands, cases, strict=True
        ):

            def reduced(x, function=function, init=init, options=options):
                return reduce_window(x, init, function, **options)

            if differentiable and has_gradient(options):
                value, pull = jax.vjp(reduced, x)
                results.append((value, pull(jnp.cos(value))))
            else:
                results.append(reduced(x))
        return results

    operands = [x for x, _, _ in cases]
    got, expected = quick.jit(
        lambda x: (every(ours.reduce_window, x), every(lax.reduce_window, x))
    )(operands)
    for result, right, (_, reduction, options) in zip(got, expected, cases, strict=True):
        assert jax.tree.structure(result) == jax.tree.structure(right)
        for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(right), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(
                np.asarray(a, np.float64),
                np.asarray(b, np.float64),
                rtol=1e-5,
                atol=1e-6,
                err_msg=f"{reduction} {options}",
            )


X = jnp.zeros((4, 4))


@pytest.mark.parametrize(
    "arguments",
    [
        (X, 0.0, lax.add, (2,)),
        (X, 0.0, lax.add, (2, 0)),
        (X, 0.0, lax.add, 2),
        (X, 0.0, lax.add, (2, 2), (1, 0)),
        (X, 0.0, lax.add, (2, 2), (1,)),
        (X, 0.0, lax.add, (2, 2), (1, 1), 1),
        (X, 0.0, lax.add, (2, 2), (1, 1), "VALID", (0, 1)),
        (X, 0.0, lax.add, (2, 2), (1, 1), "VALID", None, (1, 1, 1)),
        (X, jnp.zeros(2), lax.mul, (2, 2)),
        (X, 1j, lax.mul, (2, 2)),
        (X, (0.0,), lax.add, (2, 2)),
        ((), (), lax.add, (2, 2)),
    ],
)
def test_what_jax_lax_refuses_is_refused(arguments):
    for reduce_window in (lax.reduce_window, ours.reduce_window):
        with pytest.raises((TypeError, ValueError)):
            reduce_window(*arguments)


def test_named_padding_needs_no_strides():
    """`jax.lax` requires strides here, although None means 1."""
    y = ours.reduce_window(jnp.ones(3), 0.0, lax.add, (2,), padding="SAME_LOWER")
    np.testing.assert_array_equal(y, [1, 2, 2])


def test_an_error_that_only_jaxpool_raises_is_its_own():
    """XLA:CPU aborts on int2, which `jax.lax` accepts."""
    with pytest.raises(TypeError, match="at least 4 bits"):
        ours.reduce_window(jnp.zeros(3, jnp.int2), np.zeros((), jnp.int2), lax.add, (2,))
