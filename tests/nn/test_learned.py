import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

from jaxpool import nn
from tests import differences, masking, oracle

pytestmark = pytest.mark.usefixtures("compile_quickly")

WINDOW = (3, 2)
GEOMETRY = {"strides": (1, 2), "padding": ((1, 0), (0, 1)), "dilation": (1, 2)}
RNG = np.random.default_rng(0)
X = RNG.uniform(0.1, 2, (2, 5, 4, 3)).astype(np.float32)
MASK = RNG.random((2, 5, 4, 1)) < 0.6
MASK[1, :3] = False
FILTERS = RNG.normal(size=(*WINDOW, 3)).astype(np.float32)
SHARED = {"gem": 2.5, "logsumexp": -0.7, "mixed": 0.3, "gated": FILTERS[..., :1]}
EACH = {
    "gem": [0.5, 3.0, 20.0],
    "logsumexp": [-2.0, 0.0, 5.0],
    "mixed": [0.1, 0.5, 0.8],
    "gated": FILTERS,
}
OPTIONS = {"mixed": {"count_include_pad": False}, "gated": {"count_include_pad": False}}
NAMES = list(SHARED)


def build(name, window=WINDOW, channels=None, rngs=0, **options):
    """A module with one shared parameter, or with one parameter per channel."""
    classes = {
        "gem": nn.LearnedGemPool,
        "logsumexp": nn.LearnedLogSumExpPool,
        "mixed": nn.LearnedMixedPool,
        "gated": nn.GatedPool,
    }
    if name == "gated":
        options["rngs"] = nnx.Rngs(rngs)
    pool = classes[name](window, channels=channels, **options)
    value = jnp.asarray(SHARED[name] if channels is None else EACH[name], jnp.float32)
    if name == "mixed":
        value = jnp.log(value / (1 - value))
    if name == "gated":
        value = value[: window[0], : window[1]]
    parameter(pool)[...] = value
    return pool


def parameter(pool):
    (only,) = (value for value in vars(pool).values() if isinstance(value, nnx.Param))
    return only


def judge(name, channels, where, **options):
    """The definitions, in loops over channels and windows."""
    geometry = {"axes": (1, 2), "window": WINDOW, "ceil_mode": False, **GEOMETRY, **options}
    columns = []
    for c in range(3):
        x, value = X[..., c : c + 1], SHARED[name] if channels is None else EACH[name]
        if channels is not None:
            value = value[..., c : c + 1] if name == "gated" else value[c]
        if name == "gated":
            columns.append(gated(x, value[..., 0], where))
        else:
            columns.append(oracle.pool(x, FUNCTIONS[name](value), where=where, **geometry))
    return np.concatenate(columns, -1)


def gem(p):
    return lambda elements, *_: np.mean(np.float64(elements) ** p) ** (1 / p) if elements else 0


def logsumexp(t):
    def function(elements, *_):
        if not elements or t == 0:
            return np.mean(elements) if elements else 0
        return np.log(np.mean(np.exp(t * np.float64(elements)))) / t

    return function


def mixed(alpha):
    return lambda e, *_: alpha * max(e) + (1 - alpha) * np.mean(e) if e else 0


FUNCTIONS = {"gem": gem, "logsumexp": logsumexp, "mixed": mixed}


def gated(x, filters, where):
    """The weight of one window, in loops over taps, and the mixture with this weight."""
    present = np.broadcast_to(True if where is None else where, x.shape)
    y = np.zeros((2, 4, 2, 1))
    for n, i, j, _ in np.ndindex(y.shape):
        elements, gate = [], 0.0
        for s, t in np.ndindex(WINDOW):
            row, column = i + s - 1, 2 * j + 2 * t
            if 0 <= row < 5 and 0 <= column < 4 and present[n, row, column, 0]:
                elements.append(float(x[n, row, column, 0]))
                gate += elements[-1] * filters[s, t]
        y[n, i, j] = mixed(1 / (1 + np.exp(-gate)))(elements)
    return y


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_masks(name, channels):
    """Values agree with the definition; masked elements affect neither values nor gradients."""
    pool = build(name, channels=channels, **GEOMETRY, **OPTIONS.get(name, {}))
    plain, masked, of_pool = masking.leak_free(pool, X, MASK)
    np.testing.assert_allclose(plain, judge(name, channels, None), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(masked, judge(name, channels, MASK), rtol=2e-5, atol=1e-6)
    assert np.all(parameter(of_pool)[...] != 0)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_in_input_and_parameter(name):
    with jax.enable_x64(True):
        definition, state = nnx.split(build(name, (3, 1), channels=3, strides=(1, 2), padding=1))
        vector, unravel = ravel_pytree(jax.tree.map(np.float64, state))

        def function(x, vector):
            return nnx.merge(definition, unravel(vector))(x, where=MASK[:1])

        x = np.random.default_rng(1).permutation(60).reshape(1, 5, 4, 3) / 30 + 0.1
        differences.check(function, jnp.asarray(x), vector)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_dtype_is_that_of_the_input_and_parameters_stay_in_single(dtype):
    pools = [build(name, channels=3, **GEOMETRY) for name in NAMES]
    x = jnp.asarray(X, dtype)

    @jax.jit
    def every(pools, x):
        def loss(pools):
            return sum(jnp.sum(pool(x).astype(jnp.float32)) for pool in pools)

        wide = x.astype(jnp.float32)
        return [pool(x) for pool in pools], [pool(wide) for pool in pools], jax.grad(loss)(pools)

    results, wide, gradients = every(pools, x)
    for result, expected in zip(results, wide, strict=True):
        assert result.dtype == dtype
        rounding = float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(np.float32(result), expected, rtol=rounding)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradients)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("channels", [None, 3])
