import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import compilation
from experiments.compilation import compile_network

IMAGES = jnp.arange(2.0 * 8 * 8 * 3).reshape(2, 8, 8, 3)
KERNEL = jnp.linspace(-1, 1, 3 * 3 * 3 * 4).reshape(3, 3, 3, 4)


def convolve(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("purpose", ["training", "inference"])
def test_a_program_computes_what_it_would_without_options(purpose):
    compiled = compile_network(jax.jit(convolve).lower(IMAGES, KERNEL), purpose)
    np.testing.assert_allclose(compiled(IMAGES, KERNEL), convolve(IMAGES, KERNEL), rtol=1e-5)


def test_options_that_this_jaxlib_lacks_are_left_out(monkeypatch):
    unheard_of = {"training": {"xla_cpu_option_of_another_year": "1"}}
    monkeypatch.setattr(compilation, "_CPU_OPTIONS", unheard_of)
    compiled = compile_network(jax.jit(jnp.sin).lower(1.0), "training")
    assert compiled(0.0) == 0


@pytest.mark.skipif(
    not compilation._known(compilation._LIBRARY, ""), reason="this jaxlib has no such library"
)
def test_convolutions_keep_all_threads():
    lowered = jax.jit(convolve).lower(jnp.zeros((128, 14, 14, 32)), jnp.zeros((3, 3, 32, 64)))
    for purpose in ("training", "inference"):
        assert "ynn_fusion" not in compile_network(lowered, purpose).as_text()
