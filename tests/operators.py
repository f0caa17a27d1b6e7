"""The table of operators: one row per call of a public operator.

`test_autodiff.py` differentiates every row in every mode, and `test_bad_input.py` passes invalid
arguments to the first row of every operator. Every windowed operator of the catalogue has two rows
automatically. Other calls are rows of `SPECIAL`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxpool
from catalogue import CATALOGUE, Entry
from tests import geometry

Build = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True, eq=False)  # hashed by identity, for jit
class Operator:
    """The call `function(x, *args, **options)`; its first result is differentiated.

    Attributes:
        function: The public operator.
        args: Positional arguments after `x`.
        options: Keyword arguments.
        arrays: Builds other keyword arguments for an `x`: arrays with its batch size, keys.
        label: A description of the call.
        shape: The shape of `x`; the first axis is a batch axis of any size.
        smooth: Builds an `x` near which the operator is differentiable.
        awkward: Builds an `x` with ties, NaN and infinities, on which forward and reverse mode must
            still agree. Use `geometry.ties` if arithmetic on NaN makes them differ.
        exact: Whether the derivative only copies numbers, so that results agree bit for bit.
        by_row: Whether the result of each image is independent of the batch. It is not if a random
            key, indices or boxes belong to the whole batch.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    arrays: Callable[[Any], dict[str, Any]] | None = None
    shape: tuple[int, ...] = (2, 7, 2)
    smooth: Build = geometry.distinct
    awkward: Build = geometry.awkward
    exact: bool = False
    by_row: bool = True

    def __str__(self) -> str:
        return f"{self.function.__name__}{'-' * bool(self.label)}{self.label}"

    def __call__(self, x: Any) -> jax.Array:
        return jax.tree.leaves(self.function(x, *self.args, **self.every_option(x)))[0]

    def with_mask(self, x: Any, where: Any) -> jax.Array:
        """The same call with another mask."""
        options = self.every_option(x) | {"where": where}
        return jax.tree.leaves(self.function(x, *self.args, **options))[0]

    def every_option(self, x: Any) -> dict[str, Any]:
        """`options` merged with `arrays`."""
        return self.options | (self.arrays(x) if self.arrays else {})

    @property
    def is_plain(self) -> bool:
        """Whether `x` and a mask are the only arrays."""
        more = self.args, {name: v for name, v in self.options.items() if name != "where"}
        return not self.arrays and not any(isinstance(v, np.ndarray) for v in jax.tree.leaves(more))


MASK = np.array([True, False, True, True, False, False, False]).reshape(1, 7, 1)
MAPS = (2, 4, 5, 2)
# Boxes inside the map, across its edge, around it, outside it, and with x2 < x1.
BOXES = np.array(
    [[0.3, 0.6, 3.9, 3.3], [-1.2, 1.7, 2.4, 7.1], [-9, -8, 13, 12], [20, 3, 30, 9], [3, 3, 1, 1]],
    np.float32,
)
IMAGES = np.array([0, 1, 1, 0, 1])


def key(x: Any) -> dict[str, Any]:
    return {"key": jax.random.key(0)}


def places(x: Any) -> dict[str, Any]:
    """Indices for `max_unpool`: some repeat, and one is -1."""
    indices = np.array([[4, 0], [8, 1], [4, 1], [-1, 1], [3, 7]], np.int32)
    return {"indices": jnp.broadcast_to(indices, x.shape)}


def on_boxes(function: Any, output: Any, *, channels: int = 2, label: str = "", **more: Any) -> Any:
    """A row of an operator over boxes, for at least two images."""
    exact = more.pop("exact", False)
    options = {"batch_indices": IMAGES, **more}
    shape = (*MAPS[:3], channels)
    return Operator(
        function, (BOXES, output), options, label, shape=shape, exact=exact, by_row=False
    )


