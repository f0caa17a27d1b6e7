"""A score for every sentence of a document, from word vectors pooled to sentence vectors.

What is studied is the head: the pooling from the words of a sentence to one vector.
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
"""The score of a sentence that does not exist; finite, so that 0 times it is 0."""


@register.model("sentence_scorer")
class SentenceScorerOptions(ModelOptions):
    """`[model]`: word vectors, head over each sentence, mean over sentences, score.

    A sentence's score comes from its own vector, the mean of all sentence vectors of the document,
    and their product, by two layers. It has no pooling slots: variants differ in `head`.

    Attributes:
        features: The length of the word vectors.
        hidden: Units of the layer before the score.
        position: Whether the score also sees where in the document the sentence stands.
        dropout: The share of what the score is computed from that is set to 0 in training.
    """

    name: str = "sentence_scorer"
    features: PositiveInt = 64
    hidden: PositiveInt = 64
    position: bool = False
    dropout: Share = 0.0

    kinds = frozenset({"document"})

    @property
    def stages(self) -> int:
        """None."""
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
            inputs: `"tokens"` (N, S, L), numbers of words; `"length"` (N, S), how many words each
                sentence has; `"sentences"` (N,), how many sentences each document has.
            train: Whether elements are dropped.
            key: Which ones.

        Returns:
            Scores (N, S); one far below all others where there is no sentence.
        """
        tokens = inputs["tokens"]
        real = exist(inputs["sentences"], tokens.shape[1])
        # Every sentence has a word to pool, those that do not exist a vector of 0.
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
