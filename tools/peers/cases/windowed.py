"""Cases of windowed pooling.

XLA:CPU uses another code path from about 8,192 elements on, so NaN is tested below and above this
size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax import lax

from tools.peers.arrays import Array, constant, integers, normal, with_nan
from tools.peers.case import PeerCase

LARGE = (2, 96, 96, 3)
SMALL = (1, 12, 12, 2)
ROUNDING = 1e-5
HALF = 1e-2


@dataclass(frozen=True)
class PeerGeometry:
    """A window geometry, and the topic that it tests."""

    topic: str
    shape: tuple[int, ...]
    window: int
    options: dict[str, Any]


GEOMETRIES = (
    PeerGeometry("2-D", (2, 8, 10, 3), 2, {}),
    PeerGeometry("1-D", (2, 13, 3), 3, {"strides": 2}),
    PeerGeometry("3-D", (1, 5, 6, 4, 2), 2, {}),
    PeerGeometry("padding", (2, 9, 9, 3), 3, {"strides": 2, "padding": 1}),
    PeerGeometry("wide padding", (1, 6, 6, 2), 3, {"strides": 1, "padding": 2}),
    PeerGeometry("uneven padding", (1, 7, 6, 2), 3, {"strides": 2, "padding": ((1, 0), (0, 1))}),
    PeerGeometry("SAME", (2, 8, 8, 3), 3, {"strides": 2, "padding": "SAME"}),
    PeerGeometry("dilation", (1, 9, 9, 2), 2, {"strides": 1, "dilation": 3}),
    PeerGeometry("strided dilation", (1, 9, 9, 2), 2, {"strides": 2, "dilation": 2}),
    PeerGeometry("ceil_mode", (2, 8, 8, 3), 3, {"strides": 2, "ceil_mode": True}),
    PeerGeometry("gapped ceil_mode", (1, 7, 6, 2), 2, {"strides": 3, "ceil_mode": True}),
)
OVERLAPPING = {"strides": 2}
PADDED = {"strides": 2, "padding": 1}


def over(
    geometries: Iterable[PeerGeometry],
    array: Callable[..., Array] = normal,
    args: tuple[Any, ...] = (),
    tolerance: float = 0.0,
    **options: dict[str, Any],
) -> tuple[PeerCase, ...]:
    """One case per geometry; `options` are added by the geometry's topic."""
    return tuple(
        PeerCase(
            topic=geometry.topic,
            operands=(array(*geometry.shape),),
            args=(geometry.window, *args),
            options=geometry.options | options.get(geometry.topic, {}),
            tolerance=tolerance,
        )
        for geometry in geometries
    )


def windowed(topic: str, operand: Array, window: Any, **fields: Any) -> PeerCase:
    """A case with one window geometry."""
    return PeerCase(topic=topic, operands=(operand,), args=(window,), **fields)


EXTREME = (
    *over(GEOMETRIES),
    windowed("NaN", with_nan(*SMALL), 3, options=OVERLAPPING),
    windowed("NaN", with_nan(*LARGE), 3, options=OVERLAPPING),
    windowed("NaN", with_nan(*LARGE), 2),
    windowed("ties", integers(*SMALL), 3, options=OVERLAPPING),
    windowed("integers", integers(*SMALL, dtype="int32"), 2, wrt=None),
    windowed("bfloat16", normal(*SMALL, dtype="bfloat16"), 3, options=OVERLAPPING, tolerance=HALF),
)
MAX = (
    *EXTREME,
    windowed("-inf", constant(-np.inf, *SMALL), 3, options=PADDED, needs="padding"),
)
MIN = (
    *EXTREME,
    windowed("inf", constant(np.inf, *SMALL), 3, options=PADDED, needs="padding"),
)
ARGMAX = (
    *over(GEOMETRIES),
    windowed("NaN", with_nan(*SMALL), 3, options=OVERLAPPING),
    windowed("NaN", with_nan(*LARGE), 3, options=OVERLAPPING),
    windowed("ties", integers(*SMALL), 3, options=OVERLAPPING),
    windowed("-inf", constant(-np.inf, *SMALL), 3, options=PADDED, needs="padding"),
)

