"""The networks, by name.

A network is an `nnx.Module` in a file of its own, built from what `[model]` says and one `Slot` a
stage, and called as `network(x, train=..., key=...)`; adding one is a new file and a line in
`_NETWORKS`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flax import nnx

from experiments.models.slot import Slot, SlotError
from experiments.models.small_cnn import SmallCNN

__all__ = ["Slot", "SlotError", "build", "names"]

_NETWORKS: dict[str, Callable[..., nnx.Module]] = {"small_cnn": SmallCNN}


def names() -> tuple[str, ...]:
    """The networks that can be built."""
    return tuple(_NETWORKS)


def build(
    name: str,
    options: Mapping[str, Any],
    *,
    channels_in: int,
    classes: int,
    slots: Sequence[Slot],
    rngs: nnx.Rngs,
) -> nnx.Module:
    """Builds a network.

    Args:
        name: One of `names()`.
        options: What the network takes beside the rest, such as `widths`.
        channels_in: Channels of an input image.
        classes: Outputs.
        slots: One pooling a stage.
        rngs: Where the initial weights come from.

    Returns:
        The network, to be called as `network(x, train=..., key=...)`.
    """
    return _NETWORKS[name](channels_in, classes, slots, rngs=rngs, **options)
