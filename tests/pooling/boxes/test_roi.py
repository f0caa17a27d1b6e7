import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import jaxpool
from tests import boxes as judges
from tests import geometry, quick

KINDS = list(itertools.product((True, False), ("mean", "max")))


def aligns(features, boxes, output, **options):
    """`roi_align` with every combination of `aligned` and `reduce`."""
    return {
        (aligned, reduce): jaxpool.roi_align(
            features, boxes, output, aligned=aligned, reduce=reduce, **options
        )
        for aligned, reduce in KINDS
    }


@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
def test_align_against_the_oracle(ratio):
    """Also on NaN and infinities, and with samples on the edge of the map, where rounding decides.

    Boxes of all sizes come together, and with `ratio` 0 their numbers of samples follow from them.
    """
    output, scale = (3, 2), 0.5

    @quick.jit
    def every(features, boxes, image):
        options = {"batch_indices": image, "spatial_scale": scale, "sampling_ratio": ratio}
        return aligns(features, boxes, output, **options)

    for seed in range(4):
        rng = np.random.default_rng(seed)
        build = geometry.awkward if seed < 2 else lambda rng, shape: rng.normal(size=shape)
        features = build(rng, (2, 7, 6, 3)).astype(np.float32)
        boxes = judges.some(rng, 8, 12, on_grid=seed % 2)
        image = rng.integers(0, 2, 8)
        for (aligned, reduce), result in every(features, boxes, image).items():
            kind = {"ratio": ratio, "aligned": aligned, "reduce": reduce, "scale": scale}
            expected = judges.align(features, image, boxes, output, **kind)
            np.testing.assert_allclose(result, expected, atol=1e-5, err_msg=f"{seed}, {kind}")


@pytest.mark.parametrize("bins", [1, 2])
def test_boxes_far_larger_than_the_map_skip_the_samples_outside(bins):
    features = np.random.default_rng(0).normal(size=(1, 4, 3, 2)).astype(np.float32)
    boxes = np.float32(
        [[-30, -20, 33, 25], [1, 2, 60, 50], [-50, -40, 1, 2], [50, 50, 90, 99], [-9, -70, 9, 2]]
    )
    every = quick.jit(lambda boxes: aligns(features, boxes, bins))
    for (aligned, reduce), result in every(boxes).items():
        kind = {"ratio": 0, "aligned": aligned, "reduce": reduce}
        expected = judges.align(features, np.zeros(5, int), boxes, (bins, bins), **kind)
        assert np.any(expected[0] != 0)
        np.testing.assert_allclose(result, expected, atol=1e-5, err_msg=str(kind))
    endless = np.float32([[-1e9, -1e9, 1e9, 1e9], [0, 0, np.inf, 3], [np.nan, 0, 3, 3]] * 2)[:5]
    for (_, reduce), result in every(endless).items():
        if reduce == "mean":
            np.testing.assert_allclose(result, np.zeros_like(result), atol=1e-6)
        np.testing.assert_array_equal(result[1:3], np.zeros((2, bins, bins, 2)))


def test_double_precision():
    rng = np.random.default_rng(0)
    features, boxes = rng.normal(size=(1, 7, 6, 3)), judges.some(rng, 8, 6).astype(np.float64) / 3
    image = np.zeros(8, int)
    with jax.enable_x64(True):
        for kind, result in quick.jit(lambda x, boxes: aligns(x, boxes, 2))(
            features, boxes
        ).items():
            assert result.dtype == np.float64
            options = dict(zip(("aligned", "reduce"), kind, strict=True))
            expected = judges.align(features, image, boxes, (2, 2), ratio=0, **options)
            np.testing.assert_allclose(result, expected, atol=1e-13)


@pytest.mark.parametrize("ratio", [0, 3])
def test_align_and_the_reference_implementation_of_onnx(ratio):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 3, 6, 5)).astype(np.float32)
    boxes, image = judges.some(rng, 6, 20), rng.integers(0, 2, 6)
    options = {"batch_indices": image, "spatial_scale": 0.25, "sampling_ratio": ratio}
    results = quick.jit(lambda x, boxes: aligns(x, boxes, (2, 3), **options))(
        np.moveaxis(x, 1, -1), boxes
    )
    types = [("x", TensorProto.FLOAT), ("boxes", TensorProto.FLOAT), ("image", TensorProto.INT64)]
    inputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in types]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    for (aligned, reduce), result in results.items():
        node = helper.make_node(
            "RoiAlign",
            ["x", "boxes", "image"],
            ["y"],
            mode={"mean": "avg", "max": "max"}[reduce],
            sampling_ratio=ratio,
            output_height=2,
            output_width=3,
            spatial_scale=0.25,
            coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
        )
        model = helper.make_model(
            helper.make_graph([node], "one", inputs, outputs),
            opset_imports=[helper.make_opsetid("", 22)],
        )
        given = {"x": x, "boxes": boxes, "image": image}
        (expected,) = ReferenceEvaluator(model).run(None, given)
        np.testing.assert_allclose(np.moveaxis(result, -1, 1), expected, atol=1e-5)


