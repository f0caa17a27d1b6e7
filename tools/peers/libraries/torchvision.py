"""torchvision: `torchvision.ops`, which pools over boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torchvision import ops

from tools.peers.libraries import on_torch
from tools.peers.library import Adapter, Library


def _over_boxes(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Prepends the index of the image to each box."""

    def pool(
        features: torch.Tensor,
        boxes: torch.Tensor,
        output_shape: Any,
        *,
        batch_indices: torch.Tensor | None = None,
        **options: Any,
    ) -> torch.Tensor:
        images = features if features.ndim == 4 else features[None]
        numbers = torch.zeros(len(boxes)) if batch_indices is None else batch_indices
        rows = torch.cat([numbers.to(boxes.dtype)[:, None], boxes], dim=1)
        return function(images.movedim(-1, 1), rows, output_shape, **options).movedim(1, -1)

    return pool


def _roi_align(*args: Any, aligned: bool = True, **options: Any) -> torch.Tensor:
    return _over_boxes(ops.roi_align)(*args, aligned=aligned, **options)


LIBRARY = Library(
    name="torchvision",
    packages=("torchvision", "torch"),
    modules=("torchvision.ops",),
    evaluate=on_torch.evaluate,
    adapters={
        "roi_align": Adapter(
            _roi_align, ("torchvision.ops.roi_align",), ("torchvision.ops.RoIAlign",)
        ),
        "roi_pool": Adapter(
            _over_boxes(ops.roi_pool), ("torchvision.ops.roi_pool",), ("torchvision.ops.RoIPool",)
        ),
        "ps_roi_align": Adapter(
            _over_boxes(ops.ps_roi_align),
            ("torchvision.ops.ps_roi_align",),
            ("torchvision.ops.PSRoIAlign",),
        ),
        "ps_roi_pool": Adapter(
            _over_boxes(ops.ps_roi_pool),
            ("torchvision.ops.ps_roi_pool",),
            ("torchvision.ops.PSRoIPool",),
        ),
    },
    extras={
        "boxes that choose their level of a pyramid": ("torchvision.ops.MultiScaleRoIAlign",),
    },
    aside={"a part of a network": ("torchvision.ops.FeaturePyramidNetwork",)},
)
