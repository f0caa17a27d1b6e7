import jax
import numpy as np
import pytest
from flax import nnx

from experiments.data import DatasetInfo
from experiments.models import HEADS, Head, HeadError, ModelError
from experiments.models.text_cnn import TextCNNOptions

VOCABULARY, LENGTH = 20, 9
WITH_PADDING = sorted(set(HEADS) - {"flatten", "pyramid"})
IN_THE_STUDY = ("average", "max", "attention", "k_max", "last")


def info(length, vocabulary: int | None = VOCABULARY):
    return DatasetInfo((length,), 3, 10, 10, kind="sequence", vocabulary=vocabulary)


def build(head="max", length=LENGTH, **options):
    options = TextCNNOptions(features=6, width=5, **options)
    return options.build(info(length), (), Head(head), nnx.Rngs(0))


def texts(lengths=(1, 2, 4, 9), padded=LENGTH, filler=0):
    tokens = np.random.default_rng(0).integers(2, VOCABULARY, (len(lengths), LENGTH))
    wide = np.full((len(lengths), padded), filler, np.int32)
    for row, length in enumerate(lengths):
        wide[row, :length] = tokens[row, :length]
    return {"tokens": wide, "length": np.array(lengths, np.int32)}


@pytest.mark.parametrize(
    ("head", "kernels"),
    [
        pytest.param(head, kernels, marks=() if head in IN_THE_STUDY else pytest.mark.thorough)
        for head, kernels in [*((head, (2,)) for head in WITH_PADDING), ("gem", ()), ("max", ())]
    ],
)
def test_logits_do_not_depend_on_padding(head, kernels):
    net = build(head, kernels=kernels)
    value, gradient = nnx.jit(nnx.value_and_grad(squares))(net, texts())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradient)))
    logits, wider = nnx.jit(both)(net, texts(), texts(padded=13, filler=7))
    np.testing.assert_allclose(wider, logits, rtol=1e-4, atol=1e-5)


def squares(net, batch):
    return (net(batch, train=True) ** 2).sum()


def both(net, first, second):
    return net(first), net(second)


@pytest.mark.parametrize("head", ["flatten", "pyramid"])
def test_a_head_that_counts_padding_is_refused(head):
    with pytest.raises(HeadError, match=rf"head: {head} divides a text by its padded length"):
        build(head)


def test_it_is_vectors_convolutions_relu_maximum_and_a_linear_layer():
    net = build(kernels=(3,))
    batch = texts()
    kernel, bias = (
        np.asarray(p[...]) for p in (net.convolutions[0].kernel, net.convolutions[0].bias)
    )
    pooled = []
    for tokens, length in zip(batch["tokens"], batch["length"], strict=True):
        vectors = np.zeros((length + 2, 6))
        vectors[1:-1] = np.asarray(net.vectors.table[...])[tokens[:length]]
        rows = [
            sum(vectors[place + tap] @ kernel[tap] for tap in range(3)) + bias
            for place in range(length)
        ]
        pooled.append(np.maximum(rows, 0).max(0))
    expected = pooled @ np.asarray(net.classifier.kernel[...]) + np.asarray(
        net.classifier.bias[...]
    )
    np.testing.assert_allclose(net(batch), expected, rtol=1e-4, atol=1e-5)


def test_dropout_works_in_training_only():
    net, batch = build(dropout=0.5), texts()
    np.testing.assert_array_equal(net(batch), net(batch, key=jax.random.key(0)))
    first, second = (net(batch, train=True, key=jax.random.key(seed)) for seed in (0, 1))
    assert np.abs(np.asarray(first - second)).max() > 0


def test_a_dataset_without_vocabulary_is_refused():
    with pytest.raises(ModelError, match="must say its vocabulary"):
        TextCNNOptions().build(info(LENGTH, None), (), Head("max"), nnx.Rngs(0))
