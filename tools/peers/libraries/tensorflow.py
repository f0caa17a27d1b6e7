"""TensorFlow: `tf.nn`, `tf.image`, and reductions of whole maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tools.peers.case import Answer, PeerCase, cotangent
from tools.peers.library import Adapter, Library, as_numpy, pairs, per_axis


def evaluate(function: Callable[..., Any], case: PeerCase) -> Answer:
    """Runs a case, and its derivative in reverse mode."""
    operands = [tf.constant(array) for array in case.arrays()]
    options = case.arguments()
    if case.wrt is None:
        return Answer(as_numpy(function(*operands, *case.args, **options), _numpy))
    with tf.GradientTape() as tape:
        tape.watch(operands[case.wrt])
        results = function(*operands, *case.args, **options)
    first = results[0] if isinstance(results, tuple) else results
    gradient = tape.gradient(
        first, operands[case.wrt], tf.cast(cotangent(tuple(first.shape)), first.dtype)
    )
    return Answer(as_numpy(results, _numpy), _numpy(tf.convert_to_tensor(gradient)))


def _numpy(tensor: tf.Tensor) -> np.ndarray:
    return tensor.numpy()


def _sliding(kind: str) -> Callable[..., tf.Tensor]:
    """`tf.nn.max_pool` or `avg_pool`; for dilated windows `tf.nn.pool`, the only one that can."""
    function = {"MAX": tf.nn.max_pool, "AVG": tf.nn.avg_pool}[kind]

    def pool(x: tf.Tensor, window_shape: Any, **options: Any) -> tf.Tensor:
        axes = len(x.shape) - 2
        window = per_axis(window_shape, axes)
        strides = per_axis(options.pop("strides", window), axes)
        padding = pairs(options.pop("padding", "VALID"), axes)
        if padding == "SAME" and options.get("count_include_pad") is False:
            del options["count_include_pad"]  # TensorFlow never counts padding
        if "dilation" in options:
            dilations = per_axis(options.pop("dilation"), axes)
            return tf.nn.pool(x, window, kind, strides, padding, dilations=dilations, **options)
        if not isinstance(padding, str):
            padding = [(0, 0), *padding, (0, 0)]
        layout = {1: "NWC", 2: "NHWC", 3: "NDHWC"}[axes]
        return function(x, window, strides, padding, data_format=layout, **options)

    return pool


def _max_pool_with_argmax(x: tf.Tensor, window_shape: Any, **options: Any) -> Any:
    """Removes the channel from TensorFlow's indices, which count channels too."""
    axes = len(x.shape) - 2
    window = per_axis(window_shape, axes)
    strides = per_axis(options.pop("strides", window), axes)
    padding = pairs(options.pop("padding", "VALID"), axes)
    values, places = tf.nn.max_pool_with_argmax(x, window, strides, padding, **options)
    return values, places // x.shape[-1]


def _min_pool(x: tf.Tensor, window_shape: Any, **options: Any) -> tf.Tensor:
    """An erosion by a flat structuring element."""
    axes = len(x.shape) - 2
    window = per_axis(window_shape, axes)
    strides = per_axis(options.pop("strides", window), axes)
    dilations = per_axis(options.pop("dilation", 1), axes)
    return tf.nn.erosion2d(
        x,
        tf.zeros((*window, x.shape[-1]), x.dtype),
        (1, *strides, 1),
        pairs(options.pop("padding", "VALID"), axes),
        "NHWC",
        (1, *dilations, 1),
        **options,
    )


