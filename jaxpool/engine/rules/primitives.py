"""Definition of primitives: evaluation, derivatives, batching, sharding and lowering.

The code of a primitive is one function of its operands and the target of the program. The code is
traced when the program is lowered, with the shapes and dtypes of the operands only. Meshes,
shardings and varying axes are part of the types outside, not of the code.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import ShapedArray
from jax.experimental import jet
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AbstractMesh, use_abstract_mesh
from jax.sharding import PartitionSpec as P

from jaxpool.engine.plan.target import CPU, CPUS, GPU, GPUS, TPU, TPUS, is_portable
from jaxpool.window import Window


def pooled_type(
    x: Any, *_: Any, window: Window, transposed: bool = False, **parameters: Any
) -> ShapedArray:
    """The type of one result per window of the first operand or, transposed, of one per input."""
    del parameters
    return result_type(x, (window.input_shape if transposed else window.output_shape)(x.shape))


def define(
    name: str,
    code: Callable[..., Any],
    parameters: Sequence[str],
    *,
    jvp: Callable[..., Any],
    abstract: Callable[..., Any] = pooled_type,
    batch: Callable[..., Any] | None = None,
    transpose: Callable[..., Any] | None = None,
    multiple_results: bool = False,
) -> Primitive:
    """A primitive with all its rules.

    Args:
        name: Its name in jaxprs.
        code: `code(*operands, target=..., **parameters)`, in terms of other primitives.
        parameters: The names of its parameters.
        jvp: `jvp(primals, tangents, **parameters)`.
        abstract: `abstract(*types, **parameters)`, the type of the result.
        batch: `batch(operands, dims, **parameters)`; None if leading axes may be added.
        transpose: `transpose(cotangent, *operands, **parameters)`, of one that is linear.
        multiple_results: Whether the result is a list.
    """
    primitive = Primitive(name)
    primitive.multiple_results = multiple_results
    compiled = jax.jit(primitive.bind, static_argnames=tuple(parameters))

    def evaluate(*operands: jax.Array, **parameters: Any) -> Any:
        with jax.disable_jit(False):  # otherwise `compiled` would evaluate the primitive again
            return compiled(*operands, **parameters)

    primitive.def_impl(evaluate)
    jet.jet_rules[primitive] = functools.partial(_taylor, primitive)
    mlir.register_lowering(primitive, _lowering(code, multiple_results))
    primitive.def_abstract_eval(abstract)
    ad.primitive_jvps[primitive] = jvp
    if transpose is not None:
        ad.primitive_transposes[primitive] = transpose
    rule = functools.partial(_batch, primitive) if batch is None else batch
    batching.primitive_batchers[primitive] = rule
    return primitive


def _lowering(code: Callable[..., Any], multiple_results: bool) -> Callable[..., Any]:
    def lowering(context: Any, *operands: Any, **parameters: Any) -> Any:
        plain = [ShapedArray(aval.shape, aval.dtype) for aval in context.avals_in]
        form = _form(context, functools.partial(code, **parameters))
        lower = mlir.lower_fun(form, multiple_results=multiple_results)
        context = context.replace(avals_in=plain)
        if is_portable.value:  # JAX's rules too: one for all platforms
            context = context.replace(platforms=("tpu",))
        with use_abstract_mesh(AbstractMesh((), ())):
            return lower(context, *operands)

    return lowering


def _form(context: Any, code: Callable[..., Any]) -> Callable[..., Any]:
    """The code for the platforms for which a program is lowered."""
    platforms = context.platforms or context.module_context.platforms
    cpu, gpu, tpu = (CPUS, GPUS, TPUS) if _is_divided(context) else (CPU, GPU, TPU)
    known = {"cpu": cpu, "tpu": tpu}
    targets = {p: known.get(p, gpu) for p in platforms}
    if is_portable.value:
        targets = dict.fromkeys(platforms, TPU)
    forms = {p: functools.partial(code, target=target) for p, target in targets.items()}
    if len(set(targets.values())) == 1:
        return next(iter(forms.values()))
    return lambda *operands: lax.platform_dependent(*operands, **forms)


def _is_divided(context: Any) -> bool:
    """Whether XLA divides the program that is being lowered among several devices."""
    axes = context.module_context.axis_context
    if isinstance(axes, mlir.SPMDAxisContext):  # inside a `shard_map` over some or all mesh axes
        return axes.manual_axes != frozenset(axes.mesh.axis_names) and axes.mesh.size > 1
    return (getattr(axes, "num_devices", None) or 1) > 1


def bind(primitive: Primitive, *operands: jax.Array | None, **parameters: Any) -> Any:
    """`primitive.bind` of the operands that are not None, after `vary_alike`."""
    given = (operand for operand in operands if operand is not None)
    return primitive.bind(*vary_alike(*given), **parameters)


def vary_alike(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Make all arrays vary over every mesh axis over which one of them varies.

    The transpose of this conversion sums the cotangent of an operand that is equal on all devices
    over these devices.
    """
    varying = [jax.typeof(x).mat.varying for x in arrays]
    every = frozenset().union(*varying)
    if all(axes == every for axes in varying):
        return arrays
    return tuple(
        lax.pcast(x, tuple(every - axes), to="varying") if every - axes else x
        for x, axes in zip(arrays, varying, strict=True)
    )


