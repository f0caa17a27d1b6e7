"""Tests that apply to all operators over boxes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

import jaxpool
from tests import boxes as judges
from tests import differences, quick

OPERATORS = {
    "align": jaxpool.roi_align,
    "align, fixed": functools.partial(jaxpool.roi_align, sampling_ratio=2),
    "align, max": functools.partial(jaxpool.roi_align, reduce="max", aligned=False),
    "pool": jaxpool.roi_pool,
    "position-sensitive align": jaxpool.ps_roi_align,
    "position-sensitive pool": jaxpool.ps_roi_pool,
}
OUTPUT = (2, 3)


@pytest.fixture(params=OPERATORS)
def operator(request):
    return OPERATORS[request.param]


def case(images=3, count=4):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(images, 5, 6, 6)).astype(np.float32)
    return jnp.asarray(features), np.stack([judges.some(rng, count, 6) for _ in range(images)])


def cotangent(y):
    """A cotangent with distinct entries."""
    return jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)


def with_gradients(function, *arguments):
    """The value, and the gradients by the arguments."""
    y, pull = jax.vjp(function, *arguments)
    return y, *pull(cotangent(y))


def agree(results, expected):
    for result, wanted in zip(results, expected, strict=True):
        scale = np.abs(wanted).max(initial=1)
        np.testing.assert_allclose(result, wanted, atol=1e-5 * scale)


def test_images_by_vmap_by_index_and_one_by_one(operator):
    """Values and gradients agree, also if all images share the map or the boxes."""
    image = np.repeat(np.arange(3), 4)

    def pool(x, boxes):
        return operator(x, boxes, OUTPUT)

    def by_index(x, boxes):
        return operator(x, boxes.reshape(-1, 4), OUTPUT, batch_indices=image).reshape(
            3, 4, 2, 3, -1
        )

    def one_by_one(x, boxes):
        return lax.map(jax.checkpoint(lambda pair: pool(*pair)), (x, boxes))

    @quick.jit
    def every(x, boxes):
        expected = with_gradients(one_by_one, x, boxes)
        pull = jax.vmap(lambda x, boxes, g: (pool(x, boxes), *jax.vjp(pool, x, boxes)[1](g)))
        return (
            expected,
            with_gradients(by_index, x, boxes),
            pull(x, boxes, cotangent(expected[0])),
            with_gradients(jax.vmap(pool, (None, 0)), x[1], boxes),
            with_gradients(jax.vmap(pool, (0, None)), x, boxes[1]),
        )

    features, boxes = case()
    expected, indexed, mapped, _, _ = every(features, boxes)
    agree(indexed, expected)
    agree(mapped, expected)
    (y, x_bar, boxes_bar), _, _, one_map, _ = every(jnp.stack([features[1]] * 3), boxes)
    agree(one_map, (y, x_bar.sum(0), boxes_bar))
    (y, x_bar, boxes_bar), _, _, _, one_list = every(features, np.stack([boxes[1]] * 3))
    agree(one_list, (y, x_bar, boxes_bar.sum(0)))


def test_derivatives(operator):
    """First and second derivatives by features, and by boxes if samples depend on them."""
    rng = np.random.default_rng(0)
    features = rng.permutation(np.arange(180.0)).reshape(5, 6, 6) / 60 + 1
    boxes = np.array([[0.31, 0.71, 4.22, 3.94], [-2.02, -1.03, 9.04, 8.41], [1.1, 2.3, 1.97, 6.2]])
    with jax.enable_x64(True):
        differences.check(
            lambda x, boxes: operator(x, boxes, OUTPUT) ** 2,
            jnp.asarray(features),
            jnp.asarray(boxes),
        )


def test_no_boxes(operator):
    features, _ = case()
    none = np.zeros((0, 4), np.float32)

    @quick.jit
    def every(x, boxes):
        pool = functools.partial(operator, output_shape=OUTPUT)
        several = jax.vmap(pool, (None, 0))(x, jnp.zeros((3, 0, 4)))
        return several, with_gradients(pool, x, boxes)

    several, (y, *gradients) = every(features[0], none)
    assert y.shape[:3] == (0, *OUTPUT)
    assert several.shape == (3, *y.shape)
    for gradient, argument in zip(gradients, (features[0], none), strict=True):
        np.testing.assert_array_equal(gradient, np.zeros(argument.shape))


def test_half_precision_is_computed_in_float32(operator):
    features, boxes = case()

    @quick.jit
    def every(x):
        halves = [x.astype(dtype) for dtype in (jnp.bfloat16, jnp.float16)]
        exact = [operator(half.astype(jnp.float32), boxes[0], OUTPUT) for half in halves]
        return (
            [with_gradients(lambda x: operator(x, boxes[0], OUTPUT), half) for half in halves],
            [wide.astype(half.dtype) for wide, half in zip(exact, halves, strict=True)],
        )

    results, expected = every(features[0])
    for (y, gradient), wanted, dtype in zip(
        results, expected, (jnp.bfloat16, jnp.float16), strict=True
    ):
        assert y.dtype == gradient.dtype == dtype
        np.testing.assert_array_equal(y, wanted)


def test_what_a_box_does_not_touch_does_not_matter(operator):
    """NaN elsewhere affects neither the value nor the derivative by the box."""
    features = np.full((8, 9, 6), np.nan, np.float32)
    features[2:6, 3:7] = np.random.default_rng(0).normal(size=(4, 4, 6))
    boxes = np.array([[4.0, 3, 5, 4], [4.3, 3.2, 5.9, 4.6]], np.float32)

    @quick.jit
    def pool(x, boxes):
        y, pull = jax.vjp(lambda boxes: operator(x, boxes, OUTPUT), boxes)
        return y, pull(jnp.ones_like(y))[0]

    for result in pool(features, boxes):
        assert np.isfinite(result).all()
    features[3, 4] = np.nan
    assert np.isnan(pool(features, boxes)[0]).any()


def test_boxes_of_other_dtypes(operator):
    features, _ = case()
    boxes = np.array([[0, 1, 4, 3], [2, 2, 5, 4]])
    dtypes = np.float32, np.int32, np.uint8, np.float16
    every = quick.jit(lambda x: [operator(x, boxes.astype(dtype), OUTPUT) for dtype in dtypes])
    expected, *results = every(features[0])
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_export_with_symbolic_images_and_boxes(operator):
    features, boxes = case(images=2)

    def pool(x, boxes, image):
        return with_gradients(
            lambda x, boxes: operator(x, boxes, OUTPUT, batch_indices=image), x, boxes
        )

    images, count = export.symbolic_shape("images, count")
    shapes = [
        jax.ShapeDtypeStruct((images, *features.shape[1:]), np.float32),
        jax.ShapeDtypeStruct((count, 4), np.float32),
        jax.ShapeDtypeStruct((count,), np.int32),
    ]
    exported = export.deserialize(export.export(jax.jit(pool))(*shapes).serialize())
    both = quick.jit(lambda *arguments: (exported.call(*arguments), pool(*arguments)))
    agree(*both(features, boxes[0, :3], np.array([0, 1, 1], np.int32)))


def test_traced_images_are_clamped(operator):
    features, boxes = case(images=2, count=2)

    @quick.jit
    def both(image, clamped):
        pool = functools.partial(operator, features, boxes[0], OUTPUT)
        return pool(batch_indices=image), pool(batch_indices=clamped)

    np.testing.assert_array_equal(*both(jnp.array([-1, 5]), jnp.array([0, 1])))


def test_images_and_indices_must_go_together(operator):
    maps, boxes = np.ones((4, 4, 6), np.float32), np.zeros((2, 4), np.float32)
    with pytest.raises(ValueError, match="batch_indices must be None for features without"):
        operator(maps, boxes, OUTPUT, batch_indices=np.array([0, 0]))
    with pytest.raises(ValueError, match="batch_indices must be given for features of 2 images"):
        operator(np.stack([maps, maps]), boxes, OUTPUT)
    np.testing.assert_array_equal(
        operator(maps[None], boxes, OUTPUT), operator(maps, boxes, OUTPUT)
    )


@pytest.mark.parametrize("shape", [(0, 4, 6), (2, 4, 0, 6)])
def test_maps_without_elements_are_refused(operator, shape):
    with pytest.raises(ValueError, match=r"features must not be empty maps, got shape \(.*0"):
        operator(np.ones(shape, np.float32), np.zeros((1, 4)), OUTPUT)


def test_maps_of_symbolic_size_are_refused(operator):
    (height,) = export.symbolic_shape("height")
    signature = jax.ShapeDtypeStruct((height, 4, 6), np.float32)
    pool = jax.jit(lambda x: operator(x, np.zeros((1, 4)), OUTPUT))
    with pytest.raises(ValueError, match=r"features must have a static size .* got height"):
        export.export(pool)(signature)


@pytest.mark.parametrize("operator", [jaxpool.roi_align, jaxpool.ps_roi_align, jaxpool.ps_roi_pool])
def test_means_of_integers_are_refused(operator):
    with pytest.raises(TypeError, match="features must be of a floating dtype, got int32"):
        operator(np.ones((4, 4, 4), np.int32), np.zeros((1, 4)), 2)


def test_traced_indices_of_boxes_without_images():
    shapes = ((0, 8, 8, 1), np.float32), ((1, 4), np.float32), ((1,), np.int32)
    features, boxes, image = (jax.ShapeDtypeStruct(*shape) for shape in shapes)
    with pytest.raises(ValueError, match="boxes must be none"):
        jax.eval_shape(
            lambda x, b, i: jaxpool.roi_pool(x, b, 2, batch_indices=i), features, boxes, image
        )


def test_gradients_for_gpu_with_symbolic_boxes():
    (count,) = export.symbolic_shape("count")
    shapes = (8, 8, 1), (count, 4)
    gradient = jax.jit(jax.grad(lambda x, boxes: jaxpool.roi_align(x, boxes, 2).sum()))
    arguments = (jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes)
    exported = export.export(gradient, platforms=["cuda"])(*arguments)
    assert exported.out_avals[0].shape == (8, 8, 1)
    assert "scatter" not in exported.mlir_module()
