import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxpool import engine
from jaxpool.engine import elements
from jaxpool.window import Window
from tests import geometry, quick
from tests.geometry import examples


@pytest.fixture(params=[64, 0], ids=["apart", "stacked"], scope="module")
def few(request):
    before = elements.FEW
    elements.FEW = request.param
    yield
    elements.FEW = before


@pytest.mark.usefixtures("few")
@examples(8)
@given(geometry.poolings(), st.booleans(), st.integers(0, 2**31))
def test_taps_and_what_is_made_of_them(pooling, masked, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 9, pooling.shape).astype(np.float32)
    where = rng.random(pooling.shape) < 0.5 if masked else None
    window = pooling.resolved()

    @quick.jit
    def results(x):
        values, exists = engine.every_element(x, window, where)
        values = values.map(lambda value, there: jnp.where(there, value, 0), exists)
        return {
            "number": exists.map(lambda there: there.astype(jnp.float32)).sum(),
            "sum": values.sum(),
            "largest": values.max(),
            "sum in the end": values.accumulate().last(),
            "chosen": engine.choose(x, window, values.map(lambda value: value > 4).first()),
            "occupied": engine.occupied(window, x.ndim, where),
        }

    functions = {
        "number": lambda elements, *_: len(elements),
        "sum": lambda elements, *_: sum(elements),
        "largest": lambda elements, *_: max(elements, default=0),
        "sum in the end": lambda elements, *_: sum(elements),
        "chosen": lambda elements, *_: next((e for e in elements if e > 4), 0),
        "occupied": lambda elements, *_: bool(elements),
    }
    for name, result in results(x).items():
        expected = pooling.judge(x, functions[name], where)
        np.testing.assert_array_equal(np.broadcast_to(result, expected.shape), expected, name)


def test_the_derivative_is_that_of_the_elements_chosen():
    x = jnp.arange(12.0).reshape(1, 6, 2)
    window = Window.resolve(x.shape, 3)
    tap = jnp.array([[[0, 2], [3, 1]]])
    y, pull = jax.vjp(lambda x: engine.choose(x, window, tap), x)
    np.testing.assert_array_equal(y, [[[0, 5], [0, 9]]])
    (gradient,) = pull(jnp.ones_like(y))
    assert sorted(map(float, x[gradient == 1])) == [0, 5, 9]
    assert gradient.sum() == 3
