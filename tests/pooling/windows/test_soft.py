import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from jaxpool.engine.plan import tuning
from tests import constant, geometry, quick
from tests.geometry import examples


def softmax_mean(elements, indices, count):
    if not elements:
        return 0.0
    weights = [math.exp(float(e) - max(elements)) for e in elements]
    return sum(w * float(e) for w, e in zip(weights, elements, strict=True)) / sum(weights)


def log_mean_exp(temperature):
    def function(elements, indices, count):
        if len(elements) == 0:
            return 0.0
        if temperature == 0:
            return float(np.mean(elements))
        top = max(temperature * float(e) for e in elements)
        mean = np.mean([math.exp(temperature * float(e) - top) for e in elements])
        return (top + math.log(mean)) / temperature

    return function


TEMPERATURES = [(0.0, 30.0), (0.7, -2.0)]  # each geometry has two


# Windows with more taps are reduced one axis at a time.
ONE_LOOP = tuning.ONE_LOOP
passes = constant.setting(tuning, "ONE_LOOP", by_axis=0, at_once=ONE_LOOP)


@pytest.mark.usefixtures("passes")
@examples(12)
@given(geometry.poolings(), st.sampled_from(TEMPERATURES), st.booleans(), st.integers(0, 2**31))
def test_against_the_oracle(pooling, temperatures, masked, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=pooling.shape).astype(np.float32)
    where = rng.random(pooling.shape) < 0.5 if masked else None

    @quick.jit
    def every(x, temperatures):
        soft = pooling.apply(jaxpool.soft_pool, x, where=where)
        sharp = [
            pooling.apply(jaxpool.logsumexp_pool, x, temperature=t, where=where)
            for t in temperatures
        ]
        return soft, sharp

    soft, sharp = every(x, temperatures)
    expected = pooling.judge(x, softmax_mean, where)
    np.testing.assert_allclose(soft, expected, rtol=1e-5, atol=1e-6)
    for result, temperature in zip(sharp, temperatures, strict=True):
        expected = pooling.judge(x, log_mean_exp(temperature), where)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 7, 90])
def test_windows_of_many_taps(stride):
    """More taps than are unrolled: loops, and a blocked reduction."""
    x = np.random.default_rng(0).normal(size=(2, 180, 3)).astype(np.float32)
    options = {"strides": stride}
    slices = np.lib.stride_tricks.sliding_window_view(x.astype(float), 90, axis=1)[:, ::stride]
    weights = np.exp(slices)

    @quick.jit
    def every(x):
        y, pull = jax.vjp(lambda x: jaxpool.logsumexp_pool(x, 90, **options), x)
        return y, pull(2 * y)[0], jaxpool.soft_pool(x, 90, **options)

    y, gradient, soft = every(x)
    means = np.log(weights.mean(-1))
    np.testing.assert_allclose(y, means, rtol=1e-5, atol=1e-6)  # a log of means near 1
    expected = np.zeros(x.shape)
    for o in range(means.shape[1]):
        share = weights[:, o] / weights[:, o].sum(-1, keepdims=True)
        expected[:, o * stride : o * stride + 90] += np.moveaxis(
            2 * means[:, o, :, None] * share, -1, 1
        )
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        soft, np.sum(weights * slices, -1) / weights.sum(-1), rtol=1e-5, atol=1e-6
    )


ROW = np.array([0.3, -1.2, 2.5, 0.9])


def derivatives(t):
    """(1/t) log mean exp(t x) and its first two derivatives, to rounding for |t| <= 1e-3."""
    moments = [np.mean((ROW - ROW.mean()) ** k) for k in range(6)]
    cumulants = [ROW.mean(), *moments[2:4], moments[4] - 3 * moments[2] ** 2]
    cumulants.append(moments[5] - 10 * moments[3] * moments[2])
    series = np.polynomial.Polynomial([c / math.factorial(i + 1) for i, c in enumerate(cumulants)])
    return series(t), series.deriv(1)(t), series.deriv(2)(t)


@pytest.mark.parametrize("t", [0.0, 1e-30, 1e-8, -1e-6, 1e-5, -1e-4, 1e-3])
def test_small_temperatures(t):
    """Neither value nor derivative amplifies rounding errors by 1 / temperature."""
    x = jnp.asarray(ROW, jnp.float32).reshape(1, 4, 1)

    def pool(t):
        return jaxpool.logsumexp_pool(x, 4, t)[0, 0, 0]

    results = [f(jnp.float32(t)) for f in (pool, jax.grad(pool), jax.grad(jax.grad(pool)))]
    np.testing.assert_allclose(results, derivatives(t), rtol=1e-5)


@pytest.mark.parametrize("t", [0.05, 0.4, 3.0, -7.0])
def test_the_temperature_has_a_derivative(t):
    x = jnp.asarray(ROW, jnp.float32).reshape(1, 4, 1)
    h = 1e-5
    function = log_mean_exp
    slope = (function(t + h)(ROW, 0, 0) - function(t - h)(ROW, 0, 0)) / (2 * h)
    result = jax.grad(lambda t: jaxpool.logsumexp_pool(x, 4, t)[0, 0, 0])(jnp.float32(t))
    np.testing.assert_allclose(result, slope, rtol=1e-5)


def test_one_temperature_a_channel():
    x = jnp.stack([jnp.asarray(ROW, jnp.float32)] * 3, -1)[None]
    t = jnp.array([0.0, 2.0, -1.0])
    y = jax.jit(lambda x, t: jaxpool.logsumexp_pool(x, 2, t))(x, t)
    for i in range(3):
        alone = jaxpool.logsumexp_pool(x[..., i : i + 1], 2, float(t[i]))
        np.testing.assert_allclose(y[..., i : i + 1], alone, rtol=1e-6)
    channels_first = jaxpool.logsumexp_pool(x.swapaxes(1, 2), 2, t[:, None], axes=2)
    np.testing.assert_allclose(channels_first.swapaxes(1, 2), y, rtol=1e-6)


