"""Windowed sums whose weights depend on element and window, and their transpose: one primitive.

    S_f(v)[o] = sum over taps t of f(x[i(o, t)], y[o]) v[i(o, t)]
    T_f(g)[i] = sum over outputs o that read i of f(x[i], y[o]) g[o]

where the kernel `f` is any elementwise function of some input-shaped arrays `x` and some
output-shaped arrays `y` (say, `exp(x - y)` with the window's maximum). With the partial derivatives
`fx`, `fy` of the kernel,

    d S_f(v)  =  S_f(dv) + S_fx(v dx) + dy S_fy(v)
    d T_f(g)  =  T_f(dg) + dx T_fx(g) + T_fy(g dy)

So a derivative of any order and mode consists of a few sums that recompute the weights from `x` and
`y`. No array of size taps times outputs is stored.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxpool.engine.lower import kernel_sums
from jaxpool.engine.lower.isolate import isolate, materialize
from jaxpool.engine.lower.kernel_sums import Arrays, Kernel
from jaxpool.engine.plan.target import Target
from jaxpool.engine.rules.primitives import bind, is_zero, leading, linear_map, result_type
from jaxpool.window import Window


def weighted_sum(
    kernel: Kernel,
    v: jax.Array | None,
    xs: Arrays,
    ys: Arrays,
    window: Window,
    *,
    transposed: bool = False,
) -> jax.Array:
    """For each window, the sum of its elements of `v`, weighted by the kernel.

    Args:
        kernel: Elementwise function of `(*xs, *ys)`, defined once because it is a cache key. Its
            derivatives must be finite wherever its value is finite.
        v: Input-shaped array (output-shaped if `transposed`); None for ones.
        xs: At least one input-shaped array; axes that are not pooled may have size 1.
        ys: Output-shaped arrays; axes that are not pooled may have size 1.
        window: The geometry.
        transposed: Whether to compute the transpose with respect to `v`.

    Returns:
        The sums, one per window (one per input if `transposed`); 0 for a window without an element.
    """
    if v is not None:  # broadcast first, so that the transpose does not sum
        full = window.output_shape if transposed else window.input_shape
        shape = lax.broadcast_shapes(*(full(x.shape) for x in (v, *xs, *ys)))
        v = v if v.shape == shape else jnp.broadcast_to(v, shape)
    counts = {"linear": int(v is not None), "inputs": len(xs)}
    return bind(_SUM, v, *xs, *ys, kernel=kernel, window=window, transposed=transposed, **counts)


@functools.cache
def _partial(kernel: Kernel, index: int) -> Kernel:
    """The derivative of the kernel with respect to one argument."""

    def derivative(*arguments: jax.Array) -> jax.Array:
        def along(argument: jax.Array) -> jax.Array:
            return kernel(*arguments[:index], argument, *arguments[index + 1 :])

        at = arguments[index]
        return jax.jvp(along, (at,), (jnp.ones(at.shape, at.dtype),))[1]

    return derivative


def _split(operands: Any, linear: int, inputs: int) -> tuple[Any, Any, Any]:
    return operands[:linear], operands[linear : linear + inputs], operands[linear + inputs :]


def _code(
    *operands: jax.Array,
    kernel: Kernel,
    window: Window,
    linear: int,
    inputs: int,
    transposed: bool,
    target: Target,
) -> jax.Array:
    function = kernel_sums.weighted_sum_transpose if transposed else kernel_sums.weighted_sum

    def step(*operands: jax.Array) -> jax.Array:
        return function(kernel, *_split(operands, linear, inputs), window, target=target)

    if not (transposed and window.is_tiling):
        return isolate(step, *operands, target=target, fusible=window.is_tiling)
    g, xs, ys = _split(operands, linear, inputs)  # computed once per output, not once per input
    g, ys = ([materialize(y, target=target) for y in outputs] for outputs in (g, ys))
    return step(*g, *xs, *ys)


def _jvp(primals, tangents, *, kernel, window, linear, inputs, transposed):
    v, xs, ys = _split(primals, linear, inputs)
    (v,) = v or (None,)
    weigh = functools.partial(weighted_sum, xs=xs, ys=ys, window=window, transposed=transposed)
    terms = [weigh(kernel, t) for t in tangents[:linear] if not is_zero(t)]
    for i, tangent in enumerate(tangents[linear:]):
        if is_zero(tangent):
            continue
        slope = _partial(kernel, i)
        if transposed != (i < inputs):  # the sum reads this tangent's array
            terms.append(weigh(slope, tangent if v is None else v * tangent))
        else:
            terms.append(tangent * weigh(slope, v))
    # (JAX calls a JVP rule only if at least one tangent is not zero.)
    return weigh(kernel, v), functools.reduce(jnp.add, terms)


def _type(*operands, window, transposed, **parameters):
    del parameters
    full = window.input_shape if transposed else window.output_shape
    shape = lax.broadcast_shapes(*(full(x.shape) for x in operands))
    like = max(operands, key=lambda operand: sum(size != 1 for size in operand.shape))
    return result_type(like, shape, operands[0].dtype)


def _batch(operands, dims, *, linear, inputs, **parameters):
    moved = [
        x[None] if d is None else x for x, d in zip(leading(operands, dims), dims, strict=True)
    ]
    v, xs, ys = _split(moved, linear, inputs)
    (v,) = v or (None,)
    return weighted_sum(v=v, xs=tuple(xs), ys=tuple(ys), **parameters), 0


_SUM = linear_map(
    "jaxpool_weighted_sum",
    _code,
    ["kernel", "window", "linear", "inputs"],
    jvp=_jvp,
    abstract=_type,
    batch=_batch,
)
