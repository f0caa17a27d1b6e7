"""The operators: one folder per kind of pooled region, one file per family.

Files with a leading underscore are private helpers of their folder; `arguments`, `sizes` and
`sharding` are helpers of all folders.
"""

from jaxpool.pooling.bins.adaptive import (
    adaptive_avg_pool,
    adaptive_max_pool,
    adaptive_max_pool_with_argmax,
)
from jaxpool.pooling.bins.fractional import (
    fractional_avg_pool,
    fractional_max_pool,
    fractional_max_pool_with_argmax,
)
from jaxpool.pooling.bins.pyramid import spatial_pyramid_pool
from jaxpool.pooling.boxes.position_sensitive import ps_roi_align, ps_roi_pool
from jaxpool.pooling.boxes.roi import roi_align, roi_pool
from jaxpool.pooling.general.reduce_window import reduce_window
from jaxpool.pooling.whole.global_pools import (
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
    global_min_pool,
    global_sum_pool,
)
from jaxpool.pooling.windows.average import avg_pool, sum_pool
from jaxpool.pooling.windows.blur import blur_pool, max_blur_pool
from jaxpool.pooling.windows.gem import gem_pool
from jaxpool.pooling.windows.lp import lp_pool
from jaxpool.pooling.windows.maximum import max_pool, max_pool_with_argmax, min_pool
from jaxpool.pooling.windows.median import median_pool
from jaxpool.pooling.windows.mixed import gated_pool, mixed_pool
from jaxpool.pooling.windows.soft import logsumexp_pool, soft_pool
from jaxpool.pooling.windows.stochastic import stochastic_pool
from jaxpool.pooling.windows.top_k import top_k_pool
from jaxpool.pooling.windows.unpool import max_unpool

__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "adaptive_max_pool_with_argmax",
    "avg_pool",
    "blur_pool",
    "fractional_avg_pool",
    "fractional_max_pool",
    "fractional_max_pool_with_argmax",
    "gated_pool",
    "gem_pool",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "global_min_pool",
    "global_sum_pool",
    "logsumexp_pool",
    "lp_pool",
    "max_blur_pool",
    "max_pool",
    "max_pool_with_argmax",
    "max_unpool",
    "median_pool",
    "min_pool",
    "mixed_pool",
    "ps_roi_align",
    "ps_roi_pool",
    "reduce_window",
    "roi_align",
    "roi_pool",
    "soft_pool",
    "spatial_pyramid_pool",
    "stochastic_pool",
    "sum_pool",
    "top_k_pool",
]
