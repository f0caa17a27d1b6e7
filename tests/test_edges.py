"""Edge cases of arguments, over the table of operators."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

import jaxpool
from jaxpool import nn
from jaxpool.compat import lax as ours
from tests import quick
from tests.operators import BOXES, OPERATORS

pytestmark = pytest.mark.usefixtures("compile_quickly")

NO_OPERATIONS = ("int2", "uint2", "float4_e2m1fn", "float8_e8m0fnu")
EIGHT_BITS = ("float8_e4m3fn", "float8_e5m2")
FLOATS_ONLY = (
    jaxpool.stochastic_pool,
    jaxpool.reduce_window,
)  # (reduce_window: its row has the initial value -inf)
CHOOSE_INTEGERS = [row for row in OPERATORS if row.exact and row.function not in FLOATS_ONLY]
BOXED = [row for row in OPERATORS if "boxes" in str(row.function.__doc__).split("Args:")[1][:200]]


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_dtypes_without_operations_are_refused(operator):
    for dtype in filter(hasattr_of(jnp), NO_OPERATIONS):
        with pytest.raises(TypeError, match=dtype):
            operator(jnp.zeros(operator.shape, dtype))


def hasattr_of(module):
    return lambda name: hasattr(module, name)


@pytest.mark.parametrize("operator", [row for row in OPERATORS if row.exact], ids=str)
@pytest.mark.parametrize("dtype", EIGHT_BITS)
def test_eight_bit_floats_are_selected_as_in_float32(operator, dtype):
    x = jnp.asarray(operator.smooth(np.random.default_rng(0), operator.shape)).astype(dtype)
    y = operator(x)
    assert y.dtype == dtype
    wide = operator(x.astype(np.float32)).astype(np.float32)
    bounds = float(jnp.finfo(dtype).max)  # some dtypes have no infinities
    np.testing.assert_array_equal(
        np.clip(y.astype(np.float32), -bounds, bounds), np.clip(wide, -bounds, bounds)
    )


@pytest.mark.parametrize("operator", CHOOSE_INTEGERS, ids=str)
@pytest.mark.parametrize("dtype", ["int4", "uint4"])
def test_four_bit_integers_are_selected_as_in_int8(operator, dtype):
    x = np.random.default_rng(0).integers(0 if dtype == "uint4" else -7, 7, operator.shape)
    x, wide = jnp.asarray(x).astype(dtype), jnp.asarray(x).astype(dtype.replace("4", "8"))
    y, expected = operator(x).astype(np.int32), operator(wide).astype(np.int32)
    assert operator(x).dtype == x.dtype
    lowest, highest = int(jnp.iinfo(dtype).min), int(jnp.iinfo(dtype).max)
    np.testing.assert_array_equal(
        y, np.clip(expected, lowest, highest)
    )  # also for windows without elements


@pytest.mark.parametrize("operator", [row for row in OPERATORS if row not in BOXED], ids=str)
def test_a_batch_may_be_empty(operator):
    x = jnp.zeros((0, *operator.shape[1:]))
    y, gradient = quick.jit(lambda x: (operator(x), jax.grad(lambda x: operator(x).sum())(x)))(x)
    assert y.size == 0
    assert y.shape[1:] == jax.eval_shape(lambda x: operator(x), np.zeros(operator.shape)).shape[1:]
    assert gradient.shape == x.shape


@pytest.mark.parametrize("operator", BOXED, ids=str)
@pytest.mark.parametrize("images", [0, 2])
def test_there_may_be_no_boxes_and_no_images(operator, images):
    _, output = operator.args
    x = jnp.zeros((images, *operator.shape[1:]))
    options = operator.options | {"batch_indices": np.zeros(0, np.int32)}
    y = operator.function(x, np.zeros((0, 4), np.float32), output, **options)
    assert y.shape[0] == 0
    if images == 0:
        assert operator.function(x, np.zeros((0, 4)), output).shape == y.shape
        with pytest.raises(ValueError, match=r"batch_indices|boxes"):
            operator.function(x, BOXES, output, batch_indices=np.zeros(5, np.int32))


@pytest.mark.parametrize("operator", [row for row in BOXED if "max" not in str(row)], ids=str)
def test_a_box_with_a_nan_has_no_elements(operator):
    """In every pooling over boxes."""
    boxes = np.repeat(BOXES[:1], 4, 0)
    np.fill_diagonal(boxes, np.nan)
    x = jnp.ones((1, *operator.shape[1:]))
    options = operator.options | {"batch_indices": np.zeros(4, np.int32)}
    y = operator.function(x, boxes, operator.args[1], **options)
    assert not y.any()


@pytest.mark.parametrize(
    "pool",
    [
        lambda x, two: jaxpool.max_pool(x, two),
        lambda x, two: jaxpool.adaptive_max_pool(x, two),
        lambda x, two: jaxpool.adaptive_avg_pool(x, two),
        lambda x, two: jaxpool.fractional_max_pool(x, 2, two, samples=np.full(1, 0.5, np.float32)),
        lambda x, two: jaxpool.fractional_avg_pool(
            x, two, two, samples=np.full(1, 0.5, np.float32)
        ),
        lambda x, two: jaxpool.max_unpool(x, np.zeros(x.shape, int), two),
        lambda x, two: jaxpool.spatial_pyramid_pool(x, two, axes=(0, 1)),
    ],
)
def test_a_numpy_array_of_sizes_is_a_tuple(pool):
    """Two sizes pool the two axes of one image, whether they are a tuple or an array."""
    x = jnp.arange(4 * 4 * 3.0).reshape(4, 4, 3)
    np.testing.assert_array_equal(pool(x, np.array([2, 2])), pool(x, (2, 2)))


MORE = {"top_k_pool": (1,), "gated_pool": (np.ones((2, 1), np.float32),)}
PADDED = [
    operator
    for operator in (getattr(jaxpool, name) for name in jaxpool.pooling.__all__)
    if {"where", "padding"} <= {*inspect.signature(operator).parameters}
]


@pytest.mark.parametrize("operator", PADDED, ids=lambda operator: operator.__name__)
def test_a_mask_of_ones_changes_nothing_if_windows_lie_in_padding(operator):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 2)).astype(np.float32))
    more = MORE.get(operator.__name__, ())
    plain, masked = (
        quick.jit(lambda x, where=where: operator(x, 2, *more, padding=4, where=where))(x)
        for where in (None, np.ones((1, 5, 1), bool))
    )
    for y, other in zip(jax.tree.leaves(plain), jax.tree.leaves(masked), strict=True):
        np.testing.assert_allclose(y, other, rtol=1e-5, atol=1e-6)


def test_none_keeps_the_size_of_an_axis():
    x = jnp.arange(2 * 5 * 7 * 3.0).reshape(2, 5, 7, 3)
    for pool in (jaxpool.adaptive_max_pool, jaxpool.adaptive_avg_pool):
        np.testing.assert_array_equal(pool(x, (None, 3)), pool(x, (5, 3)))
        np.testing.assert_array_equal(pool(x, (None,), axes=1), x)
        np.testing.assert_array_equal(pool(x, None), x)
    np.testing.assert_array_equal(
        jaxpool.adaptive_max_pool_with_argmax(x, (2, None))[1],
        jaxpool.adaptive_max_pool_with_argmax(x, (2, 7))[1],
    )
    np.testing.assert_array_equal(nn.AdaptiveAvgPool((None, 3))(x), nn.AdaptiveAvgPool((5, 3))(x))


PARAMETERS = {
    "p of gem_pool": (lambda x, p: jaxpool.gem_pool(x, 2, p), 2.5),
    "temperature of logsumexp_pool": (lambda x, t: jaxpool.logsumexp_pool(x, 2, t), 0.5),
    "alpha of mixed_pool": (lambda x, a: jaxpool.mixed_pool(x, 2, a), 0.25),
    "weights of gated_pool": (lambda x, w: jaxpool.gated_pool(x, 2, w), np.ones((2, 3))),
    "mask of max_pool": (lambda x, m: jaxpool.max_pool(x, 2, where=m), np.arange(8)[:, None] > 2),
    "x of max_pool": (lambda x, y: jaxpool.max_pool(y, 2) + x.sum(), np.ones((2, 8, 3))),
    "samples of fractional_max_pool": (
        lambda x, s: jaxpool.fractional_max_pool(x, 2, 5, samples=s),
        np.full((1, 1, 1), 0.3),
    ),
    "init_value of reduce_window": (
        lambda x, i: jaxpool.reduce_window(x, i, jnp.maximum, (1, 2, 1)),
        1.0,
    ),
    "boxes of roi_align": (lambda x, b: jaxpool.roi_align(x[0][None], b, 2), BOXES),
}


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_nnx_variables_are_accepted_as_arrays(parameter):
    function, value = PARAMETERS[parameter]
    x = jnp.arange(48.0).reshape(2, 8, 3) / 7 + 0.1
    if "boxes" in parameter:
        x = jnp.ones((1, 4, 5, 2))
        function, value = (lambda x, b: jaxpool.roi_align(x[0], b, 2)), BOXES
    value = jnp.asarray(value)
    expected = function(x, value)
    for kind in (nnx.Param, nnx.Variable):
        np.testing.assert_array_equal(function(x, kind(value)), expected)
        np.testing.assert_array_equal(jax.jit(function)(x, kind(value)), expected)


def test_nnx_tabulate_works_with_every_module():
    """`nnx.tabulate` must not change the modules."""

    class Model(nnx.Module):
        def __init__(self):
            self.pools = nnx.List(
                [
                    *(nn.MaxPool(2, strides=1), nn.MinPool(2, strides=1), nn.AvgPool(2, strides=1)),
                    *(nn.SumPool(2, strides=1), nn.LpPool(2, strides=1), nn.SoftPool(2, strides=1)),
                    *(nn.GemPool(2, strides=1), nn.MedianPool(2, strides=1), nn.MixedPool(2)),
                    *(nn.LearnedGemPool(2), nn.BlurPool(), nn.StochasticPool(2, strides=1)),
                    *(nn.LogSumExpPool(2), nn.AdaptiveMaxPool(4), nn.AdaptiveAvgPool(3)),
                    nn.GlobalAvgPool(keepdims=True),
                ]
            )

        def __call__(self, x):
            for pool in self.pools:
                x = pool(x)
            return x

    model, x = Model(), jnp.arange(1 * 64 * 64 * 2.0).reshape(1, 64, 64, 2)
    model.eval()
    before = model(x)
    table = nnx.tabulate(model, x, console_kwargs={"width": 200})
    assert "MaxPool" in table
    np.testing.assert_array_equal(model(x), before)


def test_compat_lax_forwards_other_names_to_lax():
    assert ours.add(1, 2) == 3
    assert "conv_general_dilated" in dir(ours)
    with pytest.raises(AttributeError, match="no_such_name"):
        ours.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "arguments",
    [
        {"window_dimensions": (2, 2)},
        {"window_dimensions": (1, 0, 2, 1)},
        {"window_strides": (2, 2)},
        {"window_strides": (1, -1, 2, 1)},
        {"padding": "FULL"},
        {"padding": ((0, 0),)},
        {"padding": 2},
        {"base_dilation": (1, 0, 1, 1)},
        {"window_dilation": (1,)},
        {"init_value": jnp.zeros(2)},
        {"init_value": (0.0,)},
        {"operand": [1.0, 2.0]},
    ],
    ids=str,
)
def test_the_drop_in_for_lax_raises_errors_of_the_same_class(arguments):
    call = {
        "operand": jnp.ones((1, 8, 8, 1)),
        "init_value": 0.0,
        "computation": jax.lax.add,
        "window_dimensions": (1, 2, 2, 1),
        "window_strides": (1, 2, 2, 1),
        **arguments,
    }
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        jax.lax.reduce_window(**{"padding": "VALID", **call})
    with pytest.raises(theirs.type):
        ours.reduce_window(**call)


def test_the_drop_in_for_lax_exports_symbolic_pooled_sizes():
    def pooled(x):
        return ours.reduce_window(x, -np.inf, jax.lax.max, (1, 2, 1), (1, 2, 1), "SAME")

    batch, length = export.symbolic_shape("batch, length")
    exported = export.export(jax.jit(pooled))(jax.ShapeDtypeStruct((batch, length, 3), np.float32))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32))
    np.testing.assert_array_equal(exported.call(x), pooled(x))
