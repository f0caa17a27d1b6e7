"""Windowed sums whose weights depend on element and window, and their adjoint.

    collect(v)[o]    = sum over taps t of f(x[i(o, t)], y[o]) v[i(o, t)]
    distribute(g)[i] = sum over outputs o that read i of f(x[i], y[o]) g[o]

where the kernel `f` is any elementwise function of some input-shaped arrays `x` and some
output-shaped arrays `y` (say, `exp(x - y)` with the window's maximum). The two are primitives,
each the other's transpose, and closed under differentiation:

    d collect(v)     =  collect(dv) + collect_fx(v dx) + dy collect_fy(v)
    d distribute(g)  =  distribute(dg) + dx distribute_fx(g) + distribute_fy(g dy)

with the partial derivatives `fx`, `fy` of the kernel. So a derivative of any order and mode is a
few sums that compute the weights again from `x` and `y`; nothing of the size of taps times outputs
is ever kept.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from jaxpool.axis import Axis
from jaxpool.engine import kernel_sums
from jaxpool.engine.isolate import isolate, materialize
from jaxpool.engine.kernel_sums import Arrays, Kernel
from jaxpool.engine.primitives import bind, implement, result_type
from jaxpool.engine.target import Target
from jaxpool.window import Window

# Up to so many taps of which each costs an exponential, one pass beats one an axis.
ONE_PASS = 9


def parts(window: Window) -> list[Window]:
    """The windows, one after the other, into which a sum of weighted sums may be divided.

    Args:
        window: The whole pooling.

    Returns:
        The whole or, where that is less work, one axis after the other, the last one first.
    """
    window = Window(window.positions, tuple(map(_lone, window.axes)))
    if window.is_tiling or window.taps <= ONE_PASS:
        return [window]
    return [window.only(index) for index in reversed(range(len(window.axes)))]


def _lone(axis: Axis) -> Axis:
    """The same windows; one alone on its axis takes a stride that makes it a tile."""
    if axis.output != 1:
        return axis
    stride = max(axis.stride, axis.window)
    return Axis(axis.size, axis.window, stride, axis.dilation, *axis.reach)


def collect(
    kernel: Kernel, v: jax.Array | None, xs: Arrays, ys: Arrays, window: Window
) -> jax.Array:
    """For each window, the sum of its elements of `v`, weighted by the kernel.

    Args:
        kernel: Elementwise function of `(*xs, *ys)`, defined once (it is a cache key), whose
            derivatives are finite wherever its value is.
        v: Input-shaped array; None stands for ones.
        xs: At least one input-shaped array; axes that are not pooled may have size 1.
        ys: Output-shaped arrays; axes that are not pooled may have size 1.
        window: The geometry.

    Returns:
        The sums; 0 for a window without an element.
    """
    linear = () if v is None else (_widened(v, (*xs, *ys), window, "size"),)
    return _bind(_collect_p, linear, xs, ys, kernel, window)


def distribute(kernel: Kernel, g: jax.Array, xs: Arrays, ys: Arrays, window: Window) -> jax.Array:
    """The adjoint of `collect` in `v`: for each input, a weighted sum over its windows' `g`."""
    return _bind(
        _distribute_p, (_widened(g, (*xs, *ys), window, "output"),), xs, ys, kernel, window
    )


def _widened(x: jax.Array, others: Arrays, window: Window, side: str) -> jax.Array:
    """The linear operand in the full shape, so that its transpose need not sum."""
    shape = kernel_sums.full_shape((x, *others), window, side)
    return x if x.shape == shape else jnp.broadcast_to(x, shape)


def _bind(
    primitive: Primitive, linear: Arrays, xs: Arrays, ys: Arrays, kernel: Kernel, window: Window
) -> jax.Array:
    parameters = {"kernel": kernel, "window": window, "linear": len(linear), "inputs": len(xs)}
    return bind(primitive, *linear, *xs, *ys, **parameters)


@functools.cache
def _partial(kernel: Kernel, index: int) -> Kernel:
    """The derivative of the kernel in one of its arguments."""

    def derivative(*arguments: jax.Array) -> jax.Array:
        def along(argument: jax.Array) -> jax.Array:
            return kernel(*arguments[:index], argument, *arguments[index + 1 :])

        at = arguments[index]
        return jax.jvp(along, (at,), (jnp.ones(at.shape, at.dtype),))[1]

    return derivative


def _split(operands: Any, linear: int, inputs: int) -> tuple[Any, Any, Any]:
    return operands[:linear], operands[linear : linear + inputs], operands[linear + inputs :]


