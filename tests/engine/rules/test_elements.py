import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxpool
from jaxpool import engine
from jaxpool.engine.plan import tuning
from jaxpool.window import Window
from tests import geometry, quick
from tests.geometry import examples


@pytest.fixture(params=[64, 0], ids=["spelt out", "in a loop"], scope="module")
def few(request):
    before = tuning.UNROLLED_TAPS
    tuning.UNROLLED_TAPS = request.param
    yield
    tuning.UNROLLED_TAPS = before


@pytest.mark.usefixtures("few")
@examples(8)
@given(geometry.poolings(), st.booleans(), st.integers(0, 2**31))
def test_fold_and_every_visit_the_taps_of_each_window(pooling, masked, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 9, pooling.shape).astype(np.float32)
    where = rng.random(pooling.shape) < 0.5 if masked else None
    window = pooling.resolved()
    cotangent = rng.integers(1, 9, window.output_shape(x.shape)).astype(np.float32)

    @quick.jit
    def results(x):
        exists = engine.ones(window, x.ndim, np.dtype(bool)) if where is None else where
        every = engine.Taps(window, (jnp.where(exists, x, 0), 0), (exists, False))
        none = jnp.full(window.output_shape(x.shape), np.int32(window.taps))
        tap = every.fold(
            lambda found, number, value, there: jnp.where(
                (found == window.taps) & there & (value > 4), number, found
            ),
            none,
        )
        chosen, pull = jax.vjp(lambda x: engine.choose(x, window, tap), x)
        return {
            "number": every.fold(lambda count, _, value, there: count + there, none * 0),
            "sum": every.fold(lambda total, _, value, there: total + value, jnp.zeros(none.shape)),
            "chosen": chosen,
            "occupied": engine.occupied(window, x.ndim, where),
        }, pull(cotangent)[0]

    functions = {
        "number": lambda elements, *_: len(elements),
        "sum": lambda elements, *_: sum(elements),
        "chosen": lambda elements, *_: next((e for e in elements if e > 4), 0),
        "occupied": lambda elements, *_: bool(elements),
    }
    found, gradient = results(x)
    for name, result in found.items():
        expected = pooling.judge(x, functions[name], where)
        np.testing.assert_array_equal(np.broadcast_to(result, expected.shape), expected, name)
    # The adjoint: <cotangent, chosen> is linear in x, with nonzero terms for chosen elements only.
    assert float((gradient * x).sum()) == float((cotangent * found["chosen"]).sum())
    assert float(gradient.sum()) == float((cotangent * (found["chosen"] > 0)).sum())


def test_the_derivative_is_that_of_the_elements_chosen():
    x = jnp.arange(12.0).reshape(1, 6, 2)
    window = Window.resolve(x.shape, 3)
    tap = jnp.array([[[0, 2], [3, 1]]])
    y, pull = jax.vjp(lambda x: engine.choose(x, window, tap), x)
    np.testing.assert_array_equal(y, [[[0, 5], [0, 9]]])
    (gradient,) = pull(jnp.ones_like(y))
    assert sorted(map(float, x[gradient == 1])) == [0, 5, 9]
    assert gradient.sum() == 3


@pytest.mark.parametrize("k", [pytest.param(9, marks=pytest.mark.thorough), 31])
@pytest.mark.parametrize("pool", ["median", "stochastic"])
def test_wide_windows_take_bounded_memory(pool, k):
    """Value and derivative; stacked taps would take 3.5 inputs per tap."""

    def pooled(x):
        if pool == "median":
            return jaxpool.median_pool(x, k, strides=1, padding="SAME")
        return jaxpool.stochastic_pool(x, k, strides=1, padding="SAME", key=jax.random.key(0))

    x = jax.ShapeDtypeStruct((1, 128, 128, 1), np.float32)
    size = 128 * 128 * 4
    program = jax.jit(lambda x: jax.value_and_grad(lambda x: pooled(x).sum())(x)).lower(x).compile()
    assert program.memory_analysis().temp_size_in_bytes < 30 * size
