"""Steps of a maximum or minimum: values and winning taps."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.engine.lower import half_order, masked, native, taps, tiles
from jaxpool.engine.lower.isolate import isolate, materialize
from jaxpool.engine.lower.precision import widen
from jaxpool.engine.plan import layout, planner, tuning
from jaxpool.engine.plan.dispatch import NATIVE, rule
from jaxpool.engine.plan.target import CPU, CPUS, GPUS, Target
from jaxpool.monoid import MAX, Monoid
from jaxpool.window import Window

Plan = tuple[Window, ...]


def extreme(
    x: jax.Array, *masks: jax.Array, monoid: Monoid, window: Window, plan: Plan, target: Target
) -> jax.Array:
    """The extreme of every window; masked elements must already hold the identity."""
    del masks  # used only by the derivative, for windows without an element
    if rule(target, window).extreme is NATIVE:
        return value(x, monoid, window, target=target)
    plan = steps(plan, window, target)
    for number in range(len(plan)):
        x = isolated_value(x, monoid, plan, number, target=target)
    return x


def steps(plan: Plan, window: Window, target: Target) -> Plan:
    """The steps of a value and its gradient: the plan, or that for several devices."""
    whole = target is GPUS and window.is_global
    divided = window.is_even and (target is CPUS or whole)
    return planner.divided_steps(window) if divided else plan


def extreme_with_winners(
    x: jax.Array, *masks: jax.Array, monoid: Monoid, window: Window, plan: Plan, target: Target
) -> list[jax.Array]:
    """The extreme of every window, and the winning taps of each step of the plan."""
    (where,) = masks or (None,)
    divided = steps(plan, window, target)
    if where is None and plan == (window,) and divided != plan:
        values, *winners = extreme_with_winners(
            x, monoid=monoid, window=window, plan=divided, target=target
        )
        return [values, _tap_numbers(winners, divided, window, target=target)]
    winners, values = [], x
    for number, step in enumerate(plan):
        open_loop = len(plan) == 1 and step.is_tiling
        if target is CPU and where is None and _is_joint(values, step):
            y, index = _value_and_winner(values, monoid, step, fusible=open_loop)
        else:
            y = isolated_value(values, monoid, plan, number, target=target)
            arrays = (values, y) if where is None else (values, y, where)
            index = _isolated_winner(arrays, monoid, step, fusible=open_loop, target=target)
        winners.append(index)
        values = y
        if where is not None:
            where = index != masked.no_winner(index.dtype)
    if rule(target, window).extreme is NATIVE:
        # A gradient computes the same operations. The steps above are dead code unless the winners
        # are used.
        values = x
        for step in planner.native_steps(window, scatter=True):
            values = value(values, monoid, step, target=target)
    elif divided != plan:
        values = extreme(x, monoid=monoid, window=window, plan=plan, target=target)
    return [values, *winners]


def _tap_numbers(
    winners: list[jax.Array], plan: Plan, window: Window, *, target: Target
) -> jax.Array:
    """The taps of whole windows, in row-major order, of the winners of one step per axis."""
    dtype = masked.index_dtype(window)
    none = masked.no_winner(dtype)
    number: jax.Array | None = None
    row = 1
    for step, index in zip(plan, winners, strict=True):
        exists = index != masked.no_winner(index.dtype)
        place = index.astype(dtype) * np.array(row, dtype)
        if number is not None:
            inner = masked.select_winners(number, index, window=step, target=target)
            exists, place = exists & (inner != none), place + inner
        number = jnp.where(exists, place, none)
        row *= step.taps
    assert number is not None
    return number


def value(x: jax.Array, monoid: Monoid, window: Window, *, target: Target) -> jax.Array:
    """The extreme of every window, in one step of a plan or natively.

    `lax.max` propagates NaN. Reductions of XLA:CPU over more than about 8,192 elements do not. So
    windows are read by slices, and very wide tiles are reduced by a function that propagates NaN.
    """
    if rule(target, window).extreme is NATIVE:
        y = native.reduce(x, monoid, window)
        return _with_nan(y, x, window) if target is CPUS else y
    dtype, identity = x.dtype, monoid.identity(x.dtype)
    if tiles.are_reduced(window, tuning.TILE_REDUCTION, target):

        def keep_nan(a: Any, b: Any) -> Any:
            return lax.select(lax.ne(a, a), a, monoid.combine(a, b))

        # (XLA cannot partition reductions by other functions among several devices.)
        combine = keep_nan if target is CPU else monoid.combine
        members = tiles.split(widen(x), window, identity)
        y = tiles.reduce(members, window, identity, combine).astype(dtype)
        return _with_nan(y, x, window) if target in (CPUS, GPUS) else y
    clamp = taps.clamping_is_exact(window)
    read = functools.partial(taps.elements, target=target, clamp=clamp, by_copy=_is_copied(x))
    if not (target is CPU and half_order.supports(dtype)):
        every = read(x, window, identity, wide=target is CPU)
        return functools.reduce(monoid.combine, every).astype(dtype)
    every = read(half_order.to_bits(x), window, identity.view(np.int16))
    keys = (half_order.to_keys(bits, dtype, monoid) for bits in every)
    return half_order.from_keys(functools.reduce(monoid.combine, keys), dtype)


def _is_copied(x: jax.Array) -> bool:
    """Whether to pad once in a copy (large inputs), instead of once per read."""
    return isinstance(x.size, int) and x.size * x.dtype.itemsize < tuning.PADDED_COPY_BYTES


def _with_nan(y: jax.Array, x: jax.Array, window: Window) -> jax.Array:
    """`y` with NaN for every window that contains NaN.

    Reductions on CPU, and among several GPUs, may lose NaN.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return y
    lost = jnp.isnan(x)
    if window.is_global:
        lost = lost.any([x.ndim + position for position in window.positions], keepdims=True)
    else:
        lost = native.reduce(lost, MAX, window)
    return jnp.where(lost, jnp.array(np.nan, y.dtype), y)


