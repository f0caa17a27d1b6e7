"""The table of operators: a row is one call of one public operator.

`test_autodiff.py` differentiates every row in every mode, and `test_bad_input.py` spoils the
arguments of the first row of every operator. A new operator is one more row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax import lax

import jaxpool
from tests import geometry

Build = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True, eq=False)  # hashed by identity, for jit
class Operator:
    """`function(x, *args, **options)`, of whose results the first is differentiated.

    Attributes:
        function: The public operator.
        args: What follows `x` by position.
        options: What follows by name.
        label: What is special about the call.
        shape: The shape of `x`; the first axis is a batch axis, and may be of any size.
        smooth: Builds an `x` near which the operator is differentiable.
        awkward: Builds an `x` on which forward and reverse mode must still agree: by default with
            ties, NaN and infinities. Take `geometry.ties` where arithmetic on NaN is in the way.
        exact: Whether the derivative only moves numbers, so that results agree bit for bit.
        by_row: Whether each image of a batch is pooled as it would be alone; not so where a random
            key, indices or boxes go with the whole batch.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    shape: tuple[int, ...] = (2, 7, 2)
    smooth: Build = geometry.distinct
    awkward: Build = geometry.awkward
    exact: bool = False
    by_row: bool = True

    def __str__(self) -> str:
        return f"{self.function.__name__}{'-' * bool(self.label)}{self.label}"

    def __call__(self, x: Any) -> jax.Array:
        return jax.tree.leaves(self.function(x, *self.args, **self.options))[0]


MASK = np.array([True, False, True, True, False, False, False]).reshape(1, 7, 1)

OPERATORS = [
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
    Operator(jaxpool.min_pool, (3,), {"strides": 2, "padding": 2}, exact=True),
    Operator(jaxpool.global_max_pool, exact=True),
    Operator(jaxpool.global_min_pool, (), {"where": MASK}, "masked", exact=True),
    Operator(jaxpool.sum_pool, (3,), {"strides": 2, "padding": 2}),
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
        ((2, 2), np.array([-0.7, 0.0])),
        {"padding": 1, "method": "separable"},
        "two axes, two temperatures",
        shape=(2, 4, 5, 2),
        awkward=geometry.ties,
    ),
    Operator(jaxpool.gem_pool, (2, 2.5, 0.1), {"strides": 1, "padding": 1}, awkward=geometry.ties),
    Operator(jaxpool.median_pool, (3,), {"strides": 2, "padding": 2}, exact=True),
    Operator(
        jaxpool.median_pool,
        (4,),
        {"strides": 1, "dilation": 2, "padding": 3, "where": MASK},
        "dilated, masked",
        exact=True,
    ),
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
]
