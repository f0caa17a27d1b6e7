"""The rows of the table of peers: every public operator, with its test cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jaxpool
from jaxpool import pooling
from tools.peers.case import PeerCase
from tools.peers.cases import boxes, whole, windowed

MASKS = "masks"
"""The one row that is no operator: `where=`, which nearly all of them have."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: The operator's name, or `MASKS`.
        function: The function of jaxpool.
        cases: The test cases for peers that have the operator.
    """

    name: str
    function: Callable[..., Any]
    cases: tuple[PeerCase, ...]


def _masked(x: Any, operator: str, *, where: Any, **options: Any) -> Any:
    return getattr(jaxpool, operator)(x, where=where, **options)


_CASES: dict[str, tuple[PeerCase, ...]] = {
    "max_pool": windowed.MAX,
    "min_pool": windowed.MIN,
    "avg_pool": windowed.AVG,
    "sum_pool": windowed.SUM,
    "lp_pool": windowed.LP,
    "max_pool_with_argmax": windowed.ARGMAX,
    "reduce_window": windowed.GENERAL,
    "global_max_pool": whole.GLOBAL_EXTREME,
    "global_min_pool": whole.GLOBAL_EXTREME,
    "global_avg_pool": whole.GLOBAL_SUM,
    "global_sum_pool": whole.GLOBAL_SUM,
    "global_lp_pool": whole.GLOBAL_LP,
    "adaptive_max_pool": whole.ADAPTIVE_MAX,
    "adaptive_max_pool_with_argmax": whole.ADAPTIVE_ARGMAX,
    "adaptive_avg_pool": whole.ADAPTIVE_AVG,
    "fractional_max_pool": whole.FRACTIONAL_MAX,
    "fractional_max_pool_with_argmax": whole.FRACTIONAL_ARGMAX,
    "fractional_avg_pool": whole.FRACTIONAL_AVG,
    "max_unpool": whole.UNPOOL,
    "roi_align": boxes.ALIGN,
    "roi_pool": boxes.POOL,
    "ps_roi_align": boxes.PS_ALIGN,
    "ps_roi_pool": boxes.PS_POOL,
}
_OPERATORS = list(pooling.__all__)

ROWS: dict[str, Row] = {
    name: Row(name, getattr(jaxpool, name), _CASES.get(name, ()))
    for name in [*(n for n in _CASES), *(n for n in _OPERATORS if n not in _CASES)]
} | {MASKS: Row(MASKS, _masked, whole.MASKS)}
"""By name: those that peers have first."""
