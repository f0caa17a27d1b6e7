import jax
import numpy as np
import pytest
from flax import nnx

from experiments.data import DatasetInfo
from experiments.models import Head
from experiments.models.sentence_scorer import SentenceScorerOptions

VOCABULARY = 20


def build(head="average", sentences=4, words=6, **options):
    info = DatasetInfo((sentences, words), sentences, 9, 9, kind="document", vocabulary=VOCABULARY)
    options = SentenceScorerOptions(features=6, hidden=5, **options)
    return options.build(info, (), Head(head), nnx.Rngs(0))


def documents(sentences=4, words=6, filler=0):
    random = np.random.default_rng(0)
    tokens = np.full((2, sentences, words), filler, np.int32)
    lengths = np.zeros((2, sentences), np.int32)
    lengths[0, :3], lengths[1, :4] = (1, 6, 3), (2, 2, 5, 6)
    for place in np.ndindex(2, 4):
        tokens[place][: lengths[place]] = random.integers(2, VOCABULARY, 6)[: lengths[place]]
    return {"tokens": tokens, "length": lengths, "sentences": np.array([3, 4], np.int32)}


@pytest.mark.parametrize(
    "head",
    ["max", "k_max", *(pytest.param(h, marks=pytest.mark.thorough) for h in ("attention", "last"))],
)
def test_scores_do_not_depend_on_padding(head):
    net = build(head, position=True)
    gradient = nnx.jit(nnx.grad(loss))(net, documents())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    scores, wider = map(np.asarray, nnx.jit(both)(net, documents(), documents(5, 8, filler=9)))
    np.testing.assert_allclose(wider[:, :4], scores, rtol=1e-4, atol=1e-5)
    assert np.all(wider[:, 4] == -1e9)
    assert scores[0, 3] == -1e9
    assert np.abs(scores[0, :3]).max() < 1e3


def loss(net, batch):
    return jax.nn.log_softmax(net(batch, train=True))[:, 0].sum()


def both(net, first, second):
    return net(first), net(second)


def test_a_score_sees_its_sentence_the_document_and_where_it_stands():
    net, batch = build(position=True), documents()
    table = np.asarray(net.vectors.table[...])
    expected = []
    for tokens, lengths, count in zip(*batch.values(), strict=True):
        vectors = [table[row[:n]].mean(0) for row, n in zip(tokens, lengths, strict=True) if n]
        whole = np.mean(vectors, 0)
        seen = [
            np.concatenate([vector, whole, vector * whole, [1 / (1 + place), place / count]])
            for place, vector in enumerate(vectors)
        ]
        hidden = np.maximum(seen @ np.asarray(net.hidden.kernel[...]), 0)
        expected.append((hidden @ np.asarray(net.score.kernel[...]))[:, 0])
    scores = np.asarray(net(batch))
    np.testing.assert_allclose(scores[0, :3], expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scores[1], expected[1], rtol=1e-4, atol=1e-5)
