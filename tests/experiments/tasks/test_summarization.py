import jax
import numpy as np

from experiments.tasks import METRICS
from experiments.tasks.summarization import Summarization

LABELS = {
    "rouge_1": np.array([[0.2, 0.5, 0.5], [0.1, 0.3, -1.0]], np.float32),
    "rouge_l": np.array([[0.1, 0.4, 0.3], [0.1, 0.2, -1.0]], np.float32),
    "best": np.array([1, 1], np.int32),
}
SCORES = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, -1e9]], np.float32)


def test_loss_is_cross_entropy_towards_the_nearest_sentences():
    loss = Summarization(name="summarization").loss(SCORES, LABELS)
    first = np.log(np.exp(SCORES[0]).sum()) - (1.0 + 2.0) / 2
    second = np.log(np.exp([3.0, 1.0]).sum()) - 1.0
    np.testing.assert_allclose(loss, [first, second], rtol=1e-6)


def test_scores_are_those_of_the_picked_sentence():
    scores = Summarization(name="summarization").scores(
        lambda inputs: inputs, SCORES, LABELS, jax.random.key(0)
    )
    np.testing.assert_array_equal(scores["accuracy"][0], [1, 0])
    np.testing.assert_allclose(scores["rouge_1"][0], [0.5, 0.1])
    np.testing.assert_allclose(scores["rouge_l"][0], [0.3, 0.1])
    assert {"rouge_1", "rouge_l"} <= set(METRICS)