def test_one_winner_among_equal_samples():
    """The derivative of a mean goes to every sample, that of a maximum to the first winner."""
    boxes = jnp.array([[0.0, 0, 4, 4]])

    @quick.jit
    def every(features):
        return {
            reduce: tuple(
                mode(
                    lambda x: jaxpool.roi_align(x, boxes, 1, sampling_ratio=4, reduce=reduce)  # noqa: B023
                )(features).reshape(4, 4)
                for mode in (jax.jacfwd, jax.jacrev)
            )
            for reduce in ("mean", "max")
        }

    results = every(jnp.ones((4, 4, 1)))
    first = np.zeros((4, 4))
    first[0, 0] = 1
    for name, expected in ("mean", np.full((4, 4), 1 / 16)), ("max", first):
        for result in results[name]:
            np.testing.assert_array_equal(result, expected)


def test_where_the_slope_breaks_the_derivative_by_boxes_is_the_one_to_the_right():
    """At an element, at the edge of the map, and outside it, where samples are clamped."""
    features = jnp.array([1.0, 3, 7, 8]).reshape(1, 4, 1)

    @quick.jit
    def slope(position):
        def sample(position):
            # One sample at the centre of a box of size 1.
            box = jnp.stack([position, 0.5, position + 1, 0.5])
            return jaxpool.roi_align(features, box[None], 1, sampling_ratio=1).sum()

        return jax.jacfwd(sample)(position), jax.jacrev(sample)(position)

    for position, expected in [(-0.5, 0), (0, 2), (1, 4), (1.5, 4), (2, 1), (3, 0), (3.5, 0)]:
        assert slope(jnp.float32(position)) == (expected, expected)


def test_the_derivative_by_boxes_keeps_nothing_of_the_size_of_a_map_a_box():
    features, boxes = jnp.ones((30, 20, 4)), jnp.ones((50, 4))
    for ratio in (0, 2):
        y, pull = jax.vjp(
            lambda boxes: jaxpool.roi_align(features, boxes, 2, sampling_ratio=ratio),  # noqa: B023
            boxes,
        )
        kept = sum(leaf.size for leaf in jax.tree.leaves(pull) if hasattr(leaf, "size"))
        assert kept <= 6 * y.size


def largest(elements, i, j):
    return elements.max((0, 1))  # NumPy propagates NaN


@pytest.mark.parametrize(("output", "scale"), [((3, 2), 1.0), ((7, 7), 0.5), ((1, 4), 0.37)])
def test_pool_against_the_oracle(output, scale):
    @quick.jit
    def pool(features, boxes, image):
        return jaxpool.roi_pool(features, boxes, output, batch_indices=image, spatial_scale=scale)

    for seed in range(4):
        rng = np.random.default_rng(seed)
        features = geometry.awkward(rng, (2, 7, 9, 3))
        boxes = judges.some(rng, 12, 8 / scale, on_grid=seed % 2)
        image = rng.integers(0, 2, 12)
        expected = judges.pool(features, image, boxes, output, largest, extra=1, scale=scale)
        np.testing.assert_array_equal(pool(features, boxes, image), expected)


def test_bins_are_cut_in_integers():
    """57 rows in 7 bins: in float32, 7 * (57 / 7) is more than 57."""
    features = np.arange(60.0, dtype=np.float32).reshape(60, 1, 1)
    y = jaxpool.roi_pool(features, np.array([[0, 0, 0, 56]]), (7, 1))
    np.testing.assert_array_equal(y.ravel(), [8, 16, 24, 32, 40, 48, 56])


def test_corners_are_rounded_away_from_zero():
    features = np.arange(8.0, dtype=np.float32).reshape(1, 8, 1)
    ends = [(0.49999997, 0), (0.5, 1), (1.5, 2), (2.5, 3), (2.4999998, 2), (np.inf, 7)]
    boxes = np.float32([[-0.5, 0, end, 0] for end, _ in ends])
    y = jaxpool.roi_pool(features, boxes, 1)
    np.testing.assert_array_equal(y.ravel(), [expected for _, expected in ends])


def test_the_first_winner_has_the_derivative():
    features = jnp.zeros((3, 4, 1)).at[1, 3].set(2).at[2, 0].set(2).at[0, 0].set(-jnp.inf)
    boxes = jnp.array([[0, 0, 3, 2], [0, 0, 3, 2], [0, 0, 0, 0], [9, 9, 10, 10]])

    @quick.jit
    def modes(x):
        def pool(x):
            return jaxpool.roi_pool(x, boxes, 1)

        return [mode(pool)(x).reshape(4, 3, 4) for mode in (jax.jacfwd, jax.jacrev)]

    expected = np.zeros((4, 3, 4))
    expected[:2, 1, 3] = 1
    expected[2, 0, 0] = 1
    for jacobian in modes(features):
        np.testing.assert_array_equal(jacobian, expected)
    expected[:2] = 0
    expected[:2, 2, 1] = 1
    for jacobian in modes(features.at[2, 1].set(jnp.nan).at[2, 2].set(jnp.nan)):
        np.testing.assert_array_equal(jacobian, expected)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "bool", "bfloat16"])
def test_a_maximum_keeps_the_dtype(dtype):
    features = jnp.asarray([[0, 1, 0, 0]]).astype(dtype).reshape(1, 4, 1)
    boxes = np.array([[0, 0, 1, 0], [2, 0, 3, 0], [7, 0, 9, 0]])
    y = jaxpool.roi_pool(features, boxes, 1)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.ravel().astype(int), [1, 0, 0])
