"""Bad arguments: the error of every public operator names the argument and its value."""

import inspect
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from tests.operators import OPERATORS

pytestmark = pytest.mark.usefixtures("compile_quickly")


@dataclass(frozen=True, eq=False)
class Bad:
    """A value that no operator accepts, and its text in an error message."""

    value: Any
    shown: str | None = None

    def __str__(self) -> str:
        return repr(self.value) if self.shown is None else self.shown


def counts(*more):
    """Values other than a positive integer or a tuple of one positive integer."""
    values = (0, -1, 1.5, 2.0, True, "2", (), (0,), (-1,), (2.0,), (True,), ("2",), *more)
    return [Bad(value) for value in values]


def flags():
    return [Bad(value) for value in (1, None, "yes")]


NO_ARRAYS = [
    Bad(np.ones((2, 7, 2), np.complex64), "complex64"),
    Bad(np.ones((2, 7, 2), object), "object"),
    Bad(np.full((2, 7, 2), "a"), "<U1"),
    Bad([[[1.0], [2.0]]], "list"),
    Bad(None, "NoneType"),
    Bad(1.0, "float"),
]
MANY = (2, 2, 2, 2)
NOT_FINITE = [
    Bad(np.array([np.nan])),
    Bad(np.array(np.inf)),
    Bad(jnp.array([-np.inf], jnp.float32), "inf"),
]
BAD = {
    "x": NO_ARRAYS,
    "values": NO_ARRAYS,
    "features": NO_ARRAYS,
    "indices": [
        *NO_ARRAYS,
        Bad(np.ones((2, 5, 2), np.float32), "float32"),
        Bad(np.ones((2, 5, 2), bool), "bool"),
        Bad(np.zeros((2, 5, 1), int), "(2, 5, 1)"),
        Bad(np.zeros((5, 2), int), "(5, 2)"),
        Bad(np.full((2, 5, 2), 9), "got 9"),
        Bad(np.full((2, 5, 2), -2), "got -2"),
    ],
    "boxes": [
        *NO_ARRAYS,
        Bad(np.ones((3, 4), bool), "got bool"),
        *(Bad(np.ones(shape), str(shape)) for shape in [(), (4,), (3, 5), (4, 3), (1, 3, 4)]),
    ],
    "batch_indices": [
        *NO_ARRAYS[:-2],
        Bad(None, "2 images"),
        Bad(np.zeros(5, np.float32), "float32"),
        Bad(np.zeros(5, bool), "bool"),
        *(Bad(np.zeros(shape, int), str(shape)) for shape in [(), (4,), (5, 1)]),
        Bad(np.array([0, 1, 2, 0, 1]), "got 2"),
        Bad(np.array([0, -1, 1, 0, 1]), "got -1"),
    ],
    "filters": [
        *NO_ARRAYS,
        Bad(np.ones((3, 2), np.int32), "int32"),
        *(Bad(np.ones(shape), str(shape)) for shape in [(3,), (2, 2), (3, 3), (3, 2, 2)]),
    ],
    "levels": [
        *(Bad(levels) for levels in (3, "12", None, {1}, (), (1, (2,)))),
        *(Bad((1, level), f"got {level!r}") for level in (0, -1, 2.0, True, "2", None)),
    ],
    "spatial_scale": [Bad(s) for s in (0, -0.5, np.nan, np.inf, True, "2", None, (2,), 2j)],
    "sampling_ratio": [Bad(ratio) for ratio in (-1, 1.5, 2.0, True, "2", None, (2, 2))],
    "reduce": [Bad(reduce) for reduce in ("avg", "MAX", "", None, 1)],
    "window_shape": [*counts({2}), Bad(MANY, "4 entries")],
    "output_shape": [*counts(), Bad(MANY, "4 entries")],
    "strides": counts((1, 1)),
    "dilation": counts((1, 1), None),
    "padding": [
        *(
            Bad(value)
            for value in ("FULL", "", -1, 1.0, True, None, (), (1, 1), (None,), ("SAME",))
        ),
        *(Bad((pair,)) for pair in ((1,), (1, 2, 3), (1, -1), (-1, 1), (1.0, 0), (True, 1))),
    ],
    "where": [
        Bad(np.ones((2, 7, 2), np.float32), "float32"),
        Bad(np.ones((2, 7, 2), np.int8), "int8"),
        Bad([1, 0], "int64"),
        Bad("mask", "<U4"),
        Bad(np.ones((3,), bool), "(3,)"),
        Bad(np.ones((2, 6, 2), bool), "(2, 6, 2)"),
        Bad(np.ones((1, 2, 7, 2), bool), "(1, 2, 7, 2)"),
    ],
    "p": [
        *(Bad(p) for p in (0, -1, -0.5, np.nan, -np.inf, True, "2", None, (2,), 2j, 10**400)),
        *NOT_FINITE,
        Bad(np.array([0.0])),
    ],
    "eps": [Bad(eps) for eps in (0, -1e-6, np.nan, np.inf, True, "2", None)],
    "temperature": [
        *(Bad(t) for t in (np.nan, np.inf, 1e39, True, "2", None, (2,), 2j)),
        *NOT_FINITE,
        Bad(np.array([1e39])),
    ],
    "alpha": [
        *(Bad(a) for a in (np.nan, -np.inf, -1e39, True, "2", None, (2,), 2j)),
        *NOT_FINITE,
        Bad(np.array([-1e39])),
    ],
    "filter_size": [Bad(f) for f in (0, -1, 8, 2.0, True, "2", None, (2,))],
    "key": [Bad(key) for key in (0, 1.5, "2", (0, 1))],
    "ceil_mode": flags(),
    "aligned": flags(),
    "pseudo_random": flags(),
    "overlapping": flags(),
    "keepdims": flags(),
    "count_include_pad": flags(),
    "divisor_override": [Bad(n) for n in (0, 0.0, np.nan, np.inf, True, "2", (2,), 2j)],
    "accumulate_dtype": [
        Bad("float99"),
        Bad(3),
        Bad(int, "int64"),
        Bad("int8", "int8"),
        Bad("complex64", "complex64"),
    ],
}