SPECIAL = [
    Operator(jaxpool.max_pool, (3,), {"strides": 2, "padding": 2}, "overlapping", exact=True),
    Operator(jaxpool.max_pool, (2,), {"padding": "SAME"}, "tiling", exact=True),
    Operator(
        jaxpool.max_pool,
        (2,),
        {"strides": 1, "dilation": 2, "padding": 1, "where": MASK},
        "dilated, masked",
        exact=True,
    ),
    Operator(jaxpool.max_pool, (9,), {"strides": 1, "padding": "SAME"}, "wide", exact=True),
    Operator(
        jaxpool.max_pool,
        ((3, 2),),
        {"strides": 2, "padding": 1, "ceil_mode": True},
        "two axes",
        shape=(2, 4, 5, 2),
        exact=True,
    ),
    Operator(jaxpool.max_pool_with_argmax, (3,), {"strides": 2, "padding": 1}, exact=True),
    Operator(
        jaxpool.max_unpool, (), {"output_shape": 9}, arrays=places, shape=(2, 5, 2), exact=True
    ),
    Operator(jaxpool.global_max_pool, exact=True),
    Operator(jaxpool.global_min_pool, (), {"where": MASK}, "masked", exact=True),
    Operator(jaxpool.avg_pool, (3,), {"strides": 2, "padding": 1, "count_include_pad": False}),
    Operator(
        jaxpool.avg_pool, (9,), {"strides": 1, "padding": "SAME", "where": MASK}, "wide, masked"
    ),
    Operator(jaxpool.global_sum_pool),
    Operator(jaxpool.global_avg_pool, (), {"where": MASK}, "masked"),
    Operator(
        jaxpool.lp_pool,
        (3, 2.5),
        {"strides": 2, "padding": 1, "where": MASK},
        "masked",
        awkward=geometry.ties,
    ),
    Operator(jaxpool.global_lp_pool, awkward=geometry.ties),
    Operator(jaxpool.soft_pool, (3,), {"strides": 2, "padding": 2}, awkward=geometry.ties),
    Operator(
        jaxpool.soft_pool,
        ((3, 4),),
        {"strides": 2, "where": np.arange(40).reshape(1, 4, 5, 2) % 3 > 0},
        "two axes, masked",
        shape=(2, 4, 5, 2),
        awkward=geometry.ties,
    ),
    Operator(
        jaxpool.logsumexp_pool,
        (3, 0.5),
        {"strides": 2, "padding": 2, "where": MASK},
        "masked",
        awkward=geometry.ties,
    ),
    Operator(
        jaxpool.logsumexp_pool,
        ((4, 3), np.array([-0.7, 0.0])),
        {"padding": 1, "strides": 1},
        "two axes, two temperatures",
        shape=(2, 4, 5, 2),
        awkward=geometry.ties,
    ),
    Operator(jaxpool.gem_pool, (2, 2.5, 0.1), {"strides": 1, "padding": 1}, awkward=geometry.ties),
    Operator(jaxpool.stochastic_pool, (3,), {"strides": 2, "padding": 2}, awkward=geometry.ties),
    Operator(jaxpool.mixed_pool, (3, 0.3), {"strides": 2, "padding": 1}, awkward=geometry.ties),
    Operator(jaxpool.blur_pool, (4,)),
    Operator(jaxpool.max_blur_pool, (2, 3), awkward=geometry.ties),
    Operator(
        jaxpool.reduce_window,
        (1.5, lax.mul, (1, 3, 1)),
        {"window_strides": (1, 2, 1), "padding": [(0, 0), (2, 1), (0, 0)]},
        "product",
        awkward=geometry.ties,
    ),
    Operator(
        jaxpool.reduce_window,
        (-np.inf, lax.max, (1, 3, 1)),
        {"padding": [(0, 0), (1, 2), (0, 0)], "base_dilation": (1, 2, 1)},
        "max with holes",
        exact=True,
    ),
    Operator(jaxpool.adaptive_max_pool, (3,), exact=True),
    Operator(jaxpool.adaptive_max_pool_with_argmax, ((3, 9),), shape=MAPS, exact=True),
    Operator(jaxpool.adaptive_avg_pool, (4,), {"where": MASK}, "masked"),
    Operator(
        jaxpool.fractional_max_pool,
        (2, 4),
        {"samples": np.array([[[0.3], [0.8]]], np.float32)},
        "PyTorch's form, samples",
        exact=True,
    ),
    Operator(
        jaxpool.fractional_max_pool_with_argmax,
        ((2, 2), (3, 2)),
        {},
        "PyTorch's form, key",
        arrays=key,
        shape=MAPS,
        exact=True,
        by_row=False,
    ),
    Operator(
        jaxpool.fractional_max_pool,
        (None, 4),
        {"overlapping": True},
        "TensorFlow's form, key",
        arrays=key,
        exact=True,
    ),
    Operator(
        jaxpool.fractional_avg_pool,
        (None, 4),
        {"samples": (np.array([0, 2, 3, 5, 7]),)},
        "TensorFlow's form, samples",
    ),
    Operator(jaxpool.spatial_pyramid_pool, ((1, 2, 3),), shape=MAPS, exact=True),
    Operator(jaxpool.spatial_pyramid_pool, (), {"reduce": "mean"}, "mean", shape=MAPS),
    Operator(
        jaxpool.stochastic_pool,
        (3,),
        {"strides": 2, "padding": 2},
        "key",
        arrays=key,
        exact=True,
        by_row=False,
    ),
    Operator(
        jaxpool.gated_pool,
        (3, np.array([[0.5, -1.0], [0.0, 2.0], [1.5, 0.25]], np.float32)),
        {"strides": 2, "padding": 1},
        awkward=geometry.ties,
    ),
    on_boxes(jaxpool.roi_align, 2),
    on_boxes(jaxpool.roi_align, (1, 3), label="fixed", sampling_ratio=2, aligned=False),
    on_boxes(jaxpool.roi_align, 2, label="max", reduce="max", spatial_scale=0.5),
    on_boxes(jaxpool.roi_pool, (2, 3), exact=True),
    on_boxes(jaxpool.ps_roi_align, (1, 2), channels=4),
    on_boxes(jaxpool.ps_roi_pool, (2, 1), channels=4),
]


def usual(entry: Entry) -> list[Operator]:
    """Two calls of a windowed operator: overlapping windows, and dilated windows with a mask."""
    overlapping = {"strides": 2, "padding": 2}
    dilated = {"strides": 1, "dilation": 2, "padding": 3, "where": MASK}
    return [
        Operator(
            entry.operator, (window, *entry.after_window), options, label, exact=entry.is_exact
        )
        for window, options, label in ((3, overlapping, ""), (4, dilated, "dilated, masked"))
    ]


NAMED = {row.function for row in SPECIAL}
OPERATORS = SPECIAL + [
    row
    for entry in CATALOGUE.values()
    if entry.is_windowed and entry.operator not in NAMED
    for row in usual(entry)
]
