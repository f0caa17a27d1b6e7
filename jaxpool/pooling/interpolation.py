"""The sum of bilinear samples over the bins of boxes, and its adjoint, as two linear primitives.

    collect(x)[r, i, j] = sum over samples s of box r in bin (i, j), over corners k of s,
                          of weight[s, k] * x[place[s, k]]

Each is the transpose of the other, so no gather is left for JAX to transpose into a scatter of
its own making, and loops may take as many turns as the boxes at hand need, which plain reverse
mode forbids. What is differentiable in the boxes is differentiated in the form of two matrices a
box, `_dense`, that cost more and are only computed then.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxpool.pooling import sampling
from jaxpool.pooling.sampling import Limits, Samples

_MOVABLE = (2, 3, 8, 9)  # the operands that are positions: origin and extent of rows and columns


def mean(
    maps: jax.Array, image: jax.Array, rows: Samples, columns: Samples, limits: Limits
) -> jax.Array:
    """The mean of the samples of every bin, `(boxes, bins, bins, channels)`; 0 if it has none.

    Args:
        maps: As `regions.Regions` has them, of a floating dtype.
        image: The image of each box.
        rows: The samples along the rows.
        columns: The samples along the columns.
        limits: How many of them to visit.
    """
    total = _collect_p.bind(maps, image, *rows, *columns, limits=limits, shape=maps.shape)
    count_y, count_x = (jnp.maximum(s.counts, 1).astype(maps.dtype) for s in (rows, columns))
    return total / (count_y[:, :, None, None] * count_x[:, None, :, None])


def _named(sites: Any) -> tuple[jax.Array, Samples, Samples]:
    return sites[0], Samples(*sites[1:7]), Samples(*sites[7:])


def _collect_impl(maps: jax.Array, *sites: jax.Array, limits: Limits, shape: Any) -> jax.Array:
    del shape  # the adjoint needs it

    def function(maps, image, rows, columns):
        group = sampling.groups(maps, rows, columns)
        bins = (*rows.origin.shape, columns.origin.shape[1])

        def add(number_y, number_x, total):
            ys = sampling.corners(rows, number_y, maps.shape[2])
            xs = sampling.corners(columns, number_x, maps.shape[3])
            inside = ys.inside[:, :, None] & xs.inside[:, None]
            for y, weight_y in ys.weighted:
                for x, weight_x in xs.weighted:
                    weight = jnp.where(inside, weight_y[:, :, None] * weight_x[:, None], 0)
                    weight = weight.astype(maps.dtype)[..., None]
                    element = maps[image[:, None, None], group, y[:, :, None], x[:, None]]
                    total += sampling.part(weight, element)
            return total

        return _loop(add, rows, columns, limits, jnp.zeros((*bins, maps.shape[4]), maps.dtype))

    image, rows, columns = _named(sites)
    if limits.fixed:  # nothing to gain from taking boxes apart
        return function(maps, image, rows, columns)
    return sampling.box_by_box(function, maps, image, rows, columns)


def _distribute_impl(y: jax.Array, *sites: jax.Array, limits: Limits, shape: Any) -> jax.Array:
    image, rows, columns = _named(sites)

    def spread(maps, y, image, rows, columns):
        group = sampling.groups(maps, rows, columns)

        def add(number_y, number_x, maps):
            ys = sampling.corners(rows, number_y, maps.shape[2])
            xs = sampling.corners(columns, number_x, maps.shape[3])
            inside = ys.inside[:, :, None] & xs.inside[:, None]
            at_y, weight_y = (
                jnp.stack(pair)[:, None, :, :, None] for pair in zip(*ys.weighted, strict=True)
            )
            at_x, weight_x = (
                jnp.stack(pair)[None, :, :, None] for pair in zip(*xs.weighted, strict=True)
            )
            weight = jnp.where(inside, weight_y * weight_x, 0).astype(y.dtype)[..., None]
            places = maps.at[image[:, None, None], group, at_y, at_x]
            return places.add(sampling.part(weight, y))

        return _loop(add, rows, columns, limits, maps)

    def together(maps, *per_box):
        return spread(maps, *per_box)

    def alone(maps, *per_box):
        def step(maps, box):
            return spread(maps, *jax.tree.map(lambda a: a[None], box)), None

        return lax.scan(step, maps, per_box)[0]

    maps = jnp.zeros(shape, y.dtype)
    return lax.platform_dependent(maps, y, image, rows, columns, cpu=alone, default=together)


def _loop(add: Any, rows: Samples, columns: Samples, limits: Limits, start: jax.Array) -> jax.Array:
    """`add` over all samples of a bin. Few of them, if known, make one fused program."""
    turns_y = sampling.visited(rows, limits.rows, limits.fixed)
    turns_x = sampling.visited(columns, limits.columns, limits.fixed)
    unroll = True if limits.fixed and limits.rows * limits.columns <= 4 else None

    def row(i, total):
        return lax.fori_loop(0, turns_x, functools.partial(add, i), total, unroll=unroll)

    return lax.fori_loop(0, turns_y, row, start, unroll=unroll)


@functools.partial(jax.jit, static_argnames=("limits", "shape"))
def _dense(maps: jax.Array, *sites: jax.Array, limits: Limits, shape: Any) -> jax.Array:
    """As `collect`, by a matrix of weights a box and axis."""

    def weights(samples, limit, size):
        number = np.arange(limit, dtype=np.int32)[:, None]
        found = sampling.corners(samples, number, size)
        matrix = jnp.zeros((samples.origin.size, size), maps.dtype)
        for at, weight in found.weighted:
            hit = found.inside[..., None] & (at[..., None] == np.arange(size))
            matrix += jnp.sum(jnp.where(hit, weight[..., None], 0), 0).astype(maps.dtype)
        return matrix

    def one(box):
        image, rows, columns = box
        matrix_y = weights(rows, limits.rows, shape[2])
        matrix_x = weights(columns, limits.columns, shape[3])
        planes, axes = maps[image, 0], "hwc"
        if shape[1] > 1:
            planes = maps[image].reshape(len(matrix_y), len(matrix_x), *shape[2:])
            axes = "ijhwc"
        return jnp.einsum(
            f"ih,jw,{axes}->ijc", matrix_y, matrix_x, planes, precision=lax.Precision.HIGHEST
        )

    return lax.map(one, _named(sites))


@functools.partial(jax.jit, static_argnames=("limits", "shape"))
def _dense_adjoint(y: jax.Array, *sites: jax.Array, limits: Limits, shape: Any) -> jax.Array:
    dense = functools.partial(_dense, limits=limits, shape=shape)
    return jax.vjp(lambda maps: dense(maps, *sites), jnp.zeros(shape, y.dtype))[1](y)[0]


def _primitive(name: str, impl: Any, dense: Any) -> Primitive:
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(impl, static_argnames=("limits", "shape")))
    mlir.register_lowering(primitive, mlir.lower_fun(impl, multiple_results=False))

    def jvp(primals, tangents, **options):
        out = primitive.bind(*primals, **options)
        result = ad.Zero(jax.typeof(out).to_tangent_aval())
        if type(tangents[0]) is not ad.Zero:
            result = primitive.bind(tangents[0], *primals[1:], **options)
        moving = [i for i in _MOVABLE if type(tangents[i]) is not ad.Zero]
        if moving:

            def function(*values):
                operands = list(primals)
                for i, value in zip(moving, values, strict=True):
                    operands[i] = value
                return dense(*operands, **options)

            values, changes = ([which[i] for i in moving] for which in (primals, tangents))
            result = ad.add_tangents(result, jax.jvp(function, values, changes)[1])
        return out, result

    def batch(operands, dims, *, limits, shape):
        """A batch of maps is more images, and a batch of boxes more boxes."""
        size = next(a.shape[d] for a, d in zip(operands, dims, strict=True) if d is not None)
        operands = [
            lax.broadcast(a, (size,)) if d is None else jnp.moveaxis(a, d, 0)
            for a, d in zip(operands, dims, strict=True)
        ]
        first_image = jnp.arange(size, dtype=np.int32)[:, None] * shape[0]
        operands[1] = operands[1] + first_image
        folded = [a.reshape(-1, *a.shape[2:]) for a in operands]
        shape = (size * shape[0], *shape[1:])
        out = primitive.bind(*folded, limits=limits, shape=shape)
        return out.reshape(size, -1, *out.shape[1:]), 0

    ad.primitive_jvps[primitive] = jvp
    batching.primitive_batchers[primitive] = batch
    return primitive


_collect_p = _primitive("jaxpool_collect_samples", _collect_impl, _dense)
_distribute_p = _primitive("jaxpool_distribute_samples", _distribute_impl, _dense_adjoint)


@_collect_p.def_abstract_eval
def _(maps, *sites, limits, shape):
    _, rows, columns = _named(sites)
    shape = (*rows.origin.shape, columns.origin.shape[1], shape[-1])
    return maps.update(shape=shape, weak_type=False)


@_distribute_p.def_abstract_eval
def _(y, *sites, limits, shape):
    return y.update(shape=shape, weak_type=False)


def _transpose(adjoint: Primitive, cotangent: Any, x: Any, *sites: Any, **options: Any) -> list:
    nothing = [None] * len(sites)
    if type(cotangent) is ad.Zero:
        return [ad.Zero(x.aval), *nothing]
    return [adjoint.bind(cotangent, *sites, **options), *nothing]


ad.primitive_transposes[_collect_p] = functools.partial(_transpose, _distribute_p)
ad.primitive_transposes[_distribute_p] = functools.partial(_transpose, _collect_p)
