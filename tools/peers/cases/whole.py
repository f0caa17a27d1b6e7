"""Cases of global, adaptive and fractional pooling, of unpooling and of masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tools.peers.arrays import Array, constant, given, integers, normal, uniform, with_nan
from tools.peers.case import PeerCase
from tools.peers.cases.windowed import HALF, LARGE, ROUNDING, SMALL


def whole(topic: str, operand: Array, *args: Any, **fields: Any) -> PeerCase:
    """A case with one array operand."""
    return PeerCase(topic=topic, operands=(operand,), args=args, **fields)


def planes(*args: Any, tolerance: float, **options: Any) -> tuple[PeerCase, ...]:
    """Cases with two, one and three spatial axes."""
    shapes = {"2-D": (2, 5, 6, 3), "1-D": (2, 13, 3), "3-D": (2, 4, 3, 5, 2)}
    return tuple(
        whole(topic, normal(*shape), *args, options=options, tolerance=tolerance)
        for topic, shape in shapes.items()
    )


GLOBAL_EXTREME = (
    *planes(tolerance=0.0),
    whole("NaN", with_nan(*SMALL)),
    whole("NaN", with_nan(*LARGE)),
    whole("ties", integers(*SMALL)),
    whole("integers", integers(*SMALL, dtype="int32"), wrt=None),
)
GLOBAL_SUM = (
    *planes(tolerance=ROUNDING),
    whole("NaN", with_nan(*LARGE), tolerance=ROUNDING),
    whole("bfloat16 sums", constant(1.01, 1, 64, 64, 2, dtype="bfloat16"), tolerance=HALF),
    whole("integers", integers(*SMALL, dtype="int32"), wrt=None, tolerance=ROUNDING),
)
GLOBAL_LP = (
    *planes(tolerance=ROUNDING),
    whole("p = 3", normal(*SMALL), options={"p": 3.0}, tolerance=ROUNDING),
    whole("zeros", constant(0.0, *SMALL)),
)


def adaptive(tolerance: float) -> tuple[PeerCase, ...]:
    """Cases with bins that divide the map evenly, unevenly, and more bins than elements."""
    return (
        whole("2-D", normal(2, 8, 6, 3), (4, 3), tolerance=tolerance),
        whole("1-D", normal(2, 12, 3), 4, tolerance=tolerance),
        whole("3-D", normal(1, 4, 6, 4, 2), (2, 3, 2), tolerance=tolerance),
        whole("uneven bins", normal(2, 7, 10, 3), (3, 4), tolerance=tolerance),
        whole("uneven bins", normal(1, 20, 33, 2), (13, 7), tolerance=tolerance),
        whole("uneven bins", normal(2, 17, 3), 7, tolerance=tolerance),
        whole("upsampling", normal(2, 5, 3, 3), (7, 5), tolerance=tolerance),
        whole("NaN", with_nan(*SMALL), (4, 4), tolerance=tolerance),
        whole("NaN", with_nan(*LARGE), (24, 24), tolerance=tolerance),
    )


ADAPTIVE_MAX = (
    *adaptive(0.0),
    whole("ties", integers(*SMALL), (4, 4)),
    whole("integers", integers(*SMALL, dtype="int32"), (4, 4), wrt=None),
)
ADAPTIVE_AVG = (
    *adaptive(ROUNDING),
    whole("bfloat16 sums", constant(1.01, 1, 64, 64, 2, dtype="bfloat16"), 1, tolerance=HALF),
)
ADAPTIVE_ARGMAX = (*adaptive(0.0), whole("ties", integers(*SMALL), (4, 4)))


def fractional(tolerance: float) -> tuple[PeerCase, ...]:
    """PyTorch's form with given samples; TensorFlow's form with boundaries that it drew."""
    form = "fixed windows"
    return (
        whole(form, normal(2, 9, 11, 3), 2, (5, 6), options={"samples": uniform(2, 3, 2)}),
        whole(form, with_nan(2, 9, 11, 3), (2, 3), (4, 5), options={"samples": uniform(2, 3, 2)}),
        whole(form, normal(1, 7, 6, 8, 2), 2, (4, 3, 5), options={"samples": uniform(1, 2, 3)}),
        whole("1-D", normal(2, 13, 3), 2, (7,), options={"samples": uniform(2, 3, 1)}),
        *(
            whole(
                "random boundaries",
                normal(2, 9, 11, 3),
                None,
                (6, 7),
                options={"pseudo_random": pseudo, "overlapping": overlapping},
                draws=True,
                tolerance=tolerance,
            )
            for pseudo in (False, True)
            for overlapping in (False, True)
        ),
        whole(
            "NaN",
            with_nan(2, 9, 11, 3),
            None,
            (6, 7),
            draws=True,
            tolerance=tolerance,
            needs="random boundaries",
        ),
    )


FRACTIONAL_MAX = fractional(0.0)
FRACTIONAL_AVG = fractional(ROUNDING)
FRACTIONAL_ARGMAX = fractional(0.0)


def places(topic: str, values: Array, indices: list[Any], output: Any) -> PeerCase:
    """A case of unpooling."""
    return PeerCase(topic=topic, operands=(values, given(indices, "int32")), args=(output,))


UNPOOL = (
    places("2-D", normal(1, 2, 2, 1), [[[[0], [3]], [[9], [14]]]], (4, 4)),
    places("2-D", normal(1, 2, 2, 1), [[[[0], [4]], [[11], [24]]]], (5, 5)),
    places("1-D", normal(1, 3, 1), [[[1], [2], [6]]], (7,)),
    places("3-D", normal(1, 1, 2, 1, 1), [[[[[5]], [[2]]]]], (2, 4, 2)),
    places("repeated indices", normal(1, 2, 2, 1), [[[[5], [5]], [[5], [9]]]], (4, 4)),
    places("index -1", normal(1, 2, 2, 1), [[[[0], [-1]], [[9], [14]]]], (4, 4)),
)


def masked(topic: str, operator: str, operand: Array, where: Array, **options: Any) -> PeerCase:
    """A case of pooling with a mask."""
    return PeerCase(
        topic=topic,
        operands=(operand,),
        args=(operator,),
        options=options | {"where": where},
        tolerance=ROUNDING,
    )


def every_third(*shape: int) -> Array:
    """A mask without every third element."""
    return Array(
        f"mask {shape} without every third element",
        lambda: (np.arange(np.prod(shape)) % 3 > 0).reshape(shape),
    )


MASKS = (
    masked("sequences", "global_avg_pool", normal(2, 13, 3), every_third(2, 13, 1)),
    masked("maps", "global_avg_pool", normal(2, 5, 6, 3), every_third(2, 5, 6, 1)),
    masked("maximum", "global_max_pool", normal(2, 5, 6, 3), every_third(2, 5, 6, 1)),
    masked("windows", "avg_pool", normal(2, 8, 8, 3), every_third(2, 8, 8, 1), window_shape=2),
    masked("windows", "max_pool", normal(2, 8, 8, 3), every_third(2, 8, 8, 1), window_shape=2),
)
