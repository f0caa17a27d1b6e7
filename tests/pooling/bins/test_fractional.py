import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from tests import geometry, oracle, quick, uneven

BETTER = oracle.BETTER["max"]

# Input size, output size and window of each axis.
SLIDING = [
    ([(10, 4, 2), (13, 7, 2)]),
    ([(9, 5, 3), (9, 8, 2)]),
    ([(12, 7, 2)]),
    ([(7, 1, 2), (7, 6, 2)]),
    ([(5, 3, 2), (6, 4, 2), (7, 5, 2)]),
    ([(5, 5, 1), (6, 3, 4)]),
]


def sliding(axes, samples):
    """PyTorch's windows; in 2-D, the first sample is that of the last axis."""

    def windows(image, channel):
        us = samples[image, channel]
        us = us[::-1] if len(us) == 2 else us
        spans = []
        for (n, o, k), u in zip(axes, us, strict=True):
            alpha = np.float32(n - k) / np.float32(max(o - 1, 1))
            starts = [int((np.float32(i) + u) * alpha) - int(u * alpha) for i in range(o - 1)]
            spans.append([(start, start + k) for start in [*starts, n - k]])
        return spans

    return windows


def case(axes, seed):
    rng = np.random.default_rng(seed)
    sizes, outputs, window = zip(*axes, strict=True)
    x = geometry.awkward(rng, (2, *sizes, 3))
    return x, rng.random((2, 3, len(axes)), np.float32), window, outputs


@pytest.mark.parametrize("axes", SLIDING)
def test_sliding_windows_against_the_oracle(axes):
    @quick.jit
    def every(x, samples):
        return (
            jaxpool.fractional_max_pool(x, window, outputs, samples=samples),
            *jaxpool.fractional_max_pool_with_argmax(x, window, outputs, samples=samples),
            jaxpool.fractional_avg_pool(x, window, outputs, samples=samples),
        )

    for seed in range(4):
        x, samples, window, outputs = case(axes, seed)
        largest, values, indices, mean = every(x, samples)
        windows = sliding(axes, samples)
        np.testing.assert_array_equal(values, uneven.pool(x, windows, oracle.extreme(BETTER, None)))
        np.testing.assert_array_equal(largest, values)
        np.testing.assert_array_equal(
            indices, uneven.pool(x, windows, oracle.where_extreme(BETTER))
        )
        np.testing.assert_allclose(mean, uneven.pool(x, windows, oracle.average()), rtol=1e-6)


@pytest.mark.parametrize("axes", [axes for axes in SLIDING if len(axes) > 1])
def test_pytorch_agrees_given_its_samples(axes):
    torch = pytest.importorskip("torch")
    pool = getattr(torch.nn.functional, f"fractional_max_pool{len(axes)}d")
    _, _, window, outputs = case(axes, 0)

    @quick.jit
    def ours(x, samples, cotangent):
        def function(x):
            return jaxpool.fractional_max_pool_with_argmax(x, window, outputs, samples=samples)

        values, pull, indices = jax.vjp(function, x, has_aux=True)
        return values, indices, pull(cotangent)[0]

    for seed in range(4):
        x, samples, *_ = case(axes, seed)
        x = geometry.ties(np.random.default_rng(seed), x.shape)
        leaf = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).requires_grad_()
        values, indices = pool(
            leaf, window, outputs, return_indices=True, _random_samples=torch.from_numpy(samples)
        )
        cotangent = torch.arange(values.numel(), dtype=torch.float32).reshape(values.shape)
        values.backward(cotangent)
        results = ours(x, samples, np.moveaxis(cotangent.numpy(), 1, -1))
        for result, theirs in zip(results, (values.detach(), indices, leaf.grad), strict=True):
            np.testing.assert_array_equal(np.moveaxis(result, -1, 1), theirs)


def tensorflow_steps(size, count, u):
    """The published pseudo-random procedure in float64; `u` is a fraction of its range."""
    alpha, k = size / count, size // count
    u *= min((k + 2) / alpha - 1, (size + 1 - k) / alpha - (count - 1))
    inner = [math.ceil(alpha * (i + u)) for i in range(1, count)]
    return np.diff([1, *inner, size + 1])


