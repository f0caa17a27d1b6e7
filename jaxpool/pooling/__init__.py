"""The operators, one family a file."""

from jaxpool.pooling.average import avg_pool, sum_pool
from jaxpool.pooling.extreme import max_pool, min_pool
from jaxpool.pooling.general import reduce_window
from jaxpool.pooling.norm import lp_pool
from jaxpool.pooling.whole import (
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
    global_min_pool,
    global_sum_pool,
)

__all__ = [
    "avg_pool",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "global_min_pool",
    "global_sum_pool",
    "lp_pool",
    "max_pool",
    "min_pool",
    "reduce_window",
    "sum_pool",
]