def _collect(
    *operands: jax.Array, kernel: Kernel, window: Window, linear: int, inputs: int, target: Target
):
    def step(*operands: jax.Array) -> jax.Array:
        v, xs, ys = _split(operands, linear, inputs)
        return kernel_sums.collect(kernel, v, xs, ys, window, target=target)

    return step(*operands) if window.is_tiling else isolate(step, *operands, target=target)


def _distribute(
    *operands: jax.Array, kernel: Kernel, window: Window, linear: int, inputs: int, target: Target
):
    def step(*operands: jax.Array) -> jax.Array:
        (g,), xs, ys = _split(operands, linear, inputs)
        return kernel_sums.distribute(kernel, g, xs, ys, window, target=target)

    if not window.is_tiling:
        return isolate(step, *operands, target=target)
    (g,), xs, ys = _split(operands, linear, inputs)  # what is an output's is worked out once
    return step(materialize(g, target=target), *xs, *(materialize(y, target=target) for y in ys))


def _collect_jvp(primals, tangents, *, kernel, window, linear, inputs):
    v, xs, ys = _split(primals, linear, inputs)
    dv, dxs, dys = _split(tangents, linear, inputs)
    weigh = functools.partial(collect, xs=xs, ys=ys, window=window)
    (v,) = v or (None,)
    terms = [weigh(kernel, t) for t in dv if not _zero(t)]
    for i, dx in enumerate(dxs):
        if not _zero(dx):
            terms.append(weigh(_partial(kernel, i), dx if v is None else v * dx))
    for i, dy in enumerate(dys):
        if not _zero(dy):
            terms.append(dy * weigh(_partial(kernel, len(xs) + i), v))
    return _bind(_collect_p, () if v is None else (v,), xs, ys, kernel, window), _total(terms)


def _distribute_jvp(primals, tangents, *, kernel, window, linear, inputs):
    (g,), xs, ys = _split(primals, linear, inputs)
    dg, dxs, dys = _split(tangents, linear, inputs)
    weigh = functools.partial(distribute, xs=xs, ys=ys, window=window)
    terms = [weigh(kernel, t) for t in dg if not _zero(t)]
    for i, dx in enumerate(dxs):
        if not _zero(dx):
            terms.append(dx * weigh(_partial(kernel, i), g))
    for i, dy in enumerate(dys):
        if not _zero(dy):
            terms.append(weigh(_partial(kernel, len(xs) + i), g * dy))
    return weigh(kernel, g), _total(terms)


def _zero(tangent: Any) -> bool:
    return type(tangent) is ad.Zero


def _total(terms: list[jax.Array]) -> jax.Array:
    """The sum; a JVP rule is only called where at least one tangent is not zero."""
    return functools.reduce(jnp.add, terms)


def _primitive(name: str, code: Any, jvp: Any, side: str) -> Primitive:
    primitive = Primitive(name)
    implement(primitive, code, ["kernel", "window", "linear", "inputs"])

    def abstract(*operands, kernel, window, linear, inputs):
        del kernel, linear, inputs
        shape = kernel_sums.full_shape(operands, window, side)
        like = max(operands, key=lambda operand: sum(size != 1 for size in operand.shape))
        return result_type(like, shape, operands[0].dtype)

    def batch(operands, dims, **parameters):
        moved = [
            x[None] if d is None else jnp.moveaxis(x, d, 0)
            for x, d in zip(operands, dims, strict=True)
        ]
        linear, xs, ys = _split(moved, parameters["linear"], parameters["inputs"])
        wide = (_widened(x, (*xs, *ys), parameters["window"], OPPOSITE[side]) for x in linear)
        return bind(primitive, *wide, *xs, *ys, **parameters), 0

    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batch
    ad.primitive_jvps[primitive] = jvp
    return primitive


OPPOSITE = {"size": "output", "output": "size"}

_collect_p = _primitive("jaxpool_weighted_collect", _collect, _collect_jvp, "output")
_distribute_p = _primitive("jaxpool_weighted_distribute", _distribute, _distribute_jvp, "size")


def _transpose(adjoint: Any, cotangent, linear_operand, *rest, kernel, window, linear, inputs):
    del linear  # only the linear operand is ever transposed
    none = [None] * len(rest)
    if type(cotangent) is ad.Zero:
        return [ad.Zero(linear_operand.aval), *none]
    xs, ys = rest[:inputs], rest[inputs:]
    return [adjoint(kernel, cotangent, xs, ys, window), *none]


ad.primitive_transposes[_collect_p] = functools.partial(_transpose, distribute)
ad.primitive_transposes[_distribute_p] = functools.partial(_transpose, collect)