def result_type(
    operand: ShapedArray, shape: Sequence[Any], dtype: np.dtype | None = None
) -> ShapedArray:
    """The type of a result with the varying mesh axes and the sharding of `operand`.

    A result of another rank is not sharded.
    """
    sharding = operand.sharding
    if len(shape) != len(operand.shape):
        sharding = sharding.update(spec=P(*(None for _ in shape)))
    dtype = operand.dtype if dtype is None else dtype
    return operand.update(shape=tuple(shape), dtype=dtype, sharding=sharding, weak_type=False)


def _taylor(
    primitive: Primitive, primals: Sequence[Any], series: Sequence[Any], **parameters: Any
) -> tuple[Any, Any]:
    """The rule of `jax.experimental.jet`: derivatives along the curve given by the series.

    The coefficient of order `n` is the `n`-th derivative at 0, divided by `n!`.
    """

    def along_the_curve(t: Any) -> list[jax.Array]:
        operands: list[Any] = [
            sum((term * t**n for n, term in enumerate(terms, 1)), primal)
            if jnp.issubdtype(primal.dtype, jnp.inexact)
            else primal
            for primal, terms in zip(primals, series, strict=True)
        ]
        result = bind(primitive, *operands, **parameters)
        return list(result) if primitive.multiple_results else [result]

    def slope(function: Callable[[Any], list[jax.Array]], t: Any) -> list[jax.Array]:
        return jax.jvp(function, (t,), (1.0,))[1]

    function, values, derivatives = along_the_curve, along_the_curve(0.0), []
    for _ in series[0]:
        function = functools.partial(slope, function)
        derivatives.append(function(0.0))
    coefficients = [
        [y / math.factorial(order) for order, y in enumerate(terms, 1)]
        if jnp.issubdtype(value.dtype, jnp.inexact)
        else jet.zero_series
        for value, terms in zip(values, zip(*derivatives, strict=True), strict=True)
    ]
    if primitive.multiple_results:
        return values, coefficients
    return values[0], coefficients[0]


def zero_tangent(y: Any) -> ad.Zero:
    """A symbolic zero tangent of `y`."""
    return ad.Zero(jax.typeof(y).to_tangent_aval())


def is_zero(tangent: Any) -> bool:
    """Whether JAX knows that this tangent or cotangent is zero."""
    return type(tangent) is ad.Zero


def leading(operands: Sequence[Any], dims: Sequence[Any]) -> list[Any]:
    """The operands with mapped axes moved to the front; unmapped operands are unchanged."""
    pairs = zip(operands, dims, strict=True)
    return [x if d is None else jnp.moveaxis(x, d, 0) for x, d in pairs]


