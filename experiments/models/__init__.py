"""Networks, one file each, and their common parts: pooling slots and heads.

A network is an `nnx.Module`, called as `network(inputs, train=..., key=...)`. Its options are a
subclass of `ModelOptions`, whose `build` creates the network from the dataset's shapes, one `Slot`
per stage and a `Head`. A new network needs a file and its name in the import below; a plug-in adds
one with `experiments.register.model`.
"""

from experiments.models import (
    all_cnn,
    region_net,
    resnet,
    sentence_scorer,
    small_cnn,
    text_cnn,
)
from experiments.models.head import HEADS, Head, HeadError
from experiments.models.model import AnyHead, HeadOptions, ModelOptions
from experiments.models.slot import ModelError, Slot, SlotError

__all__ = [
    "HEADS",
    "AnyHead",
    "Head",
    "HeadError",
    "HeadOptions",
    "ModelError",
    "ModelOptions",
    "Slot",
    "SlotError",
    "all_cnn",
    "region_net",
    "resnet",
    "sentence_scorer",
    "small_cnn",
    "text_cnn",
]
