"""The operations to which operators lower, per kind of device and inside `portable`."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from tests import modes, quick
from tests.operators import OPERATORS


def image(operator):
    x = operator.smooth(np.random.default_rng(0), (4, *operator.shape[1:]))
    if not operator.exact:  # rounding errors would grow with the batch size
        x = x * np.float32(4 / np.abs(x).max())
    return jnp.asarray(x)


def lowered(operator, platform, dtype=np.float32):
    """The program of value and gradient for a platform."""
    x = jax.ShapeDtypeStruct(operator.shape, dtype)
    function = jax.jit(functools.partial(modes.value_and_gradient, operator))
    return function.trace(x).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_the_portable_form_has_the_same_value_and_gradient(operator):
    """The portable form uses the rules for TPU; here it runs on CPU."""
    x = image(operator)
    function = functools.partial(modes.value_and_gradient, operator)
    expected = quick.jit(function)(x)
    with jaxpool.portable():
        result = quick.jit(function)(x)
    for ours, other in zip(result, expected, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_the_portable_form_is_one_program_for_all_platforms(operator):
    x = jax.ShapeDtypeStruct(operator.shape, np.float32)
    platforms = ("cpu", "cuda", "tpu")
    with jaxpool.portable():
        text = str(jax.export.export(jax.jit(operator), platforms=platforms)(x).mlir_module())
    # (JAX draws keys, and in some versions computes a sigmoid, with platform-dependent rules.)
    by_platform = "key" in str(operator) or operator.function is jaxpool.gated_pool
    assert by_platform or "stablehlo.case" not in text


PORTABLE = {
    "max_pool": "reduce_window",
    "min_pool": "reduce_window",
    "sum_pool": "reduce_window",
    "avg_pool": "reduce_window",
    "blur_pool": "convolution",
}


@pytest.mark.parametrize("name", PORTABLE)
def test_converters_recognise_the_portable_form(name):
    x = jnp.zeros((1, 8, 8, 2))
    function = functools.partial(getattr(jaxpool, name), strides=2)
    function = function if name == "blur_pool" else functools.partial(function, window_shape=2)
    with jaxpool.portable():
        text = jax.jit(function).lower(x).as_text()
    operations = set(re.findall(r"stablehlo\.(\w+)", text)) | set(re.findall(r"chlo\.(\w+)", text))
    assert f"stablehlo.{PORTABLE[name]}" in text.replace('"', "")
    plain = {"constant", "broadcast_in_dim", "divide", "multiply", "add", "maximum", "minimum"}
    shapes = {"slice", "concatenate", "pad", "reshape", "transpose", "convert", "return"}
    assert operations <= {*plain, *shapes, PORTABLE[name]}


@pytest.mark.parametrize(("size", "windows"), [(13, 1), (15, 1), (16, 2)])
def test_maxima_of_wide_windows_are_few_operations(size, windows):
    """Their values and gradients equal those on CPU, also with ties and NaN."""
    x = jnp.asarray(np.random.default_rng(0).integers(0, 9, (2, 20, 19, 3)), np.float32)
    x = x.at[0, 4, 5, 0].set(np.nan)

    def pool(x):
        return jaxpool.max_pool(x, size, strides=1, padding="SAME")

    def both(x):
        y, pull = jax.vjp(pool, x)
        return y, pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))[0]

    expected = quick.jit(both)(x)
    with jaxpool.portable():
        text = jax.jit(lambda x: pool(x)).lower(x).as_text()
        result = quick.jit(both)(x)
    assert len(re.findall(r'"?stablehlo\.reduce_window', text)) == windows
    for ours, other in zip(result, expected, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("bins", "reductions"), [(7, 49), (9, 18)])
@pytest.mark.parametrize("name", ["adaptive_max_pool", "adaptive_avg_pool"])
def test_few_uneven_bins_are_reduced_over_all_axes_at_once(name, bins, reductions):
    """More than 64 bins are reduced along one axis after the other. Values equal those on CPU."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 17, 20, 3)), np.float32)
    x = x.at[0, 4, 5, 0].set(np.nan)

    def pool(x):
        return getattr(jaxpool, name)(x, bins)

    expected = quick.jit(pool)(x)
    with jaxpool.portable():
        text = jax.jit(lambda x: pool(x)).lower(x).as_text()
        result = quick.jit(pool)(x)
    assert len(re.findall(r"stablehlo\.reduce\(", text)) == reductions
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_portable_retraces_jitted_functions():
    pool = jax.jit(lambda x: jaxpool.max_pool(x, 2))
    x = jnp.zeros((1, 4, 4, 1))

    def is_portable():
        return "reduce_window" in pool.lower(x).as_text()

    before = is_portable()
    with jaxpool.portable():
        inside = is_portable()
    assert (before, inside, is_portable()) == (False, True, False)


# Operators whose windows are not evenly spaced, or depend on data.
GATHER = {
    *("adaptive_avg_pool", "adaptive_max_pool", "adaptive_max_pool_with_argmax"),
    *("blur_pool", "max_blur_pool", "spatial_pyramid_pool", "max_unpool"),
    *("fractional_avg_pool", "fractional_max_pool", "fractional_max_pool_with_argmax"),
    *("ps_roi_align", "ps_roi_pool", "roi_align", "roi_pool"),
}


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_programs_for_gpu_contain_no_cpu_workarounds(operator):
    """No conditionals that isolate steps; for maxima no gathers and no wider dtype."""
    text = lowered(operator, "cuda")
    assert "optimization_barrier" not in text
    assert '"stablehlo.gather"' not in text or operator.function.__name__ in GATHER


MAXIMA = [row for row in OPERATORS if row.function.__name__ in ("max_pool", "min_pool")]


@pytest.mark.parametrize("operator", MAXIMA, ids=str)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_maxima_of_sixteen_bits_are_not_widened_off_cpu(operator, platform):
    x = jax.ShapeDtypeStruct(operator.shape, jnp.bfloat16)
    text = jax.jit(operator).trace(x).lower(lowering_platforms=(platform,)).as_text()
    assert "f32" not in text


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_programs_for_several_platforms_choose_one(operator):
    x = image(operator)
    exported = jax.export.export(jax.jit(operator), platforms=("cpu", "cuda", "tpu"))(x)
    result, expected = quick.jit(exported.call)(x), quick.jit(operator)(x)
    for ours, other in zip(*map(jax.tree.leaves, (result, expected)), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-5, atol=1e-5)