def test_the_whole_map(channels):
    names = ["gem", "logsumexp", "mixed"]
    pools = [build(name, None, channels) for name in names]
    turned = [build(name, None, axes=(-1, 2)) for name in names]

    @jax.jit
    def every(x):
        swapped = jnp.moveaxis(x, 3, 1)
        return [(a(x), a(x, where=MASK), b(swapped)) for a, b in zip(pools, turned, strict=True)]

    whole = {"window": (5, 4), "strides": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0))}
    for name, (y, masked, first) in zip(names, every(X), strict=True):
        for result, expected in [
            (y, judge(name, channels, None, **whole)),
            (masked, judge(name, channels, MASK, **whole)),
            (first, judge(name, None, None, **whole)),
        ]:
            assert result.shape == (2, 3)
            np.testing.assert_allclose(result, expected[:, 0, 0], rtol=2e-5)


def test_padding_may_count_in_the_average():
    row = jnp.array([2.0]).reshape(1, 1, 1)
    gate = nn.GatedPool((3,), padding=1, kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
    for pool in (nn.LearnedMixedPool(3, padding=1), gate):
        np.testing.assert_allclose(pool(row).item(), 0.5 * 2 + 0.5 * 2 / 3, rtol=1e-6)


def test_the_filter_follows_the_order_of_the_axes():
    """The axes of the filter are in the order of `axes`; an int applies to each of them."""
    x, rngs = jnp.asarray(X), nnx.Rngs(0)
    pool, swapped = nn.GatedPool((3, 2), rngs=rngs), nn.GatedPool((2, 3), axes=(2, 1), rngs=rngs)
    swapped.filter[...] = pool.filter[...].swapaxes(0, 1)
    same, other = jax.jit(lambda x: (pool(x), swapped(x)))(x)
    np.testing.assert_array_equal(same, other)
    assert nn.GatedPool(2, axes=(1, 2), rngs=rngs).filter.shape == (2, 2, 1)
    assert nn.GatedPool(2, axes=1, channels=5, rngs=rngs).filter.shape == (2, 5)


def test_parameters_are_learned():
    """Gradient descent moves each parameter most of the way to another value."""
    pools = nnx.List([build(name, channels=3, **GEOMETRY) for name in NAMES])
    goals = [
        nnx.merge(definition, jax.tree.map(lambda p: p + 0.5, state))(X)
        for definition, state in map(nnx.split, pools)
    ]
    optimizer = nnx.Optimizer(pools, optax.adam(0.05), wrt=nnx.Param)

    @nnx.jit
    def step(pools, optimizer):
        def loss(pools):
            errors = [jnp.mean((p(X) - y) ** 2) for p, y in zip(pools, goals, strict=True)]
            return sum(errors), jnp.stack(errors)

        gradient, errors = nnx.grad(loss, has_aux=True)(pools)
        optimizer.update(pools, gradient)
        return errors

    errors = [step(pools, optimizer) for _ in range(12)]
    assert np.all(errors[-1] < errors[0] / 4)


def test_under_transformations():
    pools = [build(name, channels=3, **GEOMETRY) for name in NAMES]
    parts = [nnx.split(pool) for pool in pools]

    def pooled(states, x):
        return [nnx.merge(d, s)(x) for (d, _), s in zip(parts, states, strict=True)]

    @jax.jit
    def every(states, x):
        two = jax.tree.map(lambda p: jnp.stack([p, p + 1]), states)
        return (
            pooled(states, x),
            jax.vmap(pooled, (None, 0))(states, x),
            [y[0] for y in jax.vmap(pooled, (0, None))(two, x)],
            [y[1] for y in jax.vmap(pooled, (0, None))(two, x)],
        )

    one, images, first, second = every([state for _, state in parts], X)
    for a, b, c, d in zip(one, images, first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
        np.testing.assert_allclose(a, c, rtol=1e-5)
        assert np.all(a != d)


def test_the_constructor_shows_the_geometry():
    geometry = ["strides", "padding", "dilation", "ceil_mode", "axes"]
    own = ["window_shape", "p", "eps", "channels"]
    assert list(inspect.signature(nn.LearnedGemPool).parameters) == own + geometry
    own = ["window_shape", "channels", "count_include_pad", "kernel_init", "rngs"]
    assert list(inspect.signature(nn.GatedPool).parameters) == own + geometry


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: nn.LearnedGemPool(2, 0), ValueError, "p must be .* greater than 0, got 0"),
        (lambda: nn.LearnedGemPool(2, "3"), TypeError, "p must be a number, got '3'"),
        (lambda: nn.LearnedGemPool(2, eps=0.0), ValueError, "eps must be .* got 0.0"),
        (lambda: nn.LearnedGemPool(2, channels=0), ValueError, "channels .* least 1, got 0"),
        (lambda: nn.LearnedGemPool(2, channels=1.5), TypeError, "channels .* int, got 1.5"),
        (lambda: nn.LearnedGemPool(2, stride=2), TypeError, "argument 'stride'"),
        (
            lambda: nn.LearnedLogSumExpPool(2, np.inf),
            ValueError,
            "temperature must be finite, got inf",
        ),
        (
            lambda: nn.LearnedLogSumExpPool(2, None),
            TypeError,
            "temperature must be a number, got None",
        ),
        *(
            (
                lambda alpha=alpha: nn.LearnedMixedPool(2, alpha),
                ValueError,
                f"alpha must be .*greater than 0.*got {alpha}",
            )
            for alpha in (0, 1, -0.5, 2)
        ),
        (
            lambda: nn.LearnedMixedPool(2, count_include_pad=1),
            TypeError,
            "count_include_pad must be a bool, got 1",
        ),
        (
            lambda: nn.GatedPool((2,), count_include_pad=None, rngs=nnx.Rngs(0)),
            TypeError,
            "count_include_pad must be a bool, got None",
        ),
        *(
            (
                lambda option=option: nn.LearnedMixedPool(None, **option),
                ValueError,
                f"{next(iter(option))} must be left out where window_shape=None .* got",
            )
            for option in [{"strides": 2}, {"padding": 1}, {"dilation": 2}, {"ceil_mode": True}]
        ),
        (
            lambda: nn.GatedPool(2, rngs=nnx.Rngs(0)),
            TypeError,
            "window_shape must be a sequence of ints, one per spatial axis, got 2",
        ),
        (lambda: nn.GatedPool(None, rngs=nnx.Rngs(0)), TypeError, "window_shape must .* got None"),
        (
            lambda: nn.GatedPool((2, 0), rngs=nnx.Rngs(0)),
            ValueError,
            r"window_shape must be integers of at least 1, got \(2, 0\)",
        ),
        (lambda: nn.GatedPool((), rngs=nnx.Rngs(0)), ValueError, r"window_shape .* got \(\)"),
        (lambda: nn.GatedPool((2,), channels=-1, rngs=nnx.Rngs(0)), ValueError, "channels .* -1"),
        (lambda: nn.GatedPool((2,), rngs=0), TypeError, "rngs must be nnx.Rngs, .* got 0"),
        (
            lambda: nn.GatedPool((2,), rngs=nnx.Rngs(dropout=0)),
            ValueError,
            r"rngs must have a stream 'params' or 'default', got only \['dropout'\]",
        ),
        (lambda: nn.GatedPool((2,)), TypeError, "argument: 'rngs'"),
        (lambda: nn.LearnedGemPool(0)(X), ValueError, "window_shape must .* got 0"),
        (lambda: nn.LearnedGemPool(2, channels=4)(X), ValueError, r"p must be .* shape \(4,\)"),
        (
            lambda: nn.GatedPool((2, 2), channels=4, rngs=nnx.Rngs(0))(X),
            ValueError,
            r"filters must have shape \(2, 2, 1\) or \(2, 2, 3\), got \(2, 2, 4\)",
        ),
        (
            lambda: nn.LearnedMixedPool(2, count_include_pad="no")(X),
            TypeError,
            "count_include_pad must be a bool, got 'no'",
        ),
        (lambda: nn.LearnedGemPool(2)(X > 0), TypeError, "x must be of a floating dtype"),
        (lambda: nn.LearnedGemPool(2)(X, where=X), TypeError, "where must be of dtype bool, got"),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()