@pytest.mark.parametrize(("size", "count"), [(7, 4), (23, 10), (23, 9), (30, 7), (9, 8), (101, 13)])
def test_pseudo_random_steps_are_those_of_tensorflow(size, count):
    """Sequences of steps and their frequencies agree with TensorFlow's."""
    share = (np.arange(2000) + 0.5) / 2000
    theirs = [tuple(tensorflow_steps(size, count, u).tolist()) for u in share]
    assert {min(steps) for steps in theirs} == {size // count}
    assert {max(steps) for steps in theirs} == {size // count + 1}

    @quick.jit
    @jax.vmap
    def draw(key):
        x = jnp.zeros((1, size, 1))
        (boundaries,) = jaxpool.fractional_samples(x, None, count, key=key, pseudo_random=True)
        return boundaries

    boundaries = np.asarray(draw(jax.random.split(jax.random.key(0), 2000)))
    assert (boundaries[:, 0] == 0).all()
    ours = list(map(tuple, np.diff(boundaries).tolist()))
    assert set(ours) == set(theirs)
    for steps in set(ours):
        assert abs(ours.count(steps) - theirs.count(steps)) < 150  # over four standard deviations


def test_random_steps_come_in_every_order():
    @jax.vmap
    def draw(key):
        x = jnp.zeros((1, 7, 1))
        return jaxpool.fractional_samples(x, None, 4, key=key)[0]

    steps = np.diff(draw(jax.random.split(jax.random.key(1), 200)))
    assert set(map(tuple, steps.tolist())) == {
        (1, 2, 2, 2),
        (2, 1, 2, 2),
        (2, 2, 1, 2),
        (2, 2, 2, 1),
    }


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize(
    ("sizes", "outputs"), [((9, 7), (4, 5)), ((8, 7), (4, 7)), ((5, 5), (1, 2))]
)
def test_windows_between_boundaries(sizes, outputs, overlapping):
    x = geometry.awkward(np.random.default_rng(0), (2, *sizes, 3))
    options = {"overlapping": overlapping}

    @quick.jit
    def drawn(x, key):
        boundaries = jaxpool.fractional_samples(x, None, outputs, key=key)
        return boundaries, jaxpool.fractional_max_pool(x, None, outputs, key=key, **options)

    boundaries, largest = drawn(x, jax.random.key(5))
    spans = []
    for size, steps in zip(sizes, boundaries, strict=True):
        assert (steps[0], steps[-1]) == (0, size)
        pairs = zip(steps.tolist(), steps[1:].tolist(), strict=False)
        spans.append([(a, min(b + overlapping, size)) for a, b in pairs])

    def windows(image, channel):
        return spans

    expected = uneven.pool(x, windows, oracle.extreme(BETTER, None))
    np.testing.assert_array_equal(largest, expected)
    places = uneven.pool(x, windows, oracle.where_extreme(BETTER))
    mean = uneven.pool(x, windows, oracle.average())

    def every(x, boundaries):
        options = {"samples": boundaries, "overlapping": overlapping}
        return (
            *jaxpool.fractional_max_pool_with_argmax(x, None, outputs, **options),
            jaxpool.fractional_avg_pool(x, None, outputs, **options),
        )

    static = quick.jit(lambda x: every(x, boundaries))(x)  # the boundaries are constants
    for values, indices, average in (static, quick.jit(every)(x, boundaries)):
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(indices, places)
        np.testing.assert_allclose(average, mean, rtol=1e-6)


@pytest.mark.parametrize("window", [2, None])
@pytest.mark.parametrize(
    "pool",
    [
        jaxpool.fractional_max_pool,
        jaxpool.fractional_max_pool_with_argmax,
        jaxpool.fractional_avg_pool,
    ],
)
def test_keys_draw_and_samples_repeat(pool, window):
    x = np.random.default_rng(0).normal(size=(2, 11, 10, 3)).astype(np.float32)

    def apply(key):
        return jax.tree.leaves(pool(x, window, (7, 6), key=key))

    samples = jaxpool.fractional_samples(x, window, (7, 6), key=jax.random.key(0))
    first = apply(jax.random.key(0))
    again = jax.jit(apply)(jax.random.key(0))
    other = apply(jax.random.PRNGKey(1))  # an old-style key
    result = pool(x, window, (7, 6), samples=samples)
    result = result if isinstance(result, tuple) else (result,)
    for a, b, c, d in zip(first, again, result, other, strict=True):
        np.testing.assert_array_equal(a, b)
        if pool is jaxpool.fractional_avg_pool:  # static windows are summed in another order
            np.testing.assert_allclose(a, c, rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(a, c)
        assert np.any(a != d)


def test_planes_have_windows_of_their_own_unless_samples_are_shared():
    x = np.tile(np.random.default_rng(0).normal(size=(1, 30, 1)), (2, 1, 3)).astype(np.float32)
    y = jaxpool.fractional_max_pool(x, 2, 20, key=jax.random.key(0))
    planes = np.moveaxis(y, 1, -1).reshape(6, 20)
    assert len({tuple(plane) for plane in planes.tolist()}) > 3
    y = jaxpool.fractional_max_pool(x, 2, 20, samples=np.float32([0.3]))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:1, :, :1], y.shape))


def test_other_layouts():
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 10)).astype(np.float32)
    samples = np.random.default_rng(1).random((2, 3, 2), np.float32)
    pool = functools.partial(jaxpool.fractional_max_pool, samples=samples)

    @quick.jit
    def every(x):
        return (
            jnp.moveaxis(pool(jnp.moveaxis(x, 1, -1), (2, 3), (5, 6)), -1, 1),
            pool(x, (2, 3), (5, 6), axes=(2, 3)),
            pool(x, (3, 2), (6, 5), axes=(-1, -2)),
        )

    last, *others = every(x)
    for y in others:
        np.testing.assert_array_equal(y, last)


