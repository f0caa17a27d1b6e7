"""Convolutions of several sizes over word or character vectors, and one pooling over the text.

Kim, "Convolutional neural networks for sentence classification", 2014. The head under study pools a
sequence of any length to one vector.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import Field

from experiments import register
from experiments.data import DatasetInfo
from experiments.models.convolution import Convolution, linear
from experiments.models.dropout import dropout
from experiments.models.head import Head
from experiments.models.model import AnyHead, HeadOptions, ModelOptions
from experiments.models.slot import ModelError, Slot
from experiments.models.words import WordVectors, exist, sequence_head
from experiments.section import PositiveInt, Share


@register.model("text_cnn")
class TextCNNOptions(ModelOptions):
    """`[model]`: token vectors, parallel convolutions, ReLU, head, dropout, classifier.

    The network has no pooling slots: variants differ in `head`. Padding does not affect the output.

    Attributes:
        features: Length of the token vectors.
        kernels: Number of tokens that each convolution spans. With `[]` there are no convolutions,
            and the head pools the token vectors.
        width: Channels of each convolution.
        dropout: The share of the pooled vector that is set to 0 in training.
    """

    name: str = "text_cnn"
    head: AnyHead = HeadOptions(pool="max")
    features: PositiveInt = 64
    kernels: Annotated[tuple[PositiveInt, ...], Field(strict=False)] = (3, 4, 5)
    width: PositiveInt = 64
    dropout: Share = 0.0

    kinds = frozenset({"sequence"})

    @property
    def stages(self) -> int:
        """0: the network has no pooling slots."""
        return 0

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> "TextCNN":
        """The network for sequences of tokens."""
        del slots
        return TextCNN(info, head, self, rngs)


class TextCNN(nnx.Module):
    """Token vectors, parallel convolutions, ReLU, a head and a linear layer."""

    def __init__(self, info: DatasetInfo, head: Head, options: TextCNNOptions, rngs: nnx.Rngs):
        """Builds the network; see `TextCNNOptions`."""
        if info.vocabulary is None:
            raise ModelError("text_cnn reads tokens: the dataset must say its vocabulary")
        features, width, kernels = options.features, options.width, options.kernels
        self.vectors = WordVectors(info.vocabulary, features, rngs)
        self.convolutions = nnx.List(
            Convolution(features, width, kernel=(kernel,), bias=True, rngs=rngs)
            for kernel in kernels
        )
        channels = width * len(kernels) or features
        self.head = sequence_head(head, channels, info.input_shape[0], rngs)
        self.rate = options.dropout
        self.classifier = linear(self.head.features, info.classes, rngs=rngs)

    def __call__(
        self, inputs: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> jax.Array:
        """Classifies texts.

        Args:
            inputs: `"tokens"` (N, L), token ids; and `"length"` (N,), tokens per text.
            train: Whether dropout is active.
            key: Random key of dropout.

        Returns:
            Logits (N, classes).
        """
        where = exist(inputs["length"], inputs["tokens"].shape[1])
        x = self.vectors(inputs["tokens"], where)
        if len(self.convolutions):
            every = [convolution(x) for convolution in self.convolutions]
            x = jax.nn.relu(jnp.concatenate(every, -1))
        x = dropout(self.head(x, where), self.rate, key if train else None, place=None)
        return self.classifier(x)
