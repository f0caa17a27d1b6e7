import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxpool
from experiments.models import Head, HeadError
from experiments.models.regions import REGION_HEADS

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 16)), np.float32)
BOXES = np.array(
    [[[0, 0, 7, 7], [1.2, 2.1, 5.7, 6.4], [4, 4, 5, 5]], [[3, 0, 7, 4], [0, 0, 8, 8], [2, 2, 6, 3]]]
)


def build(pool, **arguments):
    head = Head(pool, arguments, "model.head")
    return head.build(16, (8, 8), nnx.Rngs(0), REGION_HEADS)


@pytest.mark.parametrize("pool", REGION_HEADS)
def test_a_head_gives_one_vector_per_box_of_the_length_that_it_says(pool):
    head = build(pool)
    y = jax.eval_shape(head, X, BOXES)
    assert y.shape == (2, 3, head.features)


@pytest.mark.parametrize(
    ("pool", "arguments", "operator"),
    [
        ("roi_pool", {"output": (2, 3)}, jaxpool.roi_pool),
        (
            "roi_align",
            {"output": (2, 3), "sampling_ratio": 4, "reduce": "max"},
            jaxpool.roi_align,
        ),
        ("ps_roi_pool", {"output": (2, 4)}, jaxpool.ps_roi_pool),
        ("ps_roi_align", {"output": (2, 4), "sampling_ratio": 1}, jaxpool.ps_roi_align),
    ],
)
def test_each_box_is_pooled_on_its_own_image_by_the_operator(pool, arguments, operator):
    y = build(pool, **arguments)(X, BOXES)
    output, *others = arguments.values()
    named = dict(zip(list(arguments)[1:], others, strict=True))
    images = np.array([0, 0, 0, 1, 1, 1])
    wanted = operator(X, BOXES.reshape(-1, 4), output, batch_indices=images, **named)
    np.testing.assert_array_equal(y, wanted.reshape(2, 3, -1))


def test_the_pyramid_of_the_whole_map_is_spatial_pyramid_pooling():
    whole = np.array([[[0, 0, 7, 7]]] * 2)  # roi_pool counts the last element in
    y = build("spatial_pyramid", levels=(1, 3))(X, whole)
    np.testing.assert_array_equal(y[:, 0], jaxpool.spatial_pyramid_pool(X, (1, 3)))


@pytest.mark.parametrize(("reduce", "function"), [("max", np.max), ("mean", np.mean)])
def test_a_global_head_is_the_same_for_every_box(reduce, function):
    y = build("global", reduce=reduce)(X, BOXES)
    for region in range(3):
        np.testing.assert_allclose(y[:, region], function(X, (1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("pool", "arguments", "complaint"),
    [
        ("roi_pool", {"output": 0}, "output must be one or two positive integers, got 0"),
        ("roi_align", {"output": (1, 2, 3)}, "output must be one or two positive integers"),
        ("ps_roi_align", {"output": 3}, "to 3x3 bins needs a multiple of 9 channels"),
        ("spatial_pyramid", {"levels": ()}, "levels must be at least one positive integer"),
        ("global", {"reduce": "sum"}, "reduce must be one of max, mean, got 'sum'"),
    ],
)
def test_what_a_head_cannot_do_is_refused_with_its_place(pool, arguments, complaint):
    with pytest.raises(HeadError, match=complaint) as caught:
        build(pool, **arguments)
    assert str(caught.value).startswith(f"model.head: {pool} cannot pool the feature map of 8x8x16")


def test_every_builder_takes_the_shape_first_and_has_defaults_for_the_rest():
    for builder in REGION_HEADS.values():
        names, parameters = zip(*inspect.signature(builder).parameters.items(), strict=True)
        assert names[:3] == ("channels", "spatial", "rngs")
        assert all(p.default is not inspect.Parameter.empty for p in parameters[3:])