def test_integers_keep_their_dtype():
    x = np.array([-128, -128, 5, 3, 2], np.int8).reshape(1, 5, 1)
    values, indices = jaxpool.fractional_max_pool_with_argmax(
        x, None, 3, samples=(np.array([0, 2, 3, 5]),)
    )
    assert values.dtype == np.int8
    np.testing.assert_array_equal(values[0, :, 0], [-128, 5, 3])
    np.testing.assert_array_equal(indices[0, :, 0], [0, 2, 3])


BAD = [
    ({}, ValueError, "one of key and samples must be given, got neither"),
    ({"key": jax.random.key(0), "samples": 0}, ValueError, "key and samples .* got both"),
    ({"key": 3}, TypeError, "key must be one key, .* got 3"),
    ({"samples": [0.5]}, TypeError, "samples must be an array, got list"),
    ({"samples": np.zeros((1, 1, 1), int)}, TypeError, "samples must be of a floating dtype"),
    ({"samples": np.zeros((1, 1, 2))}, ValueError, r"broadcast to \(1, 1, 1\), .* got \(1, 1, 2\)"),
    ({"samples": np.ones((1, 1, 1))}, ValueError, r"samples must lie in \[0, 1\), got 1.0"),
    ({"samples": np.full((1, 1, 1), np.nan)}, ValueError, r"in \[0, 1\), got nan"),
    ({"samples": np.full(1, -0.1)}, ValueError, r"in \[0, 1\), got -0.1"),
    ({"samples": np.zeros(1), "output_shape": 7}, ValueError, "at most 6 for windows of 2.* got 7"),
    ({"samples": np.zeros(1), "window_shape": 8}, ValueError, "at most 0 for windows of 8.* got 3"),
    ({"samples": np.zeros(1), "overlapping": True}, ValueError, "overlapping=True is for window_"),
    (
        {"samples": np.zeros(1), "pseudo_random": 1},
        TypeError,
        "pseudo_random must be a bool, got 1",
    ),
    ({"window_shape": None, "samples": np.zeros(1)}, ValueError, "tuple of 1 arrays of boundaries"),
    ({"window_shape": None, "samples": (np.zeros(4),)}, TypeError, "integer dtype, got float32"),
    ({"window_shape": None, "samples": (np.arange(3),)}, ValueError, r"4 boundaries .* got \(3,\)"),
    (
        {"window_shape": None, "samples": (np.array([0, 1, 4, 7]),)},
        ValueError,
        r"from 0 to 7 in steps of 2 or 3, got \[0, 1, 4, 7\]",
    ),
    (
        {"window_shape": None, "samples": (np.array([0, 2, 4, 6]),)},
        ValueError,
        r"from 0 to 7 in steps of 2 or 3, got \[0, 2, 4, 6\]",
    ),
    ({"window_shape": None, "key": jax.random.key(0), "output_shape": 8}, ValueError, "at most 7"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BAD)
def test_bad_arguments(changes, error, message):
    arguments = {"window_shape": 2, "output_shape": 3} | changes
    for pool in (jaxpool.fractional_max_pool, jaxpool.fractional_avg_pool):
        with pytest.raises(error, match=message):
            pool(np.ones((1, 7, 1), np.float32), **arguments)


def test_samples_need_a_key():
    with pytest.raises(TypeError, match=r"key must be one key, .* got None"):
        jaxpool.fractional_samples(np.ones((1, 7, 1)), 2, 3, key=None)


@pytest.mark.parametrize(("window", "overlapping"), [(2, False), (5, False), (None, True)])
@pytest.mark.parametrize("pool", [jaxpool.fractional_max_pool, jaxpool.fractional_avg_pool])
def test_derivatives_are_those_of_reading_the_elements(pool, window, overlapping, monkeypatch):
    """Derivatives are gathered from the windows of an element, also if there are many windows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 23, 17, 3)).astype(np.float32)
    outputs = (19, 7) if window == 2 else (11, 13)
    weights = rng.normal(size=(2, *outputs, 3)).astype(np.float32)

    @jax.jit
    def derivatives(x):
        def loss(x):
            options = {"key": jax.random.key(1), "overlapping": overlapping}
            return jnp.vdot(pool(x, window, outputs, **options) ** 2, weights)

        gradient = jax.grad(loss)
        return gradient(x), jax.jvp(gradient, (x,), (jnp.cos(x),))[1]

    gathered = derivatives(x)
    monkeypatch.setattr("jaxpool.pooling.bins._layout.FEW", 0)
    jax.clear_caches()
    for found, expected in zip(gathered, derivatives(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