def test_hot_and_cold_limits():
    x = jnp.array([1e30, -1e30, 3e4, 2e4, -5e3, -5e3]).reshape(1, 6, 1)
    for t, limit in [(1e4, jaxpool.max_pool), (-1e4, jaxpool.min_pool)]:
        y, gradient = jax.value_and_grad(lambda x, t=t: jaxpool.logsumexp_pool(x, 2, t).sum())(x)
        np.testing.assert_allclose(y, limit(x, 2).sum(), rtol=1e-6)
        expected = jax.grad(lambda x, limit=limit: limit(x, 2).sum())(x).at[0, 4:].set(0.5)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6)


POOLS = {
    "soft": lambda x, **options: jaxpool.soft_pool(x, 3, strides=2, padding=2, **options),
    "sharp": lambda x, **options: jaxpool.logsumexp_pool(
        x, 3, 2.0, strides=2, padding=2, **options
    ),
    "average": lambda x, **options: jaxpool.logsumexp_pool(
        x, 3, jnp.zeros(1), strides=2, padding=2, **options
    ),
}


@pytest.mark.parametrize("name", POOLS)
def test_infinite_elements(name):
    """A window with +inf gives +inf, a window of -inf gives -inf; no derivative is NaN."""
    x = jnp.array([-np.inf, -np.inf, -np.inf, 1.0, 2.0, np.inf, 0.5]).reshape(1, 7, 1)
    finite = {"soft": 1 + 1 / (1 + math.exp(-1)), "average": -np.inf}
    finite["sharp"] = math.log((math.exp(2) + math.exp(4)) / 3) / 2
    first = POOLS[name](x)[0, :3, 0]
    np.testing.assert_allclose(first, [-np.inf, -np.inf, finite[name]], rtol=1e-6)
    np.testing.assert_array_equal(POOLS[name](x)[0, 3:, 0], [np.inf, 0.5])

    @quick.jit
    def differentiate(x):
        gradient = jax.grad(lambda x: POOLS[name](x).sum())
        return gradient(x), jax.jvp(gradient, (x,), (jnp.ones_like(x),))[1]

    for result in differentiate(x):
        assert np.all(np.isfinite(result))


def test_the_temperature_has_a_derivative_beside_an_infinite_element():
    x = jnp.array([-np.inf, -np.inf, -np.inf, 1.0, 2.0]).reshape(1, 5, 1)
    slope = jax.grad(lambda t: jaxpool.logsumexp_pool(x, 5, t).sum())(jnp.float32(2.0))
    a, b = math.exp(2), math.exp(4)
    expected = (a + 2 * b) / (a + b) / 2 - math.log((a + b) / 5) / 4
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


@pytest.mark.parametrize("name", POOLS)
def test_masked_elements_may_be_anything(name):
    pool = POOLS[name]
    values = jnp.array([0.4, 1.7, -0.2, 3.0, -1.0, 0.1, 0.6])
    hidden = jnp.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 0.1, 0.6])
    where = jnp.array([False] * 5 + [True, True]).reshape(1, 7, 1)
    x, spoilt = (a.reshape(1, 7, 1) for a in (values, hidden))
    expected = jax.value_and_grad(lambda x: pool(x, where=where).sum())(x)
    result = jax.value_and_grad(lambda x: pool(x, where=where).sum())(spoilt)
    jax.tree.map(np.testing.assert_array_equal, result, expected)
    assert not pool(x, where=where)[0, :2].any()
    assert not expected[1][0, :5].any()


@pytest.mark.parametrize("name", POOLS)
def test_a_nan_stays_in_its_windows(name):
    x = jnp.arange(7.0).at[4].set(jnp.nan).reshape(1, 7, 1)
    y = POOLS[name](x)[0, :, 0]
    np.testing.assert_array_equal(np.isnan(y), [False, False, True, True, False])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", POOLS)
def test_half_precision_is_computed_in_single(name, dtype):
    x = jnp.linspace(-3, 3, 14).reshape(2, 7, 1).astype(dtype)
    y = POOLS[name](x)
    assert y.dtype == dtype
    wide = POOLS[name](x.astype(jnp.float32))
    np.testing.assert_array_equal(y, wide.astype(dtype))


def test_softmax_weights_are_taken_within_a_channel():
    """Negative means stay negative, unlike in the code published with the paper."""
    x = jnp.array([[-1.0, 100.0], [-2.0, 50.0]])[None]
    y = jaxpool.soft_pool(x, 2)[0, 0]
    np.testing.assert_allclose(y, [-1.2689414, 100.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("temperature", "message"),
    [
        ("1", "temperature must be a number, got '1'"),
        (None, "temperature must be a number, got None"),
        (np.nan, "temperature must be finite, got nan"),
        (np.ones(2, bool), "temperature must be a number or an array of numbers, got bool"),
        (np.ones(2), r"temperature .* broadcasts to \(1, 1, 3\), got shape \(2,\)"),
        (np.ones((2, 1)), r"temperature .* broadcasts to \(1, 1, 3\), got shape \(2, 1\)"),
    ],
)
def test_a_bad_temperature(temperature, message):
    with pytest.raises((TypeError, ValueError), match=message):
        jaxpool.logsumexp_pool(np.ones((1, 4, 3), np.float32), 2, temperature)
