import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxpool
from experiments.models import Slot, SlotError, slot

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 4, 3)), np.float32)


def test_a_slot_applies_the_operator_it_names():
    pooled = Slot("avg_pool", arguments={"window_shape": 2, "strides": 1})(X)
    np.testing.assert_array_equal(pooled, jaxpool.avg_pool(X, 2, strides=1))


@pytest.mark.parametrize("pool", slot.WITHOUT_OPERATOR)
def test_no_pooling_leaves_the_feature_map_alone(pool):
    assert Slot(pool)(X) is X


def test_names_are_the_operators_of_one_array():
    assert {"strided", "none", "max_pool", "avg_pool"} <= set(slot.names())
    assert "reduce_window" not in slot.names()


@pytest.mark.parametrize("pool", slot.LEARNED)
def test_a_module_with_parameters_is_built_once_and_reused(pool):
    one = Slot(pool, arguments={"window_shape": 2, "strides": (1, 2), "channels": 3})
    module = one.module(nnx.Rngs(0))
    (parameter,) = jax.tree.leaves(nnx.state(module))
    assert parameter.shape[-1] == 3
    y = one(jnp.abs(X), jax.random.key(0), module)
    np.testing.assert_array_equal(y, module(jnp.abs(X)))
    assert y.shape == (2, 5, 2, 3)
    assert Slot("max_pool", arguments={"window_shape": 2}).module(nnx.Rngs(0)) is None


def test_what_cannot_be_built_or_meets_other_channels_says_where_and_why():
    bad = Slot("learned_mixed_pool", arguments={"window_shape": 2, "alpha": 1}, place="variants.x")
    with pytest.raises(SlotError, match=r"^variants\.x: learned_mixed_pool\(.*built: alpha must"):
        bad.module(nnx.Rngs(0))
    other = Slot("gated_pool", arguments={"window_shape": 2, "channels": 4}, place="variants.x")
    with pytest.raises(SlotError, match=r"^variants\.x: gated_pool\(.* filters must have shape"):
        other(X, None, other.module(nnx.Rngs(0)))


@pytest.mark.parametrize(
    ("pool", "arguments", "complaint"),
    [
        ("max_pool", {"window_shape": 5}, "larger than the feature map"),
        ("max_pool", {"window_shape": (2, 2, 2, 2, 2)}, "window_shape"),
        ("max_pool", {"window_shape": 2, "padding": "VALIT"}, "padding"),
        ("global_max_pool", {}, r"returns shape \(2, 3\), not 4-D feature maps of 2"),
    ],
)
def test_what_cannot_pool_says_where_and_why(pool, arguments, complaint):
    with pytest.raises(SlotError, match=complaint) as caught:
        Slot(pool, arguments=arguments, place="variants.x.1")(X)
    assert str(caught.value).startswith(f"variants.x.1: {pool}(")
    assert "feature map of 6x4x3" in str(caught.value)


def test_operators_that_draw_get_the_key_in_training_only(monkeypatch):
    def drawing(x, *, key=None):
        return x + (0.0 if key is None else jax.random.uniform(key))

    def pair(x):
        return x, x

    monkeypatch.setattr(slot, "operators", lambda: {"drawing": drawing, "pair": pair})
    key = jax.random.key(3)
    np.testing.assert_array_equal(Slot("drawing")(X), X)
    np.testing.assert_array_equal(Slot("drawing")(X, key), X + jax.random.uniform(key))
    with pytest.raises(SlotError, match="returns tuple, not one array"):
        Slot("pair")(X)


def test_an_error_of_the_operator_is_kept_as_the_cause():
    with pytest.raises(SlotError) as caught:
        Slot("max_pool", arguments={"window_shape": -1})(jnp.ones((1, 2, 2, 1)))
    assert isinstance(caught.value.__cause__, ValueError)
