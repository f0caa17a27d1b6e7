"""The sum of bilinear samples over the bins of boxes, and its transpose, as linear primitives.

    collect(x)[r, i, j] = sum over samples s of box r in bin (i, j), over corners k of s,
                          of weight[s, k] * x[place[s, k]]

`collect` and `distribute` are the transposes of each other, so JAX does not transpose a gather into
a scatter. Their loops may also have a data-dependent number of steps, which JAX cannot
differentiate in reverse mode.

The weight of a corner is a row weight times a column weight. Each is linear in the origin and the
extent of the box. So the derivative with respect to origin or extent is a sum of the same form, in
which the weights of one axis are replaced by their constant derivatives. `Kinds` lists the weights
to use: `collect` computes one sum per kind in one pass over the map, and `distribute` reads one
array per kind.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad

from jaxpool.engine.plan.target import CPU, Target
from jaxpool.engine.rules.primitives import bind, define, is_zero, result_type, zero_tangent
from jaxpool.pooling.boxes import _dense, _sampling
from jaxpool.pooling.boxes._sampling import Corners, Limits, Samples

# Per kind, for rows and columns: None for the weights, or the name of the variable ("origin",
# "extent") by which they are differentiated.
Kinds = tuple[tuple[str | None, str | None], ...]

_WEIGHTS: Kinds = ((None, None),)
_SITES = 1 + 2 * len(Samples._fields)  # trailing operands: image, row samples, column samples
# Differentiable trailing operands: number -> (axis, name).
_MOVABLE = {1: (0, "origin"), 2: (0, "extent"), 7: (1, "origin"), 8: (1, "extent")}


def mean(
    maps: jax.Array, image: jax.Array, rows: Samples, columns: Samples, limits: Limits
) -> jax.Array:
    """The mean of the samples of every bin, `(boxes, bins, bins, channels)`; 0 without samples.

    Args:
        maps: The maps of `_regions.Regions`, of a floating dtype.
        image: The image index of each box.
        rows: The samples along the rows.
        columns: The samples along the columns.
        limits: The number of samples to visit.
    """
    options = {"limits": limits, "shape": maps.shape, "kinds": _WEIGHTS}
    (total,) = bind(_collect_p, maps, image, *rows, *columns, **options)
    count_y, count_x = (jnp.maximum(s.counts, 1).astype(maps.dtype) for s in (rows, columns))
    return total / (_broadcast_to_bins(count_y, 0) * _broadcast_to_bins(count_x, 1))


def _broadcast_to_bins(numbers: jax.Array, axis: int) -> jax.Array:
    """One number per row or column of bins, shaped to broadcast to `(boxes, bins, bins, c)`."""
    return jnp.expand_dims(numbers, (2, 3) if axis == 0 else (1, 3))


def _unpack(sites: Any) -> tuple[jax.Array, Samples, Samples]:
    middle = 1 + len(Samples._fields)
    return sites[0], Samples(*sites[1:middle]), Samples(*sites[middle:])


def _collect_impl(
    maps: jax.Array, *sites: jax.Array, limits: Limits, shape: Any, kinds: Kinds, target: Target
) -> list[jax.Array]:
    del shape  # used by the transpose

    def function(maps, image, rows, columns):
        group = _sampling.groups(maps, rows, columns)
        bins = (*rows.origin.shape, columns.origin.shape[1])

        def add(ys, xs, totals):
            totals = list(totals)
            for a, b in itertools.product(range(2), range(2)):
                y, x = ys.places[a][:, :, None], xs.places[b][:, None]
                element = maps[image[:, None, None], group, y, x]
                for k, (by_y, by_x) in enumerate(kinds):
                    weight = ys.weights(by_y)[a][:, :, None] * xs.weights(by_x)[b][:, None]
                    weight = weight.astype(maps.dtype)[..., None]
                    totals[k] += _sampling.part(weight, element)
            return totals

        start = [jnp.zeros((*bins, maps.shape[4]), maps.dtype)] * len(kinds)
        return _loop(add, start, rows, columns, limits, maps.shape, unroll=kinds == _WEIGHTS)

    if limits.fixed:  # equal work per box: no loop over boxes
        return function(maps, *_unpack(sites))
    return _sampling.box_by_box(function, maps, *_unpack(sites), target=target)


def _distribute_impl(
    *operands: jax.Array, limits: Limits, shape: Any, kinds: Kinds, target: Target
) -> list[jax.Array]:
    ys, sites = operands[:-_SITES], operands[-_SITES:]
    maps, per_box = jnp.zeros(shape, ys[0].dtype), (ys, *_unpack(sites))
    if target is not CPU:
        return [_distribute_densely(*per_box, limits, shape, kinds)]

    def add(sums, image, group, ys, xs, maps):
        at_y = jnp.stack(ys.places)[:, None, :, :, None]
        at_x = jnp.stack(xs.places)[None, :, :, None, :]
        change = jnp.zeros((), maps.dtype)
        for y, (by_y, by_x) in zip(sums, kinds, strict=True):
            weight_y = jnp.stack(ys.weights(by_y))[:, None, :, :, None]
            weight = weight_y * jnp.stack(xs.weights(by_x))[None, :, :, None, :]
            change += _sampling.part(weight.astype(y.dtype)[..., None], y[None, None])
        return maps.at[image[:, None, None], group, at_y, at_x].add(change)

    def step(maps, box):
        sums, image, rows, columns = jax.tree.map(lambda a: a[None], box)
        visit = functools.partial(add, sums, image, _sampling.groups(maps, rows, columns))
        return _loop(visit, maps, rows, columns, limits, maps.shape, unroll=True), None

    return [lax.scan(step, maps, per_box)[0]]


def _distribute_densely(
    ys: Any,
    image: jax.Array,
    rows: Samples,
    columns: Samples,
    limits: Limits,
    shape: Any,
    kinds: Kinds,
) -> jax.Array:
    """The transpose by matrix products, which are deterministic on GPU, unlike a scatter-add."""
    (height, width), dtype = shape[2:4], ys[0].dtype

    def weights(samples: Samples, limit: int, size: int, by: Any) -> jax.Array:
        every = [_sampling.dense(samples, limit, limits.fixed, size, name) for name in by]
        return jnp.concatenate(every).astype(dtype)

    by_y, by_x = zip(*kinds, strict=True)
    each_y = weights(rows, limits.rows, height, by_y)
    each_x = weights(columns, limits.columns, width, by_x)
    image = jnp.concatenate([image] * len(kinds))
    return _dense.spread(jnp.concatenate(ys), image, each_y, each_x, shape)


def _loop(
    add: Any,
    start: Any,
    rows: Samples,
    columns: Samples,
    limits: Limits,
    shape: Any,
    *,
    unroll: bool,
) -> Any:
    """Apply `add` to all samples of a bin. A small static number of samples is unrolled."""
    turns_y = _sampling.visited(rows, limits.rows, limits.fixed)
    turns_x = _sampling.visited(columns, limits.columns, limits.fixed)
    few = limits.fixed and limits.rows * limits.columns <= 4
    spelt = True if few and unroll else None

    def column(ys: Corners, i: Any, total: Any) -> Any:
        return add(ys, _sampling.corners(columns, i, shape[3]), total)

    def row(i: Any, total: Any) -> Any:
        ys = _sampling.corners(rows, i, shape[2])
        return lax.fori_loop(0, turns_x, functools.partial(column, ys), total, unroll=spelt)

    return lax.fori_loop(0, turns_y, row, start, unroll=spelt)


def _differentiated_operands(
    tangents: Any, kinds: Kinds, dtype: Any
) -> list[tuple[int, jax.Array, Any]]:
    """For every kind and differentiated operand: kind number, tangent, and the derivative's kind.

    The second derivative of a weight along one axis is 0.
    """
    result = []
    for k, kind in enumerate(kinds):
        for operand, (axis, name) in _MOVABLE.items():
            if not is_zero(tangents[operand]) and kind[axis] is None:
                rate = _broadcast_to_bins(tangents[operand].astype(dtype), axis)
                result.append((k, rate, (name, kind[1]) if axis == 0 else (kind[0], name)))
    return result


def _collect_jvp(primals: Any, tangents: Any, *, kinds: Kinds, **options: Any) -> Any:
    maps, *sites = primals
    out = bind(_collect_p, maps, *sites, kinds=kinds, **options)
    results: list[Any] = list(map(zero_tangent, out))
    if not is_zero(tangents[0]):
        results = bind(_collect_p, tangents[0], *sites, kinds=kinds, **options)
    if moved := _differentiated_operands(tangents[1:], kinds, maps.dtype):
        sloped = tuple(kind for _, _, kind in moved)
        slopes = bind(_collect_p, maps, *sites, kinds=sloped, **options)
        for (k, rate, _), slope in zip(moved, slopes, strict=True):
            results[k] = ad.add_tangents(results[k], rate * slope)
    return out, results


def _distribute_jvp(primals: Any, tangents: Any, *, kinds: Kinds, **options: Any) -> Any:
    ys, sites = primals[:-_SITES], primals[-_SITES:]
    out = bind(_distribute_p, *primals, kinds=kinds, **options)
    terms = [
        (tangent, kind)
        for tangent, kind in zip(tangents[:-_SITES], kinds, strict=True)
        if not is_zero(tangent)
    ]
    moved = _differentiated_operands(tangents[-_SITES:], kinds, ys[0].dtype)
    terms += [(rate * ys[k], kind) for k, rate, kind in moved]
    if not terms:
        return out, [zero_tangent(out[0])]
    sums, sloped = zip(*terms, strict=True)
    return out, bind(_distribute_p, *sums, *sites, kinds=sloped, **options)


def _collect_transpose(
    cotangents: Any, maps: Any, *sites: Any, kinds: Kinds, **options: Any
) -> Any:
    nothing = [None] * len(sites)
    terms = [(c, k) for c, k in zip(cotangents, kinds, strict=True) if not is_zero(c)]
    if not terms:
        return [ad.Zero(maps.aval), *nothing]
    sums, sloped = zip(*terms, strict=True)
    return [*bind(_distribute_p, *sums, *sites, kinds=sloped, **options), *nothing]


def _distribute_transpose(cotangents: Any, *operands: Any, **options: Any) -> Any:
    ys, sites = operands[:-_SITES], operands[-_SITES:]
    nothing = [None] * len(sites)
    if is_zero(cotangents[0]):
        return [*(ad.Zero(y.aval) for y in ys), *nothing]
    return [*bind(_collect_p, cotangents[0], *sites, **options), *nothing]


def _collect_type(maps: Any, *sites: Any, limits: Limits, shape: Any, kinds: Kinds) -> Any:
    _, rows, columns = _unpack(sites)
    shape = (*rows.origin.shape, columns.origin.shape[1], shape[-1])
    return [result_type(maps, shape)] * len(kinds)


def _distribute_type(y: Any, *_: Any, limits: Limits, shape: Any, kinds: Kinds) -> Any:
    return [result_type(y, shape)]


_define = functools.partial(define, parameters=["limits", "shape", "kinds"], multiple_results=True)
_collect_p = _define(
    "jaxpool_collect_samples",
    _collect_impl,
    jvp=_collect_jvp,
    abstract=_collect_type,
    batch=lambda *given, **rest: _sampling.batched(_collect_p, *given, sites=_SITES, **rest),
    transpose=_collect_transpose,
)
_distribute_p = _define(
    "jaxpool_distribute_samples",
    _distribute_impl,
    jvp=_distribute_jvp,
    abstract=_distribute_type,
    batch=lambda *given, **rest: _sampling.batched(_distribute_p, *given, sites=_SITES, **rest),
    transpose=_distribute_transpose,
)
