"""What every primitive of the engine has in common: how it is bound, evaluated, lowered, batched.

A primitive's code is one function, told whether XLA:CPU compiles it. The code is traced while the
program is lowered, on the shapes and dtypes of the operands alone: meshes, shardings and varying
axes are the concern of the types outside, never of the code.
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

from jaxpool.engine.target import CPU, CPUS, GPU, GPUS, TPU, TPUS


def implement(primitive: Primitive, code: Callable[..., Any], parameters: Sequence[str]) -> None:
    """Define what a primitive computes.

    Args:
        primitive: The primitive.
        code: `code(*operands, target=..., **parameters)`, in terms of other primitives.
        parameters: The names of its parameters.
    """
    compiled = jax.jit(primitive.bind, static_argnames=tuple(parameters))

    def evaluate(*operands: jax.Array, **parameters: Any) -> Any:
        with jax.disable_jit(False):  # else `compiled` would evaluate the primitive again
            return compiled(*operands, **parameters)

    primitive.def_impl(evaluate)
    jet.jet_rules[primitive] = functools.partial(_taylor, primitive)
    mlir.register_lowering(primitive, _lowering(code, primitive.multiple_results))


is_portable = jax.make_user_context(default_value=False)
"""Whether programs are lowered to the form that is one for all platforms."""


def _lowering(code: Callable[..., Any], multiple_results: bool) -> Callable[..., Any]:
    def rule(context: Any, *operands: Any, **parameters: Any) -> Any:
        plain = [ShapedArray(aval.shape, aval.dtype) for aval in context.avals_in]
        form = _form(context, functools.partial(code, **parameters))
        lower = mlir.lower_fun(form, multiple_results=multiple_results)
        context = context.replace(avals_in=plain)
        if is_portable.value:  # no rules of JAX for some platforms either
            context = context.replace(platforms=("tpu",))
        with use_abstract_mesh(AbstractMesh((), ())):
            return lower(context, *operands)

    return rule


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
    if isinstance(axes, mlir.SPMDAxisContext):  # inside a `shard_map`, of all mesh axes or of some
        return axes.manual_axes != frozenset(axes.mesh.axis_names) and axes.mesh.size > 1
    return (getattr(axes, "num_devices", None) or 1) > 1


def bind(primitive: Primitive, *operands: jax.Array, **parameters: Any) -> Any:
    """`primitive.bind`, with operands that all vary over the same axes of a `shard_map`."""
    return primitive.bind(*vary_alike(*operands), **parameters)


def vary_alike(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """The arrays, each made to vary over every mesh axis over which one of them varies.

    Only then is the cotangent of an operand that is the same on all devices summed over them: that
    sum is the transpose of making it vary.
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
    """The type of a result that varies over mesh axes as `operand` does, and is sharded alike.

    Args:
        operand: The type of an operand.
        shape: The shape of the result; one of another rank is not sharded.
        dtype: Its dtype; None for that of the operand.
    """
    sharding = operand.sharding
    if len(shape) != len(operand.shape):
        sharding = sharding.update(spec=P(*(None for _ in shape)))
    dtype = operand.dtype if dtype is None else dtype
    return operand.update(shape=tuple(shape), dtype=dtype, sharding=sharding, weak_type=False)


def _taylor(
    primitive: Primitive, primals: Sequence[Any], series: Sequence[Any], **parameters: Any
) -> tuple[Any, Any]:
    """The rule of `jax.experimental.jet`: derivatives along the curve that the series describe.

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


def batched(
    primitive: Primitive, operands: Sequence[Any], dims: Sequence[Any], **parameters: Any
) -> tuple[Any, Any]:
    """The batching rule of a primitive that lets leading axes through."""
    size = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)
    moved = [
        lax.broadcast(x, (size,)) if d is None else jnp.moveaxis(x, d, 0)
        for x, d in zip(operands, dims, strict=True)
    ]
    results = bind(primitive, *moved, **parameters)
    return results, [0] * len(results) if primitive.multiple_results else 0


def adjoint_pair(
    name: str,
    collect: Callable[..., jax.Array],
    distribute: Callable[..., jax.Array],
    parameters: Sequence[str],
) -> tuple[Primitive, Primitive]:
    """Two primitives, linear in their first operand, each the other's transpose.

    Args:
        name: Of what they do.
        collect: The code of the one, from input-shaped arrays to output-shaped ones.
        distribute: The code of the other, from output-shaped arrays to input-shaped ones.
        parameters: The names of their parameters; one is `window`, which says what the shapes are.

    Returns:
        The primitives, whose further operands have no tangents that matter.
    """
    pair = Primitive(f"{name}_collect"), Primitive(f"{name}_distribute")

    def define(primitive: Primitive, code: Callable[..., jax.Array], size: str) -> None:
        implement(primitive, code, parameters)

        def abstract(x: Any, *_: Any, window: Any, **rest: Any) -> ShapedArray:
            del rest
            shape = list(x.shape)
            for position, axis in zip(window.positions, window.axes, strict=True):
                shape[position] = getattr(axis, size)
            return result_type(x, shape)

        def jvp(primals: Any, tangents: Any, **rest: Any) -> tuple[jax.Array, Any]:
            out = bind(primitive, *primals, **rest)
            if type(tangents[0]) is ad.Zero:
                return out, ad.Zero(jax.typeof(out).to_tangent_aval())
            return out, bind(primitive, tangents[0], *primals[1:], **rest)

        def transpose(cotangent: Any, x: Any, *others: Any, **rest: Any) -> list[Any]:
            nothing = [None] * len(others)
            if type(cotangent) is ad.Zero:
                return [ad.Zero(x.aval), *nothing]
            return [bind(adjoint, cotangent, *others, **rest), *nothing]

        adjoint = pair[primitive is pair[0]]
        primitive.def_abstract_eval(abstract)
        batching.primitive_batchers[primitive] = functools.partial(batched, primitive)
        ad.primitive_jvps[primitive] = jvp
        ad.primitive_transposes[primitive] = transpose

    define(pair[0], collect, "output")
    define(pair[1], distribute, "size")
    return pair


def search(name: str, code: Callable[..., jax.Array], parameters: Sequence[str]) -> Callable:
    """A function whose result is one array of integers, with no derivative: a primitive.

    Args:
        name: The primitive's name.
        code: `code(*operands, target=..., **parameters)`. It may loop, and be any other JAX
            program.
        parameters: The names of its parameters.

    Returns:
        `function(*operands, **parameters)`.
    """
    primitive = Primitive(name)

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
        return result, ad.Zero(jax.typeof(result).to_tangent_aval())

    def batch(operands: Any, dims: Any, *, mapped: Sequence[Any], **rest: Any) -> tuple[Any, int]:
        moved = [
            x if d is None else jnp.moveaxis(x, d, 0) for x, d in zip(operands, dims, strict=True)
        ]
        axes = tuple(None if d is None else 0 for d in dims)
        return bind(primitive, *moved, mapped=(*mapped, axes), **rest), 0

    implement(primitive, mapped_code, [*parameters, "mapped"])
    primitive.def_abstract_eval(abstract)
    ad.primitive_jvps[primitive] = jvp
    batching.primitive_batchers[primitive] = batch

    @functools.wraps(code)
    def function(*operands: jax.Array, **rest: Any) -> jax.Array:
        return bind(primitive, *operands, mapped=(), **rest)

    return function


# The same integers. Inside a `jax.jit`, `jet` differentiates even integers, and has no rule for
# what is computed with them; the result of a search it knows to be constant.
integers = search("jaxpool_integers", lambda x, target: x, [])
