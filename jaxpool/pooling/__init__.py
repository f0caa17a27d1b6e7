"""The operators, one family a file."""

from jaxpool.pooling.adaptive import (
    adaptive_avg_pool,
    adaptive_max_pool,
    adaptive_max_pool_with_argmax,
)
from jaxpool.pooling.average import avg_pool, sum_pool
from jaxpool.pooling.blur import blur_pool, max_blur_pool
from jaxpool.pooling.extreme import max_pool, max_pool_with_argmax, min_pool
from jaxpool.pooling.fractional import (
    fractional_avg_pool,
    fractional_max_pool,
    fractional_max_pool_with_argmax,
)
from jaxpool.pooling.general import reduce_window
from jaxpool.pooling.mixed import gated_pool, mixed_pool
from jaxpool.pooling.norm import lp_pool
from jaxpool.pooling.order import median_pool
from jaxpool.pooling.position_sensitive import ps_roi_align, ps_roi_pool
from jaxpool.pooling.power import gem_pool
from jaxpool.pooling.pyramid import spatial_pyramid_pool
from jaxpool.pooling.roi import roi_align, roi_pool
from jaxpool.pooling.soft import logsumexp_pool, soft_pool
from jaxpool.pooling.stochastic import stochastic_pool
from jaxpool.pooling.unpool import max_unpool
from jaxpool.pooling.whole import (
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
    global_min_pool,
    global_sum_pool,
)

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
]