def bad_values(row, name):
    if name == "axes":
        n = len(row.shape)
        twice = (1, 1), (1, 1 - n)
        return [Bad(a) for a in (n, -n - 1, (n + 1,), *twice, (), 1.0, (1.0,), True, "x")]
    return BAD.get(name, ())


INSTEAD = {"key": "samples"}  # one of the two must be given

FIRST_ROWS = {row.function.__name__: row for row in reversed(OPERATORS)}
CASES = [
    pytest.param(row, name, bad, id=f"{row.function.__name__}-{name}-{str(bad)[:20]}")
    for row in FIRST_ROWS.values()
    for name in inspect.signature(row.function).parameters
    for bad in bad_values(row, name)
]


def call(row, **changes):
    x = row.smooth(np.random.default_rng(0), row.shape)
    bound = inspect.signature(row.function).bind(x, *row.args, **row.every_option(x))
    for name in changes:
        bound.arguments.pop(INSTEAD.get(name), None)
    bound.arguments.update(changes)
    return row.function(*bound.args, **bound.kwargs)


@pytest.mark.parametrize(("row", "name", "bad"), CASES)
def test_the_message_names_the_argument_and_the_value(row, name, bad):
    with pytest.raises((TypeError, ValueError)) as raised:
        call(row, **{name: bad.value})
    message = str(raised.value)
    assert name in message
    assert str(bad) in message or repr(bad.value) in message


@pytest.mark.parametrize("row", FIRST_ROWS.values(), ids=FIRST_ROWS)
def test_the_call_is_valid_without_the_bad_argument(row):
    call(row)


@pytest.mark.parametrize("row", FIRST_ROWS.values(), ids=FIRST_ROWS)
def test_too_few_axes(row):
    (first, *_) = inspect.signature(row.function).parameters
    for shape in [(), (7,), (7, 2)]:
        with pytest.raises(ValueError, match=rf"{first} must .* got {len(shape)} axes"):
            call(row, **{first: np.ones(shape, np.float32)})


@pytest.mark.parametrize("row", FIRST_ROWS.values(), ids=FIRST_ROWS)
def test_an_unknown_argument(row):
    x = np.ones(row.shape, np.float32)
    with pytest.raises(TypeError, match="stride_size"):
        row.function(x, *row.args, **row.every_option(x), stride_size=2)


@pytest.mark.parametrize("padding", ["SAME", "SAME_LOWER"])
def test_ceil_mode_with_a_padding_that_fixes_the_output(padding):
    with pytest.raises(ValueError, match=f"ceil_mode=True .* padding='{padding}'"):
        jaxpool.max_pool(np.ones((1, 7, 1)), 2, padding=padding, ceil_mode=True)


def test_axes_that_do_not_fit_the_window():
    with pytest.raises(ValueError, match=r"axes must name as many axes as window_shape.* got \(1,"):
        jaxpool.max_pool(np.ones((2, 6, 7, 3)), (2, 2), axes=(1,))


@pytest.mark.parametrize("pool", [jaxpool.global_max_pool, jaxpool.global_avg_pool])
def test_a_global_pooling_of_nothing(pool):
    with pytest.raises(ValueError, match=r"x must not be empty .* got shape \(2, 0, 3\)"):
        pool(np.ones((2, 0, 3)))


@pytest.mark.parametrize("pool", [jaxpool.lp_pool, jaxpool.global_lp_pool])
@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_a_norm_of_integers(pool, dtype):
    arguments = (2,) if pool is jaxpool.lp_pool else ()
    with pytest.raises(TypeError, match=f"x must be of a floating dtype, got {dtype}"):
        pool(np.ones((1, 4, 1), dtype), *arguments)


def test_a_traced_geometry_is_refused():
    x = np.ones((1, 4, 1), np.float32)
    with pytest.raises(TypeError, match="window_shape must be an int"):
        jax.jit(jaxpool.max_pool)(x, 2)
