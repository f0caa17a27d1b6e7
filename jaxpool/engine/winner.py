"""Maxima and minima with their winners: the index is the derivative.

A maximum is piecewise linear: near any point it just copies the winning element. So a step
yields its value and, when a derivative is asked for, the number of the winning tap; tangents
follow the winner forward (`linear.collect`), cotangents return to it (`linear.distribute`), and
every mode and order of differentiation sees the same Jacobian.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from jaxpool.engine import blocks, half_order, layout, linear, masked, native, rows, rules, taps
from jaxpool.engine.isolate import isolate, materialize
from jaxpool.engine.primitives import adjoint_pair, batched, bind, implement, result_type
from jaxpool.engine.rules import NATIVE
from jaxpool.engine.target import CPU, CPUS, Target
from jaxpool.monoid import MAX, Monoid
from jaxpool.window import Window

RESIDUAL = "jaxpool_winner"

# From so many taps, and elements, on a value and its winner are found in one loop (`_together`).
WIDE, LARGE = 8, 2**22

# The most elements that int32 numbers, counted from 1.
MOST_PLACES = 2**31 - 1

Plan = tuple[Window, ...]


def extreme(
    monoid: Monoid, window: Window, plan: Plan, x: jax.Array, where: jax.Array | None
) -> jax.Array:
    """The extreme of every window; masked elements must hold the identity already."""
    return bind(_extreme_p, *_operands(x, where), monoid=monoid, window=window, plan=plan)


def with_winners(
    monoid: Monoid, window: Window, plan: Plan, x: jax.Array, where: jax.Array | None
) -> tuple[jax.Array, list[jax.Array]]:
    """The extreme of every window, and for each step of the plan which tap won."""
    parameters = {"monoid": monoid, "window": window, "plan": plan}
    y, *winners = bind(_winners_p, *_operands(x, where), **parameters)
    return y, [checkpoint_name(index, RESIDUAL) for index in winners]


def _operands(x: jax.Array, where: jax.Array | None) -> tuple[jax.Array, ...]:
    return (x,) if where is None else (x, where)


def follow(x: jax.Array, plan: Plan, winners: Sequence[jax.Array]) -> jax.Array:
    """Carry input-shaped numbers to the outputs that their positions won; 0 for empty windows."""
    for window, index in zip(plan, winners, strict=True):
        x = linear.collect(x, window, index)
    return x


def _follow_code(
    x: jax.Array, source: jax.Array, *winners: jax.Array, plan: Plan, **_: Any
) -> jax.Array:
    del source  # (the adjoint may need it)
    return follow(x, plan, winners)


def _return_code(
    y: jax.Array,
    source: jax.Array,
    *winners: jax.Array,
    monoid: Monoid,
    window: Window,
    plan: Plan,
    target: Target,
) -> jax.Array:
    """The adjoint of `_follow_code`: by the winners or, on TPU, by `select_and_scatter`.

    Of `source` and `winners` a program computes only those that its target reads.
    """
    if native.distributes(window) and rules.rule(target, window).returned is NATIVE:
        extremes = functools.partial(value, monoid=monoid, target=target)
        return native.distribute(y, source, monoid, window, extremes, divided=target.is_divided)
    for step, index in reversed(list(zip(plan, winners, strict=True))):
        y = linear.distribute(y, step, index)
    return y


_FOLLOW, _RETURN = adjoint_pair(
    "jaxpool_winner", _follow_code, _return_code, ["monoid", "window", "plan"]
)


def place_dtype(elements: int) -> np.dtype:
    """The integer dtype of flat indices into a plane of that many elements.

    Raises:
        ValueError: int32 does not hold them, and int64 is not enabled.
    """
    if elements <= MOST_PLACES:
        return np.dtype(np.int32)
    if not jax.config.read("jax_enable_x64"):
        raise ValueError(
            f"x must have at most {MOST_PLACES} elements in a plane for indices of int32, got "
            f"{elements}; jax.config.update('jax_enable_x64', True) allows int64"
        )
    return np.dtype(np.int64)


def places(window: Window, plan: Plan, winners: list[jax.Array]) -> jax.Array:
    """Where the winners of a whole pooling stand: row-major in the pooled plane, -1 for none.

    The first step's numbers say it; they are carried along like a tangent, counted from 1, so that
    what arrives is 0 where there was no element.
    """
    (step, *later), (index, *rest) = plan, winners
    dtype = place_dtype(math.prod(axis.size for axis in window.axes))
    tap, place, row = index.astype(dtype), np.array(1, dtype), 1
    stepped = dict(zip(step.positions, step.axes, strict=True))
    for position, axis in reversed(list(zip(window.positions, window.axes, strict=True))):
        at = np.arange(axis.size)
        if part := stepped.get(position):
            at = part.rows(0)
            place += tap % part.window * np.array(part.dilation * row, dtype)
            tap = tap // part.window
        place += jnp.asarray(rows.along((at * row).astype(dtype), position, index.ndim))
        row *= axis.size
    place = jnp.where(index == masked.no_winner(index.dtype), 0, place)
    return follow(place, tuple(later), rest) - 1


def value(x: jax.Array, monoid: Monoid, window: Window, *, target: Target) -> jax.Array:
    """The extreme of every window, in one step of a plan or natively.

    `lax.max` keeps NaN. XLA's CPU reductions, from some 8,192 elements on, do not, hence the
    slices, and the choice in reducing very wide tiles.
    """
    if rules.rule(target, window).extreme is NATIVE:
        y = native.reduce(x, monoid, window)
        return _with_nan(y, x, window) if target is CPUS else y
    dtype, identity = x.dtype, monoid.identity(x.dtype)
    if blocks.fits(window, blocks.MANY):

        def keep(a: Any, b: Any) -> Any:
            return lax.select(lax.ne(a, a), a, monoid.combine(a, b))

        # (Of other reductions XLA cannot add up the parts that several devices hold.)
        combine = keep if target is CPU else monoid.combine
        tiles = blocks.split(rows.wide(x), window, identity)
        y = blocks.reduce(tiles, window, identity, combine).astype(dtype)
        return _with_nan(y, x, window) if target is CPUS else y
    read = functools.partial(
        taps.elements, target=target, clamp=taps.hold_edges(window), by_copy=_worth_a_copy(x)
    )
    if not (target is CPU and half_order.serve(dtype)):
        every = read(x, window, identity, widen=target is CPU)
        return functools.reduce(monoid.combine, every).astype(dtype)
    every = read(half_order.bits(x), window, identity.view(np.int16))
    every = (half_order.of(bits, dtype, monoid) for bits in every)
    return half_order.floats(functools.reduce(monoid.combine, every), dtype)


def _worth_a_copy(x: jax.Array) -> bool:
    """Whether to lay down what lies beyond the last axis once: page faults allowing."""
    return isinstance(x.size, int) and x.size * x.dtype.itemsize < 2**25


def winner(
    x: jax.Array,
    y: jax.Array,
    monoid: Monoid,
    window: Window,
    where: jax.Array | None,
    *,
    target: Target,
) -> jax.Array:
    """The first tap, in row-major order, whose element is the value `y` of its window."""
    dtype = masked.index_dtype(window)
    none = masked.no_winner(dtype)
    if blocks.fits(window, blocks.MANY):
        x, y = rows.wide(x), rows.wide(y)
        tiles = blocks.split(x, window, np.zeros((), x.dtype))
        hit = _wins(tiles, blocks.expand(y, window))
        valid = blocks.inside(window, x.ndim)
        if valid is not None:
            hit &= valid
        if where is not None:
            hit &= blocks.split(where, window, np.array(False))
        numbers = blocks.tap_numbers(window, x.ndim, dtype)
        return blocks.reduce(jnp.where(hit, numbers, none), window, none, lax.min)
    read = functools.partial(taps.elements, window=window, fill=None, target=target, by_copy=True)
    if target is CPU and half_order.serve(x.dtype):
        y, *elements = (
            half_order.comparable(half_order.of(bits, x.dtype, monoid), x.dtype, monoid)
            for bits in (half_order.bits(y), *read(half_order.bits(x)))
        )
    else:
        y = rows.wide(y) if target is CPU else y
        elements = read(x, widen=target is CPU)
    if where is None:
        exists = [taps.exists(window, tap, x.ndim) for tap in taps.every_tap(window)]
    else:
        exists = taps.elements(where, window, np.array(False), target=target, by_copy=True)
    if all(there is None for there in exists):
        return _first_winner(elements, monoid, dtype)
    index = jnp.full(y.shape, none, dtype)
    for number in reversed(range(window.taps)):
        hit = _wins(elements[number], y)
        there = exists[number]
        if there is not None:
            hit &= there
        index = jnp.where(hit, np.array(number, dtype), index)
    return index


def _first_winner(elements: list[jax.Array], monoid: Monoid, dtype: np.dtype) -> jax.Array:
    """The first tap that no later one beats, where every tap exists.

    It need not read the value (k2 s2 on 32x56x56x128: 2.8 ms with it, 2.1 without). Nor does it
    `combine`: XLA would store what it then has in common with the value's loop.
    """
    beaten_or_equal = lax.le if monoid is MAX else lax.ge
    best, *rest = elements
    index = jnp.zeros(best.shape, dtype)
    for number, element in enumerate(rest, start=1):
        wins = ~beaten_or_equal(element, best) & (best == best)  # a NaN wins, and is never beaten
        index = jnp.where(wins, np.array(number, dtype), index)
        best = jnp.where(wins, element, best)
    return index


def _wins(element: jax.Array, extreme: jax.Array) -> jax.Array:
    """Equality in which NaN wins: an element is NaN only if its window's extreme is."""
    return (element == extreme) | (element != element)


