"""The entries, in the order and under the headings of docs/operators.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jaxpool
from catalogue import calls
from catalogue.entry import Entry

_COMPARED = "to compare with"
_AVERAGE, _MAXIMUM = {"avg_pool(x, 8)": _COMPARED}, {"max_pool(x, 8)": _COMPARED}


def _windowed(
    operator: Callable[..., Any],
    *after_window: Any,
    words: str = "",
    picture: Mapping[str, str] | None = None,
    is_exact: bool = False,
) -> Entry:
    """The entry of a windowed operator.

    Args:
        operator: The function.
        *after_window: The arguments after `window_shape` in a typical call.
        words: Text that tables show after the window and the strides of the call.
        picture: See `Entry`.
        is_exact: See `Entry`.
    """
    call = calls.windowed(operator, *after_window, note=words)
    return Entry(
        operator,
        {"": call},
        picture=picture or {},
        is_windowed=True,
        after_window=after_window,
        is_exact=is_exact,
    )


def _two_sizes(name: str) -> dict[str, str]:
    return {f"{name}(x, 4)": "", f"{name}(x, 8)": ""}


def _whole(operator: Callable[..., Any]) -> Entry:
    return Entry(operator, {"": calls.whole(operator)}, windows=(2,))


def _adaptive(operator: Callable[..., Any]) -> Entry:
    return Entry(operator, {"": calls.adaptive(operator)})


def _fractional(operator: Callable[..., Any]) -> Entry:
    return Entry(operator, {"": calls.fractional(operator)})


def _boxes(operator: Callable[..., Any], *, position_sensitive: bool = False) -> Entry:
    call = calls.boxes(operator, position_sensitive=position_sensitive)
    return Entry(operator, {"": call}, windows=(2,))


FAMILIES: dict[str, tuple[Entry, ...]] = {
    "Maxima and minima": (
        _windowed(jaxpool.max_pool, picture=_two_sizes("max_pool"), is_exact=True),
        _windowed(jaxpool.min_pool, picture=_two_sizes("min_pool"), is_exact=True),
        _windowed(jaxpool.max_pool_with_argmax, is_exact=True),
        Entry(jaxpool.max_unpool, {"": calls.unpool}),
    ),
    "Sums and means": (
        _windowed(jaxpool.avg_pool, picture=_two_sizes("avg_pool")),
        _windowed(jaxpool.sum_pool),
        _windowed(jaxpool.lp_pool, words=" p2"),
    ),
    "Between average and maximum": (
        _windowed(
            jaxpool.gem_pool,
            words=" p3",
            picture={
                "gem_pool(x, 8, p=1)": "the average",
                "gem_pool(x, 8, p=3)": "as in image retrieval",
                "gem_pool(x, 8, p=20)": "near the maximum",
            },
        ),
        _windowed(
            jaxpool.soft_pool,
            picture={**_AVERAGE, "soft_pool(5 * x, 8) / 5": "", **_MAXIMUM},
        ),
        _windowed(
            jaxpool.logsumexp_pool,
            words=" T1",
            picture={
                "logsumexp_pool(x, 8, 0)": "the average",
                "logsumexp_pool(x, 8, 10)": "",
                "logsumexp_pool(x, 8, 100)": "near the maximum",
            },
        ),
        _windowed(
            jaxpool.mixed_pool,
            picture={**_AVERAGE, "mixed_pool(x, 8, 0.5)": "half of each", **_MAXIMUM},
        ),
        Entry(jaxpool.gated_pool, {"": calls.gated}),
    ),
    "By rank, and by chance": (
        _windowed(jaxpool.median_pool, is_exact=True),
        _windowed(
            jaxpool.top_k_pool,
            2,
            words=", the 2 largest",
            picture={
                "top_k_pool(x, 8, 1)": "the maximum",
                "top_k_pool(x, 8, 8)": "the mean of the 8 largest",
                "top_k_pool(x, 8, 64)": "the average",
            },
        ),
        Entry(
            jaxpool.stochastic_pool,
            {
                "": calls.drawn,
                "inference": calls.windowed(jaxpool.stochastic_pool, note=", the mean"),
            },
            is_windowed=True,
        ),
    ),
    "Against aliasing": (
        Entry(jaxpool.blur_pool, {"": calls.blur}, windows=(3,)),
        Entry(jaxpool.max_blur_pool, {"": calls.max_blur}),
    ),
    "The whole map": (
        _whole(jaxpool.global_avg_pool),
        _whole(jaxpool.global_max_pool),
        _whole(jaxpool.global_min_pool),
        _whole(jaxpool.global_sum_pool),
        _whole(jaxpool.global_lp_pool),
    ),
    "To a size": (
        _adaptive(jaxpool.adaptive_avg_pool),
        _adaptive(jaxpool.adaptive_max_pool),
        _adaptive(jaxpool.adaptive_max_pool_with_argmax),
        _fractional(jaxpool.fractional_max_pool),
        _fractional(jaxpool.fractional_max_pool_with_argmax),
        _fractional(jaxpool.fractional_avg_pool),
        Entry(jaxpool.spatial_pyramid_pool, {"": calls.pyramid}, windows=(2,)),
    ),
    "Boxes": (
        _boxes(jaxpool.roi_align),
        _boxes(jaxpool.roi_pool),
        _boxes(jaxpool.ps_roi_align, position_sensitive=True),
        _boxes(jaxpool.ps_roi_pool, position_sensitive=True),
    ),
    "Any function": (Entry(jaxpool.reduce_window, {"": calls.product}),),
}
"""The entries of each family, by its heading, in the order of docs/operators.md."""
