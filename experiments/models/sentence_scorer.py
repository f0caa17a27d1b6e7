"""A network that scores the sentences of a document, from word vectors pooled per sentence.

The head under study pools the words of a sentence to one vector.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments import register
from experiments.data import DatasetInfo
from experiments.models.convolution import linear
from experiments.models.dropout import dropout
from experiments.models.head import Head
from experiments.models.model import ModelOptions
from experiments.models.slot import ModelError, Slot
from experiments.models.words import WordVectors, exist, sequence_head
from experiments.section import PositiveInt, Share

_NEVER = -1e9
"""The score of a missing sentence; finite, so that multiplication by 0 gives 0."""


@register.model("sentence_scorer")
class SentenceScorerOptions(ModelOptions):
    """`[model]`: word vectors, a head over each sentence, a mean over sentences, and a score.

    Two layers compute a sentence's score from its own vector, the mean of all sentence vectors of
    the document, and the product of both. The network has no pooling slots: variants differ in
    `head`.

    Attributes:
        features: Length of the word vectors.
        hidden: Units of the layer before the score.
        position: Whether the score also depends on the sentence's position in the document.
        dropout: The share of the score's inputs that is set to 0 in training.
    """

    name: str = "sentence_scorer"
    features: PositiveInt = 64
    hidden: PositiveInt = 64
    position: bool = False
    dropout: Share = 0.0

    kinds = frozenset({"document"})

    @property
    def stages(self) -> int:
        """0: the network has no pooling slots."""
        return 0

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> "SentenceScorer":
        """The network for documents."""
        del slots
        return SentenceScorer(info, head, self, rngs)


class SentenceScorer(nnx.Module):
    """Word vectors, a head over each sentence, the mean over sentences, and two layers."""

    def __init__(
        self, info: DatasetInfo, head: Head, options: SentenceScorerOptions, rngs: nnx.Rngs
    ):
        """Builds the network; see `SentenceScorerOptions`."""
        if info.vocabulary is None:
            raise ModelError("sentence_scorer reads words: the dataset must say its vocabulary")
        self.vectors = WordVectors(info.vocabulary, options.features, rngs)
        self.head = sequence_head(head, options.features, info.input_shape[1], rngs)
        self.position, self.rate = options.position, options.dropout
        features = 3 * self.head.features + 2 * options.position
        self.hidden = linear(features, options.hidden, rngs=rngs)
        self.score = linear(options.hidden, 1, rngs=rngs)

    def __call__(
        self, inputs: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> jax.Array:
        """Scores sentences.

        Args:
            inputs: `"tokens"` (N, S, L), word ids; `"length"` (N, S), words per sentence;
                `"sentences"` (N,), sentences per document.
            train: Whether dropout is active.
            key: Random key of dropout.

        Returns:
            Scores (N, S); missing sentences get a score far below all others.
        """
        tokens = inputs["tokens"]
        real = exist(inputs["sentences"], tokens.shape[1])
        # Every sentence has a word to pool; the vector of a missing sentence is 0.
        words = exist(jnp.maximum(inputs["length"], 1), tokens.shape[2])
        x = self.vectors(tokens, words & real[..., None])
        pooled = self.head(x.reshape(-1, *x.shape[2:]), words.reshape(-1, words.shape[-1]))
        sentences = jnp.where(real[..., None], pooled.reshape(*real.shape, -1), 0)
        count = inputs["sentences"][:, None, None]
        document = jnp.broadcast_to(sentences.sum(1, keepdims=True) / count, sentences.shape)
        parts = [sentences, document, sentences * document]
        if self.position:
            place = jnp.arange(tokens.shape[1], dtype=x.dtype)[:, None]
            parts += [
                jnp.broadcast_to(1 / (1 + place), (*real.shape, 1)),
                jnp.broadcast_to(place / count, (*real.shape, 1)),
            ]
        seen = jnp.concatenate(parts, -1)
        seen = dropout(seen, self.rate, key if train else None, place=None)
        scores = self.score(jax.nn.relu(self.hidden(seen)))[..., 0]
        return jnp.where(real, scores, _NEVER)