def _extreme_code(
    x: jax.Array, *masks: jax.Array, monoid: Monoid, window: Window, plan: Plan, target: Target
) -> jax.Array:
    del masks  # only the derivative needs to know which windows have an element
    if rules.rule(target, window).extreme is NATIVE:
        return value(x, monoid, window, target=target)
    for number in range(len(plan)):
        x = _value(x, monoid, plan, number, target=target)
    return x


def _with_nan(y: jax.Array, x: jax.Array, window: Window) -> jax.Array:
    """NaN where a window holds one, which XLA's reductions on CPU may lose."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return y
    return jnp.where(native.reduce(jnp.isnan(x), MAX, window), jnp.array(np.nan, y.dtype), y)


def _value(x: jax.Array, monoid: Monoid, plan: Plan, number: int, *, target: Target) -> jax.Array:
    """One step, isolated from its neighbours unless fusing with them repeats no work.

    The last of several steps reads what another step has stored already, and may fuse with
    whatever follows the pooling; so may a single step that reads each input once.
    """
    window, last = plan[number], number == len(plan) - 1
    by = layout.of(window, x.shape, target=target)
    step = functools.partial(value, monoid=monoid, window=by.window, target=target)
    repeats = number == 0 and not window.is_tiling
    # What reads a copy repeats nothing. And XLA:CPU splits off a single channel by copying, which
    # can join an open loop (k3 s1 on 16x512x512x1: 3.1 ms, and 2.1 like this).
    copied = by.into_pooled and by.window.axes[-1].reach != (0, 0) and _worth_a_copy(x)
    if last and (copied or not (repeats or by.trailing)):
        return by.restore(step(by.lay(x)))
    return by.restore(isolate(step, by.lay(x), target=target))


def _winners_code(
    x: jax.Array, *masks: jax.Array, monoid: Monoid, window: Window, plan: Plan, target: Target
) -> list[jax.Array]:
    (where,) = masks or (None,)
    winners, values = [], x
    for number, step in enumerate(plan):
        alone = len(plan) > 1 or not step.is_tiling
        if target is CPU and where is None and _pay_together(values, step):
            y, index = _together(values, monoid, step, alone=alone)
        else:
            y = _value(values, monoid, plan, number, target=target)
            index = _winner(values, y, monoid, step, where, alone=alone, target=target)
        winners.append(index)
        values = y
        if where is not None:
            where = index != masked.no_winner(index.dtype)
    if rules.rule(target, window).extreme is NATIVE:
        # The operations that a gradient computes as well; the steps above are dead code unless the
        # winners are used.
        values = x
        for step in native.parts(window, scatter=True):
            values = value(values, monoid, step, target=target)
    return [values, *winners]


def _pay_together(x: jax.Array, window: Window) -> bool:
    """Whether to read a large input once pays for writing both results twice: for wide tiles."""
    wide = window.is_tiling and window.taps >= WIDE and not blocks.fits(window, blocks.MANY)
    large = isinstance(x.size, int) and x.size >= LARGE and x.dtype == np.float32
    return wide and large and taps.all_exist(window)


def _together(
    x: jax.Array, monoid: Monoid, window: Window, *, alone: bool
) -> tuple[jax.Array, jax.Array]:
    """The extreme of every window, and the first tap that holds it, in one loop of XLA:CPU.

    A loop has one result, but that may be a complex number, which LLVM stores as a vector of its
    two parts.
    """

    def search(x: jax.Array, window: Window) -> jax.Array:
        every = taps.elements(x, window, None, target=CPU, by_copy=True)
        index = _first_winner(every, monoid, np.dtype(np.float32))
        return lax.complex(functools.reduce(monoid.combine, every), index)

    if alone:
        by = layout.of(window, x.shape, target=CPU)
        both = by.restore(
            isolate(functools.partial(search, window=by.window), by.lay(x), target=CPU)
        )
    else:
        both = materialize(search(x, window), target=CPU)
    index = lax.imag(both).astype(masked.index_dtype(window))
    return lax.real(both), materialize(index, target=CPU)


def _winner(
    x: jax.Array,
    y: jax.Array,
    monoid: Monoid,
    window: Window,
    where: jax.Array | None,
    *,
    alone: bool,
    target: Target,
) -> jax.Array:
    """The winner, apart from the backward pass, which would search again for every input.

    Tiles read each input once, so their search may join the loop that makes the inputs; then those
    need not be stored (a CNN's training step at batch 128: 46 MB of temporaries, and 28 like this).
    """
    if not alone:
        return materialize(winner(x, y, monoid, window, where, target=target), target=target)
    by = layout.of(window, x.shape, target=target)

    def search(x: jax.Array, y: jax.Array, *where: jax.Array) -> jax.Array:
        return winner(x, y, monoid, by.window, *(where or (None,)), target=target)

    operands = (x, y) if where is None else (x, y, where)
    return by.restore(isolate(search, *map(by.lay, operands), target=target))


_extreme_p = Primitive("jaxpool_extreme")
implement(_extreme_p, _extreme_code, ["monoid", "window", "plan"])


@_extreme_p.def_abstract_eval
def _(x, *masks, monoid, window, plan):
    del masks, monoid, plan
    return result_type(x, window.output_shape(x.shape))


def _tangent(primals, tangents, y, winners, **parameters):
    """The value's tangent follows the winners."""
    if type(tangents[0]) is ad.Zero:
        return ad.Zero(jax.typeof(y).to_tangent_aval())
    x, *masks = primals
    if masks:  # by the winners alone: a masked element is none, but looks like one
        return follow(tangents[0], parameters["plan"], winners)
    return bind(_FOLLOW, tangents[0], x, *winners, **parameters)


def _extreme_jvp(primals, tangents, **parameters):
    y, winners = with_winners(x=primals[0], where=_mask(primals), **parameters)
    return y, _tangent(primals, tangents, y, winners, **parameters)


def _mask(primals):
    return primals[1] if len(primals) > 1 else None


_winners_p = Primitive("jaxpool_winners")
_winners_p.multiple_results = True
implement(_winners_p, _winners_code, ["monoid", "window", "plan"])


@_winners_p.def_abstract_eval
def _(x, *masks, monoid, window, plan):
    del masks, monoid, window
    winners, shape = [], x.shape
    for step in plan:
        shape = step.output_shape(shape)
        winners.append(result_type(x, shape, masked.index_dtype(step)))
    return [result_type(x, shape), *winners]


def _winners_jvp(primals, tangents, **parameters):
    """The winners have no tangents."""
    y, winners = with_winners(x=primals[0], where=_mask(primals), **parameters)
    nothing = [ad.Zero(jax.typeof(index).to_tangent_aval()) for index in winners]
    return [y, *winners], [_tangent(primals, tangents, y, winners, **parameters), *nothing]


ad.primitive_jvps[_extreme_p] = _extreme_jvp
ad.primitive_jvps[_winners_p] = _winners_jvp
for _primitive in (_extreme_p, _winners_p):
    batching.primitive_batchers[_primitive] = functools.partial(batched, _primitive)
