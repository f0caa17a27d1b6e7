import jax
import jax.numpy as jnp
import numpy as np

from experiments.models.dropout import dropout

ONES = jnp.ones((100, 100))


def test_dropout_drops_the_given_share_and_keeps_the_mean():
    dropped = np.asarray(dropout(ONES, 0.25, jax.random.key(0)))
    assert set(np.unique(dropped)) == {0, np.float32(1 / 0.75)}
    assert abs((dropped == 0).mean() - 0.25) < 0.02
    assert abs(dropped.mean() - 1) < 0.02


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero():
    assert dropout(ONES, 0.5, None) is ONES
    assert dropout(ONES, 0.0, jax.random.key(0)) is ONES


def test_what_is_dropped_depends_on_key_and_place():
    def mask(key, place):
        return np.asarray(dropout(ONES, 0.5, jax.random.key(key), place)) == 0

    np.testing.assert_array_equal(mask(0, 0), mask(0, 0))
    for other in (mask(1, 0), mask(0, 1)):
        assert 0.45 < (mask(0, 0) == other).mean() < 0.55
