"""The table of JAX modes. In each, every operator must return the result of a plain call.

A mode is a function `run(operator, x)` that yields pairs (result, expected), for example of a value
with its gradient. To add a mode, add a function to `MODES`.
"""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify, jet
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from tests import quick
from tests.operators import MASK

DEVICES = 8


def value_and_gradient(function, x):
    """The value, and its vector-Jacobian product with a cotangent of distinct entries."""
    y, pull_back = jax.vjp(function, x)
    cotangent = np.cos(np.arange(y.size)).astype(y.dtype).reshape(y.shape)
    # With the sharding and the varying axes of y.
    cotangent = jnp.where(jnp.ones_like(y, bool), cotangent, y)
    return y, pull_back(cotangent)[0]


@functools.cache
def compiled(operator):
    return quick.jit(functools.partial(value_and_gradient, operator))


def sharded_mapping(operator, x):
    """`shard_map` over the batch: each device pools its own images."""
    mesh = jax.make_mesh((DEVICES,), ("d",), axis_types=(AxisType.Auto,))
    alone = [compiled(operator)(part) for part in jnp.split(x, DEVICES)]
    mapped = jax.shard_map(
        functools.partial(value_and_gradient, operator),
        mesh=mesh,
        in_specs=P("d"),
        out_specs=P("d"),
    )
    yield quick.jit(mapped)(x), jax.tree.map(lambda *parts: jnp.concatenate(parts), *alone)


def explicit(devices, spec):
    """Explicit sharding; `spec` shards the first axis, the last axis or none."""

    def run(operator, x):
        mesh = jax.make_mesh((devices,), ("d",), axis_types=(AxisType.Explicit,))
        entries = [spec[0], *[None] * (x.ndim - 2), spec[1]]
        with jax.set_mesh(mesh):
            placed = jax.device_put(np.asarray(x), NamedSharding(mesh, P(*entries)))
            result = quick.jit(functools.partial(value_and_gradient, operator))(placed)
        assert jax.typeof(result[1]).sharding.spec == P(*entries)
        yield result, compiled(operator)(x)

    return run


def without_jit(operator, x):
    with jax.disable_jit():
        result = value_and_gradient(operator, x)
    yield result, compiled(operator)(x)


def strict_promotion(operator, x):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        result = quick.jit(functools.partial(value_and_gradient, operator))(x)
    yield result, compiled(operator)(x)


def masked(operator, x):
    """The operator with its own mask, or with a generated mask."""
    mask = operator.options.get("where")
    if mask is None:
        numbers = np.arange(np.prod(x.shape[1:-1])).reshape(1, *x.shape[1:-1], 1)
        mask = MASK if x.ndim == 3 else numbers % 3 > 0
    return dataclasses.replace(operator, options=operator.options | {"where": mask})


def debug_nans(operator, x):
    """NaN only at masked elements; without an outer jit, so that every step is checked."""
    with_mask = masked(operator, x)
    spoilt = jnp.where(with_mask.options["where"], x, np.nan)
    with jax.debug_nans(True):
        result = value_and_gradient(with_mask, spoilt)
    yield result, compiled(with_mask)(x)


def debug_infs(operator, x):
    expected = compiled(operator)(x)
    if not np.isfinite(expected[0]).all():  # the maximum of a window without elements is -inf
        with pytest.raises(FloatingPointError), jax.debug_infs(True):
            operator(x)
        return
    with jax.debug_infs(True):
        yield value_and_gradient(operator, x), expected


def checking_leaks(operator, x):
    function = functools.partial(value_and_gradient, operator)
    with jax.checking_leaks():
        traced = jax.jit(function).trace(x)
    yield shapes(traced.out_info), shapes(compiled(operator)(x))


def checked(operator, x):
    """`checkify.all_checks`, except the NaN check if the result itself contains infinities."""
    expected = compiled(operator)(x)
    finite = all(np.isfinite(array).all() for array in expected)
    errors = checkify.all_checks if finite else checkify.index_checks | checkify.div_checks
    function = checkify.checkify(functools.partial(value_and_gradient, operator), errors)
    error, result = quick.jit(function)(x)
    error.throw()
    yield result, expected


def taylor(operator, x):
    """`jet` to order 2, against forward-mode derivatives along the same curve."""
    first = np.sin(np.arange(x.size)).reshape(x.shape)
    second = np.cos(first)

    @quick.jit
    def by_jet(x):
        y, terms = jet.jet(operator, (x,), ((first, second),))
        return y, *terms

    @quick.jit
    def by_forward_mode(x):
        def along_the_curve(t):
            return operator(x + t * first + t * t / 2 * second)

        def slope(t):
            return jax.jvp(along_the_curve, (t,), (1.0,))

        (y, dy), (_, ddy) = jax.jvp(slope, (0.0,), (1.0,))
        return y, dy, ddy

    with jax.enable_x64(True):
        yield by_jet(jnp.float64(x)), by_forward_mode(jnp.float64(x))


def shapes(results):
    return jax.tree.map(lambda y: f"{y.dtype}{y.shape}", results)


def lowered(operator, x):
    """Lowers for absent devices: alone, under `shard_map`, and with explicit sharding."""
    function = functools.partial(value_and_gradient, operator)
    mesh = jax.make_mesh((DEVICES,), ("d",), axis_types=(AxisType.Auto,))
    mapped = jax.shard_map(function, mesh=mesh, in_specs=P("d"), out_specs=P("d"))
    mesh = jax.make_mesh((DEVICES,), ("d",), axis_types=(AxisType.Explicit,))
    typed = jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, P("d")))
    for called, argument in (function, x), (mapped, x), (function, typed):
        traced = jax.jit(called).trace(argument)
        for platform in ("cuda", "tpu"):
            out = traced.lower(lowering_platforms=(platform,)).out_info
            yield shapes(out), shapes(jax.eval_shape(called, argument))


def apply(mode, operator):
    """Whether the mode applies to the operator."""
    return mode != "debug_nans" or "where" in inspect.signature(operator.function).parameters


MODES = {
    "shard_map": sharded_mapping,
    "explicit sharding of the batch": explicit(DEVICES, ("d", None)),
    "explicit sharding of channels": explicit(2, (None, "d")),
    "explicit mesh of one device": explicit(1, ("d", None)),
    "disable_jit": without_jit,
    "strict promotion": strict_promotion,
    "debug_nans": debug_nans,
    "debug_infs": debug_infs,
    "checking_leaks": checking_leaks,
    "checkify": checked,
    "jet": taylor,
    "lowering for cuda and tpu": lowered,
}