def _batch(
    primitive: Primitive, operands: Sequence[Any], dims: Sequence[Any], **parameters: Any
) -> tuple[Any, Any]:
    """The batching rule of a primitive that accepts additional leading axes."""
    size = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)
    pairs = zip(leading(operands, dims), dims, strict=True)
    moved = [lax.broadcast(x, (size,)) if d is None else x for x, d in pairs]
    results = bind(primitive, *moved, **parameters)
    return results, [0] * len(results) if primitive.multiple_results else 0


def linear_map(
    name: str,
    code: Callable[..., jax.Array],
    parameters: Sequence[str],
    *,
    jvp: Callable[..., Any] | None = None,
    abstract: Callable[..., Any] = pooled_type,
    batch: Callable[..., Any] | None = None,
) -> Primitive:
    """A primitive that is linear in its first operand: a map or, if `transposed`, its transpose.

    The arguments are those of `define`, except that `code` and all rules receive the parameter
    `transposed`. `jvp` is None if the other operands have no tangents.
    """

    def jvp_of_first(primals: Any, tangents: Any, **rest: Any) -> tuple[jax.Array, Any]:
        out = bind(primitive, *primals, **rest)
        if is_zero(tangents[0]):
            return out, zero_tangent(out)
        return out, bind(primitive, tangents[0], *primals[1:], **rest)

    def transpose(cotangent: Any, x: Any, *others: Any, transposed: bool, **rest: Any) -> list[Any]:
        result = ad.Zero(x.aval)
        if not is_zero(cotangent):
            result = bind(primitive, cotangent, *others, transposed=not transposed, **rest)
        return [result, *[None] * len(others)]

    primitive = define(
        name,
        code,
        [*parameters, "transposed"],
        jvp=jvp or jvp_of_first,
        abstract=abstract,
        batch=batch,
        transpose=transpose,
    )
    return primitive


def search(name: str, code: Callable[..., jax.Array], parameters: Sequence[str]) -> Callable:
    """A primitive as `function(*operands, **parameters)`: one array of integers, no derivative.

    `code(*operands, target=..., **parameters)` may be any JAX program, including loops.
    """

    def mapped_code(*operands: jax.Array, mapped: Sequence[Any], **rest: Any) -> jax.Array:
        """`code`, mapped by `vmap` once for each entry of `mapped`, the outermost one last."""
        function = functools.partial(code, **rest)
        for axes in mapped:
            function = jax.vmap(function, in_axes=axes)
        return function(*operands)

    def abstract(*operands: Any, **rest: Any) -> ShapedArray:
        with use_abstract_mesh(AbstractMesh((), ())):
            plain = (jax.ShapeDtypeStruct(x.shape, x.dtype) for x in operands)
            result = jax.eval_shape(functools.partial(mapped_code, target=GPU, **rest), *plain)
        return result_type(operands[0], result.shape, result.dtype)

    def jvp(primals: Any, tangents: Any, **rest: Any) -> tuple[jax.Array, ad.Zero]:
        del tangents
        result = bind(primitive, *primals, **rest)
        return result, zero_tangent(result)

    def batch(operands: Any, dims: Any, *, mapped: Sequence[Any], **rest: Any) -> tuple[Any, int]:
        axes = tuple(None if d is None else 0 for d in dims)
        return bind(primitive, *leading(operands, dims), mapped=(*mapped, axes), **rest), 0

    names = [*parameters, "mapped"]
    primitive = define(name, mapped_code, names, jvp=jvp, abstract=abstract, batch=batch)

    @functools.wraps(code)
    def function(*operands: jax.Array, **rest: Any) -> jax.Array:
        return bind(primitive, *operands, mapped=(), **rest)

    return function


# Returns the same integers. Inside `jax.jit`, `jet` also differentiates integers and lacks rules
# for some integer operations. The result of a search is a constant for `jet`.
integers = search("jaxpool_integers", lambda x, target: x, [])