SUMS = (
    windowed("NaN", with_nan(*SMALL), 3, options=OVERLAPPING, tolerance=ROUNDING),
    windowed("NaN", with_nan(*LARGE), 3, options=OVERLAPPING, tolerance=ROUNDING),
    windowed("bfloat16 sums", constant(1.01, 1, 64, 64, 2, dtype="bfloat16"), 64, tolerance=HALF),
)
SUM = (
    *over(GEOMETRIES, tolerance=ROUNDING),
    *SUMS,
    windowed("integers", integers(*SMALL, dtype="int32"), 2, wrt=None),
)
COUNTED_SAME = {"strides": 2, "padding": "SAME", "count_include_pad": True}
UNCOUNTED = {"count_include_pad": False}
UNCOUNTED_PAD = PADDED | UNCOUNTED
AVG = (
    *over(GEOMETRIES, tolerance=ROUNDING, SAME=UNCOUNTED),
    windowed("uncounted padding", normal(*SMALL), 3, options=UNCOUNTED_PAD, tolerance=ROUNDING),
    windowed(
        "dtype",
        normal(*SMALL, dtype="bfloat16"),
        3,
        options=UNCOUNTED_PAD,
        tolerance=HALF,
        needs="uncounted padding",
    ),
    windowed("counted SAME", normal(*SMALL), 3, options=COUNTED_SAME, tolerance=ROUNDING),
    windowed(
        "ceil_mode",
        normal(*SMALL),
        5,
        options=PADDED | {"ceil_mode": True},
        tolerance=ROUNDING,
    ),
    windowed(
        "divisor_override", normal(*SMALL), 2, options={"divisor_override": 3}, tolerance=ROUNDING
    ),
    *SUMS,
    windowed("integers", integers(*SMALL, dtype="int32"), 2, wrt=None, tolerance=ROUNDING),
)
LP = (
    *over(GEOMETRIES, args=(2.0,), tolerance=ROUNDING),
    PeerCase(topic="odd p", operands=(normal(*SMALL),), args=(2, 3.0), tolerance=ROUNDING),
    PeerCase(topic="fractional p", operands=(normal(*SMALL),), args=(2, 2.5), tolerance=ROUNDING),
    PeerCase(topic="zeros", operands=(constant(0.0, *SMALL),), args=(2, 2.0)),
)


def general(topic: str, operand: Array, *args: Any, **fields: Any) -> PeerCase:
    """A case of `reduce_window`."""
    return PeerCase(topic=topic, operands=(operand,), args=args, tolerance=ROUNDING, **fields)


PADS = ((0, 0), (1, 1), (1, 0), (0, 0))
STEPS = (1, 2, 2, 1)
GENERAL = (
    general(
        "2-D",
        normal(*SMALL),
        -np.inf,
        lax.max,
        (1, 3, 3, 1),
        options={"window_strides": STEPS, "padding": PADS},
    ),
    general("1-D", normal(2, 13, 3), 0.0, lax.add, (1, 3, 1)),
    general("3-D", normal(1, 5, 6, 4, 2), 0.0, lax.add, (1, 2, 2, 2, 1)),
    general("product", normal(*SMALL), 1.0, lax.mul, (1, 2, 2, 1), wrt=None),
    general("derivative of a product", normal(*SMALL), 1.0, lax.mul, (1, 2, 2, 1)),
    general("channel windows", normal(*SMALL), 0.0, lax.add, (1, 2, 2, 2)),
    general(
        "dilation",
        normal(*SMALL),
        0.0,
        lax.add,
        (1, 2, 2, 1),
        options={"window_dilation": (1, 2, 2, 1)},
    ),
    general(
        "base_dilation",
        normal(*SMALL),
        0.0,
        lax.add,
        (1, 2, 2, 1),
        options={"base_dilation": (1, 2, 2, 1)},
    ),
    general("NaN", with_nan(*LARGE), -np.inf, lax.max, (1, 2, 2, 1)),
)