def winner(
    x: jax.Array,
    y: jax.Array,
    where: jax.Array | None = None,
    *,
    monoid: Monoid,
    window: Window,
    target: Target,
) -> jax.Array:
    """The first tap, in row-major order, whose element is the value `y` of its window."""
    dtype = masked.index_dtype(window)
    none = masked.no_winner(dtype)
    if tiles.are_reduced(window, tuning.TILE_REDUCTION, target):
        x, y = widen(x), widen(y)
        members = tiles.split(x, window, np.zeros((), x.dtype))
        hit = _wins(members, tiles.expand(y, window))
        valid = tiles.inside(window, x.ndim)
        if valid is not None:
            hit &= valid
        if where is not None:
            hit &= tiles.split(where, window, np.array(False))
        numbers = tiles.tap_numbers(window, x.ndim, dtype)
        return tiles.reduce(jnp.where(hit, numbers, none), window, none, lax.min)
    read = functools.partial(taps.elements, window=window, fill=None, target=target, by_copy=True)
    if target is CPU and half_order.supports(x.dtype):
        y, *elements = (
            half_order.comparable(half_order.to_keys(bits, x.dtype, monoid), x.dtype, monoid)
            for bits in (half_order.to_bits(y), *read(half_order.to_bits(x)))
        )
    else:
        y = widen(y) if target is CPU else y
        elements = read(x, wide=target is CPU)
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
    """The first tap that no later tap beats, for windows whose taps all exist.

    The search does not read the value (k2 s2 on 32x56x56x128: 2.8 -> 2.1 ms). If both loops used
    `combine`, XLA would materialize their common subexpression.
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
    """Whether the element equals the extreme of its window, or is NaN (then the extreme is NaN)."""
    return (element == extreme) | (element != element)


def isolated_value(
    x: jax.Array, monoid: Monoid, plan: Plan, number: int, *, target: Target
) -> jax.Array:
    """One step, isolated from adjacent steps unless fusion repeats no work.

    The last of several steps reads a materialized result, so it may fuse with the operations after
    the pooling. A single step that reads each input once may fuse too.
    """
    window, last = plan[number], number == len(plan) - 1
    by = layout.merged(window, x.shape, target=target)
    step = functools.partial(value, monoid=monoid, window=by.window, target=target)
    repeats = number == 0 and not window.is_tiling
    # A step that reads from a copy does not recompute its producer. XLA:CPU removes an axis of a
    # single channel by a copy, which fuses with a loop that is not isolated (k3 s1 on 16x512x512x1:
    # 3.1 -> 2.1 ms).
    copied = by.into_pooled and by.window.even_axes[-1].reach != (0, 0) and _is_copied(x)
    fusible = last and (copied or not (repeats or bool(by.trailing)))
    return isolate(step, x, target=target, layout=by, fusible=fusible)


def _is_joint(x: jax.Array, window: Window) -> bool:
    """Whether one loop for value and winner is faster: for large inputs and wide tiles.

    One loop reads the input once instead of twice, but writes both results twice.
    """
    wide = window.is_tiling and window.taps >= tuning.JOINT_SEARCH_TAPS
    slices = not tiles.are_reduced(window, tuning.TILE_REDUCTION, CPU)
    large = isinstance(x.size, int) and x.size >= tuning.JOINT_SEARCH_ELEMENTS
    return wide and slices and large and x.dtype == np.float32 and taps.all_exist(window)


def _value_and_winner(
    x: jax.Array, monoid: Monoid, window: Window, *, fusible: bool
) -> tuple[jax.Array, jax.Array]:
    """The extreme of every window, and the first tap that holds it, in one loop of XLA:CPU.

    A loop of XLA:CPU has one result. A complex result holds value and winner as its two parts,
    which LLVM stores as a vector.
    """

    def search(x: jax.Array, window: Window) -> jax.Array:
        every = taps.elements(x, window, None, target=CPU, by_copy=True)
        index = _first_winner(every, monoid, np.dtype(np.float32))
        return lax.complex(functools.reduce(monoid.combine, every), index)

    if fusible:
        both = materialize(search(x, window), target=CPU)
    else:
        by = layout.merged(window, x.shape, target=CPU)
        step = functools.partial(search, window=by.window)
        both = isolate(step, x, target=CPU, layout=by)
    index = lax.imag(both).astype(masked.index_dtype(window))
    return lax.real(both), materialize(index, target=CPU)


def _isolated_winner(
    arrays: tuple[jax.Array, ...], monoid: Monoid, window: Window, *, fusible: bool, target: Target
) -> jax.Array:
    """`winner(*arrays)`, materialized so that the backward pass does not repeat the search.

    The search in tiles reads each input once, so it may fuse with the producer of the input, which
    is then not stored (training step of a CNN at batch 128: 46 -> 28 MB of temporaries).
    """
    search = functools.partial(winner, monoid=monoid, target=target)
    if fusible:
        return materialize(search(*arrays, window=window), target=target)
    by = layout.merged(window, arrays[0].shape, target=target)
    step = functools.partial(search, window=by.window)
    return isolate(step, *arrays, target=target, layout=by)
