"""PyTorch: `torch.nn.functional`, and reductions of whole maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from tools.peers.libraries import on_torch
from tools.peers.library import Adapter, Library, named

Pool = Callable[..., torch.Tensor]


def _sliding(kind: str, **fixed: Any) -> Callable[..., Any]:
    """A pooling of `torch.nn.functional` with our names of options; `args` precede the window."""

    def pool(x: torch.Tensor, window_shape: Any, *args: Any, **options: Any) -> Any:
        function = named(F, f"{kind}{x.ndim - 2}d")
        renamed = {"strides": "stride"}
        handed_on = {renamed.get(name, name): value for name, value in options.items()}
        return _channels_last(function(x.movedim(-1, 1), *args, window_shape, **fixed, **handed_on))

    return pool


def _of_int64(pool: Callable[..., Any]) -> Callable[..., Any]:
    """Converts integers to int64, the only integers that averages accept."""

    def wide(x: torch.Tensor, *args: Any, **options: Any) -> Any:
        return pool(x.long() if x.dtype == torch.int32 else x, *args, **options)

    return wide


def _channels_last(results: Any) -> Any:
    if isinstance(results, tuple):
        return tuple(result.movedim(1, -1) for result in results)
    return results.movedim(1, -1)


def _adaptive(kind: str, **fixed: Any) -> Callable[..., Any]:
    def pool(x: torch.Tensor, output_shape: Any, **options: Any) -> Any:
        function = named(F, f"adaptive_{kind}_pool{x.ndim - 2}d")
        return _channels_last(function(x.movedim(-1, 1), output_shape, **fixed, **options))

    return pool


def _fractional(**fixed: Any) -> Callable[..., Any]:
    def pool(x: torch.Tensor, window_shape: Any, output_shape: Any, **options: Any) -> Any:
        function = named(F, f"fractional_max_pool{x.ndim - 2}d")
        samples = options.pop("samples", None)
        return _channels_last(
            function(
                x.movedim(-1, 1),
                window_shape,
                output_shape,
                _random_samples=samples,
                **fixed,
                **options,
            )
        )

    return pool


def _max_unpool(values: torch.Tensor, indices: torch.Tensor, output_shape: Any) -> torch.Tensor:
    axes = values.ndim - 2
    window = [
        max(1, output // size)
        for output, size in zip(output_shape, values.shape[1:-1], strict=True)
    ]
    y = named(F, f"max_unpool{axes}d")(
        values.movedim(-1, 1),
        indices.movedim(-1, 1).to(torch.int64),
        window,
        output_size=output_shape,
    )
    return y.movedim(1, -1)


def _positions(x: torch.Tensor) -> tuple[int, ...]:
    return tuple(range(1, x.ndim - 1))


def _masked(x: torch.Tensor, operator: str, *, where: torch.Tensor, **options: Any) -> torch.Tensor:
    if "global" in operator:
        reduce = torch.masked.amax if "max" in operator else torch.masked.mean
        return reduce(x, _positions(x), mask=where.expand(x.shape), **options)
    pool = _sliding("max_pool" if "max" in operator else "avg_pool")
    return pool(x, options.pop("window_shape"), where=where, **options)


def _functional(*names: str) -> tuple[str, ...]:
    return tuple(f"torch.nn.functional.{name}?d" for name in names)


LIBRARY = Library(
    name="torch",
    packages=("torch",),
    modules=("torch", "torch.nn", "torch.nn.functional", "torch.masked", "torch.special"),
    evaluate=on_torch.evaluate,
    adapters={
        "max_pool": Adapter(
            _sliding("max_pool"),
            _functional("max_pool"),
            ("torch.max_pool?d", "torch.nn.MaxPool?d", "torch.mkldnn_max_pool?d"),
        ),
        "max_pool_with_argmax": Adapter(
            _sliding("max_pool", return_indices=True),
            _functional("max_pool"),
            ("torch.max_pool1d_with_indices", "torch.nn.functional.max_pool?d_with_indices"),
        ),
        "avg_pool": Adapter(
            _of_int64(_sliding("avg_pool")),
            _functional("avg_pool"),
            ("torch.avg_pool1d", "torch.nn.AvgPool?d"),
        ),
        "sum_pool": Adapter(
            _of_int64(_sliding("avg_pool", divisor_override=1)), _functional("avg_pool")
        ),
        "lp_pool": Adapter(_sliding("lp_pool"), _functional("lp_pool"), ("torch.nn.LPPool?d",)),
        "max_unpool": Adapter(_max_unpool, _functional("max_unpool"), ("torch.nn.MaxUnpool?d",)),
        "adaptive_max_pool": Adapter(
            _adaptive("max"),
            _functional("adaptive_max_pool"),
            ("torch.adaptive_max_pool1d", "torch.nn.AdaptiveMaxPool?d"),
        ),
        "adaptive_max_pool_with_argmax": Adapter(
            _adaptive("max", return_indices=True),
            _functional("adaptive_max_pool"),
            ("torch.nn.functional.adaptive_max_pool?d_with_indices",),
        ),
        "adaptive_avg_pool": Adapter(
            _adaptive("avg"),
            _functional("adaptive_avg_pool"),
            (
                "torch.adaptive_avg_pool1d",
                "torch.nn.AdaptiveAvgPool?d",
                "torch.mkldnn_adaptive_avg_pool2d",
            ),
        ),
        "fractional_max_pool": Adapter(
            _fractional(), _functional("fractional_max_pool"), ("torch.nn.FractionalMaxPool?d",)
        ),
        "fractional_max_pool_with_argmax": Adapter(
            _fractional(return_indices=True),
            _functional("fractional_max_pool"),
            ("torch.nn.functional.fractional_max_pool?d_with_indices",),
        ),
        "global_max_pool": Adapter(
            lambda x: _adaptive("max")(x, 1).flatten(1), _functional("adaptive_max_pool")
        ),
        "global_min_pool": Adapter(lambda x: torch.amin(x, _positions(x)), ("torch.amin",)),
        "global_avg_pool": Adapter(
            lambda x: _adaptive("avg")(x, 1).flatten(1), _functional("adaptive_avg_pool")
        ),
        "global_sum_pool": Adapter(lambda x: torch.sum(x, _positions(x)), ("torch.sum",)),
        "global_lp_pool": Adapter(
            lambda x, p=2.0: torch.linalg.vector_norm(x, p, _positions(x)),
            ("torch.linalg.vector_norm",),
        ),
        "masks": Adapter(_masked, ("torch.masked.amax", "torch.masked.mean")),
    },
    extras={
        "pooling of quantised tensors": ("torch.quantized_max_pool?d",),
        "sums, means and maxima of looked-up embeddings": (
            "torch.embedding_bag",
            "torch.nn.EmbeddingBag",
            "torch.nn.functional.embedding_bag",
        ),
        "reductions of segments": ("torch.segment_reduce",),
    },
    aside={
        "a reduction of whole axes": (
            "torch.logsumexp",
            "torch.special.logsumexp",
            "torch.masked.logsumexp",
            "torch.median",
            "torch.nanmedian",
            "torch.masked.median",
        ),
    },
)
