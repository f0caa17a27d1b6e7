"""Every backend node test of ONNX's pooling operators, run through jaxpool."""

import importlib
import math

import jax.numpy as jnp
import numpy as np
import pytest
from onnx import helper
from onnx.backend.test.case import node

import jaxpool
from tests import quick


def spatial(x):
    return tuple(range(2, x.ndim))


def geometry(x, attributes):
    """Converts ONNX's attributes to our arguments."""
    kernel = tuple(attributes["kernel_shape"])
    pads = attributes.get("pads", [0] * 2 * len(kernel))
    names = {"SAME_UPPER": "SAME", "SAME_LOWER": "SAME_LOWER", "VALID": "VALID"}
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    return {
        "window_shape": kernel,
        "strides": tuple(attributes.get("strides", [1] * len(kernel))),
        "padding": names.get(
            auto, list(zip(pads[: len(kernel)], pads[len(kernel) :], strict=True))
        ),
        "dilation": tuple(attributes.get("dilations", [1] * len(kernel))),
        "ceil_mode": bool(attributes.get("ceil_mode", 0)),
        "axes": spatial(x),
    }


def average_pool(attributes, x):
    include = bool(attributes.get("count_include_pad", 0))
    return [jaxpool.avg_pool(x, **geometry(x, attributes), count_include_pad=include)]


def lp_pool(attributes, x):
    return [jaxpool.lp_pool(x, p=attributes.get("p", 2), **geometry(x, attributes))]


def max_pool(attributes, x):
    options = geometry(x, attributes)
    values, indices = jaxpool.max_pool_with_argmax(x, **options)
    plane = x.shape[2:]
    if attributes.get("storage_order", 0):  # column-major indices
        places = jnp.unravel_index(indices, plane)
        indices = jnp.ravel_multi_index(places, plane, mode="clip", order="F")
    # ONNX indices count all images and channels.
    images = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *[1] * len(plane))
    return [values, indices + images * math.prod(plane)]


def max_unpool(attributes, values, indices, output_shape=None):
    kernel = attributes["kernel_shape"]
    strides = attributes.get("strides", [1] * len(kernel))
    plane = [(n - 1) * s + k for n, s, k in zip(values.shape[2:], strides, kernel, strict=True)]
    within = indices % math.prod(plane)  # as in max_pool
    y = jaxpool.max_unpool(values, within, tuple(plane), axes=spatial(values))
    if output_shape is not None:  # indices refer to the smaller plane nevertheless
        y = jnp.pad(y, [(0, n - m) for n, m in zip(output_shape, y.shape, strict=True)])
    return [y]


def roi_align(attributes, x, boxes, batch_indices):
    y = jaxpool.roi_align(
        jnp.moveaxis(x, 1, -1),
        boxes,
        (attributes["output_height"], attributes["output_width"]),
        batch_indices=batch_indices,
        spatial_scale=attributes.get("spatial_scale", 1.0),
        sampling_ratio=attributes.get("sampling_ratio", 0),
        aligned=attributes.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel",
        reduce={b"avg": "mean", b"max": "max"}[attributes.get("mode", b"avg")],
    )
    return [jnp.moveaxis(y, -1, 1)]


def global_average_pool(attributes, x):
    return [jaxpool.global_avg_pool(x, axes=spatial(x), keepdims=True)]


def global_max_pool(attributes, x):
    return [jaxpool.global_max_pool(x, axes=spatial(x), keepdims=True)]


def global_lp_pool(attributes, x):
    return [jaxpool.global_lp_pool(x, p=attributes.get("p", 2), axes=spatial(x), keepdims=True)]


# The minimum number of cases; later versions of ONNX may have more.
OPERATORS = {
    "AveragePool": (average_pool, 20),
    "GlobalAveragePool": (global_average_pool, 2),
    "GlobalMaxPool": (global_max_pool, 2),
    "LpPool": (lp_pool, 8),
    "MaxPool": (max_pool, 19),
    "MaxUnpool": (max_unpool, 2),
    "RoiAlign": (roi_align, 3),
}


def cases(name):
    """The cases of an operator, which ONNX creates when their module is first imported."""
    importlib.import_module(f"{node.__name__}.{name.lower()}")
    return [case for case in node._NodeTestCases if case.model.graph.node[0].op_type == name]


def attributes(case):
    (call,) = case.model.graph.node
    return {a.name: helper.get_attribute_value(a) for a in call.attribute}


@pytest.mark.parametrize("name", OPERATORS)
def test_onnx_backend_node_tests(name, record_property):
    operator, at_least = OPERATORS[name]
    found = cases(name)
    assert len(found) >= at_least
    record_property("cases", len(found))
    sets = [(case, *data) for case in found for data in case.data_sets]
    assert len(sets) >= len(found)
    firsts = [x for _, (x, *_), _ in sets]

    @quick.jit
    def every(firsts):  # further operands are constants
        return [
            operator(attributes(case), x, *rest)
            for x, (case, (_, *rest), _) in zip(firsts, sets, strict=True)
        ]

    for (case, _, outputs), results in zip(sets, every(firsts), strict=True):
        assert results[0].dtype == outputs[0].dtype, case.name
        # The second output, the indices, is optional.
        for result, expected in zip(results, outputs, strict=False):
            np.testing.assert_allclose(
                result, expected, rtol=case.rtol, atol=case.atol, err_msg=case.name
            )


def test_onnx_has_no_case_of_global_lp_pool(record_property):
    """This test has its own case; if ONNX adds cases, move the operator to `OPERATORS`."""
    record_property("cases", 0)
    with pytest.raises(ImportError):
        cases("GlobalLpPool")
    x = np.array([3.0, 4.0, 0.0, 12.0, 0.0, 0.0], np.float32).reshape(1, 1, 2, 3)
    np.testing.assert_allclose(global_lp_pool({"p": 2}, x), [np.full((1, 1, 1, 1), 13)])