def _fractional(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the drawn boundaries after the results."""

    def pool(x: tf.Tensor, window_shape: Any, output_shape: Any, **options: Any) -> Any:
        if window_shape is not None:
            options["window_shape"] = window_shape  # handed on
        ratios = (n / o for n, o in zip(x.shape[1:-1], output_shape, strict=True))
        y, rows, columns = function(x, (1.0, *ratios, 1.0), seed=1, **options)
        return y, rows, columns

    return pool


def _roi_align(
    features: tf.Tensor,
    boxes: tf.Tensor,
    output_shape: Any,
    *,
    batch_indices: Any = None,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
    **options: Any,
) -> tf.Tensor:
    """One sample per bin, by `crop_and_resize` between the centres of the outermost bins."""
    if sampling_ratio != 1:
        options["sampling_ratio"] = sampling_ratio  # handed on
    images = features if len(features.shape) == 4 else features[None]
    numbers = np.zeros(len(boxes), np.int32) if batch_indices is None else batch_indices
    h, w = output_shape
    x1, y1, x2, y2 = tf.unstack(boxes * spatial_scale - (0.5 if aligned else 0.0), axis=1)
    if not aligned:
        x2, y2 = tf.maximum(x2, x1 + 1), tf.maximum(y2, y1 + 1)
    row, column = (y2 - y1) / (2 * h), (x2 - x1) / (2 * w)
    height, width = images.shape[1] - 1, images.shape[2] - 1
    corners = [
        (y1 + row) / height,
        (x1 + column) / width,
        (y2 - row) / height,
        (x2 - column) / width,
    ]
    return tf.image.crop_and_resize(images, tf.stack(corners, axis=1), numbers, (h, w), **options)


def _positions(x: tf.Tensor) -> list[int]:
    return list(range(1, len(x.shape) - 1))


def _norm(x: tf.Tensor, p: float = 2.0) -> tf.Tensor:
    axes = _positions(x)
    order = "euclidean" if p == 2 and len(axes) > 1 else p
    return tf.norm(x, order, axes[0] if len(axes) == 1 else axes)


def _masked(x: tf.Tensor, operator: str, **options: Any) -> tf.Tensor:
    if "global" in operator:
        reduce = tf.reduce_max if "max" in operator else tf.reduce_mean
        return reduce(x, _positions(x), **options)
    pool = _sliding("MAX" if "max" in operator else "AVG")
    return pool(x, options.pop("window_shape"), **options)


LIBRARY = Library(
    name="tensorflow",
    packages=("tensorflow",),
    modules=(
        "tensorflow",
        "tensorflow.nn",
        "tensorflow.image",
        "tensorflow.math",
        "tensorflow.linalg",
        "tensorflow.signal",
        "tensorflow.sparse",
        "tensorflow.experimental.numpy",
        "tensorflow.raw_ops",
    ),
    evaluate=evaluate,
    adapters={
        "max_pool": Adapter(
            _sliding("MAX"),
            ("tensorflow.nn.max_pool", "tensorflow.nn.pool"),
            ("tensorflow.nn.max_pool?d", "tensorflow.raw_ops.MaxPool*"),
        ),
        "max_pool_with_argmax": Adapter(
            _max_pool_with_argmax,
            ("tensorflow.nn.max_pool_with_argmax",),
            ("tensorflow.raw_ops.MaxPool*WithArgmax",),
        ),
        "min_pool": Adapter(_min_pool, ("tensorflow.nn.erosion2d",)),
        "avg_pool": Adapter(
            _sliding("AVG"),
            ("tensorflow.nn.avg_pool", "tensorflow.nn.pool"),
            ("tensorflow.nn.avg_pool?d", "tensorflow.raw_ops.AvgPool*"),
        ),
        "fractional_max_pool": Adapter(
            _fractional(tf.nn.fractional_max_pool),
            ("tensorflow.nn.fractional_max_pool",),
            ("tensorflow.raw_ops.FractionalMaxPool*",),
        ),
        "fractional_avg_pool": Adapter(
            _fractional(tf.nn.fractional_avg_pool),
            ("tensorflow.nn.fractional_avg_pool",),
            ("tensorflow.raw_ops.FractionalAvgPool*",),
        ),
        "roi_align": Adapter(
            _roi_align,
            ("tensorflow.image.crop_and_resize",),
            ("tensorflow.raw_ops.CropAndResize*",),
        ),
        "global_max_pool": Adapter(
            lambda x: tf.reduce_max(x, _positions(x)), ("tensorflow.reduce_max",)
        ),
        "global_min_pool": Adapter(
            lambda x: tf.reduce_min(x, _positions(x)), ("tensorflow.reduce_min",)
        ),
        "global_avg_pool": Adapter(
            lambda x: tf.reduce_mean(x, _positions(x)), ("tensorflow.reduce_mean",)
        ),
        "global_sum_pool": Adapter(
            lambda x: tf.reduce_sum(x, _positions(x)), ("tensorflow.reduce_sum",)
        ),
        "global_lp_pool": Adapter(_norm, ("tensorflow.norm",)),
        "masks": Adapter(
            _masked,
            (
                "tensorflow.nn.max_pool",
                "tensorflow.nn.avg_pool",
                "tensorflow.reduce_max",
                "tensorflow.reduce_mean",
            ),
        ),
    },
    extras={
        "morphology with weights (dilation2d, erosion2d)": (
            "tensorflow.nn.dilation2d",
            "tensorflow.nn.erosion2d",
            "tensorflow.raw_ops.Dilation2D*",
        ),
        "pooling of quantised tensors": ("tensorflow.raw_ops.Quantized*Pool",),
        "reductions of segments": (
            "tensorflow.math.*segment_*",
            "tensorflow.sparse.segment_*",
            "tensorflow.raw_ops.*Segment*",
        ),
    },
    aside={
        "a reduction of whole axes": (
            "tensorflow.reduce_logsumexp",
            "tensorflow.math.reduce_logsumexp",
            "tensorflow.math.cumulative_logsumexp",
            "tensorflow.raw_ops.CumulativeLogsumexp",
        ),
        "a pool of threads": ("tensorflow.raw_ops.*ThreadPool*",),
    },
)
