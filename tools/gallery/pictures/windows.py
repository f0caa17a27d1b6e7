"""Windows that slide: what each operator makes of the pagoda, mostly in windows of 8 by 8."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxpool
from tools.gallery.pictures.photo import grey, pagoda
from tools.gallery.pictures.strip import Panel, strip

_SPOILT = 0.06  # share of pixels that are made black or white, for the median


def sum_pool() -> bytes:
    """How many pixels are bright."""
    bright = (grey(pagoda()) > 0.6).astype(np.int32)
    counts = np.asarray(jaxpool.sum_pool(bright, 16))
    return strip(
        _input(),
        Panel("bright = grey(x) > 0.6", bright),
        Panel(
            "sum_pool(bright, 16)",
            counts / 256,
            "bright pixels, of 256",
            numbers=counts[0, :, :, 0],
            colours="viridis",
        ),
    )


def lp_pool() -> bytes:
    """From the average to the maximum."""
    x = pagoda()
    panels = [
        Panel(f"lp_pool(x, 8, p={p})", jaxpool.lp_pool(x, 8, p) / 64 ** (1 / p), f"divided by {by}")
        for p, by in ((1, "64"), (2, "8"), (20, "64^(1/20)"))
    ]
    return strip(_input(), *panels)


def gated_pool() -> bytes:
    """The maximum where the upper half of a window is the brighter one."""
    x = grey(pagoda())
    filters = np.ones((8, 8, 1), np.float32)
    filters[4:] = -1
    difference = jaxpool.sum_pool(x * np.tile(filters, (12, 12, 1)), 8)
    return strip(
        Panel("avg_pool(x, 8)", jaxpool.avg_pool(x, 8), "to compare with"),
        Panel("the gate", jax.nn.sigmoid(difference), "white: maximum; black: average"),
        Panel("gated_pool(x, 8, filters)", jaxpool.gated_pool(x, 8, filters)),
        Panel("max_pool(x, 8)", jaxpool.max_pool(x, 8), "to compare with"),
    )


def median_pool() -> bytes:
    """Against spoilt pixels."""
    x = pagoda()
    rng = np.random.default_rng(0)
    spoilt = rng.random(x.shape[:-1]) < _SPOILT
    x = np.where(spoilt[..., None], rng.integers(0, 2, (*spoilt.shape, 1)), x).astype(np.float32)
    return strip(
        Panel("x", x, f"{_SPOILT:.0%} of the pixels are spoilt"),
        Panel("avg_pool(x, 3, strides=1)", jaxpool.avg_pool(x, 3, strides=1)),
        Panel("median_pool(x, 3, strides=1)", jaxpool.median_pool(x, 3, strides=1)),
    )


def stochastic_pool() -> bytes:
    """Two draws and their mean."""
    x = pagoda()
    draws = [
        Panel(
            "stochastic_pool(x, 8, key=...)",
            jaxpool.stochastic_pool(x, 8, key=jax.random.key(seed)),
            f"{which} draw, each channel its own",
        )
        for seed, which in enumerate(("one", "another"))
    ]
    mean = Panel("stochastic_pool(x, 8)", jaxpool.stochastic_pool(x, 8), "inference: the mean")
    return strip(_input(), *draws, mean)


def reduce_window() -> bytes:
    """The range of every window: two reductions at once."""
    x = jnp.asarray(grey(pagoda()))
    window, strides = (1, 3, 3, 1), (1, 1, 1, 1)

    def extremes(a: Any, b: Any) -> Any:
        return jnp.maximum(a[0], b[0]), jnp.minimum(a[1], b[1])

    high, low = jaxpool.reduce_window((x, x), (-np.inf, np.inf), extremes, window, strides, "SAME")
    return strip(
        Panel("x", x, "96 x 96"),
        Panel("high - low", high - low, "of reduce_window((x, x), ...), 3 x 3"),
    )


def _input() -> Panel:
    return Panel("x", pagoda(), "96 x 96")
