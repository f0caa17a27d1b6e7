import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from experiments import compilation
from experiments.compilation import compile_network

IMAGES = np.arange(2 * 8 * 8 * 3, dtype=np.float32).reshape(2, 8, 8, 3)
KERNEL = np.linspace(-1, 1, 3 * 3 * 3 * 4, dtype=np.float32).reshape(3, 3, 3, 4)


def convolve(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("purpose", ["training", "inference"])
def test_compiler_options_do_not_change_results(purpose):
    compiled = compile_network(jax.jit(convolve).lower(IMAGES, KERNEL), purpose)
    np.testing.assert_allclose(compiled(IMAGES, KERNEL), convolve(IMAGES, KERNEL), rtol=1e-5)


def test_options_that_this_jaxlib_lacks_are_left_out(monkeypatch):
    unheard_of = {"training": {"xla_cpu_option_of_another_year": "1"}}
    monkeypatch.setattr(compilation, "_CPU_OPTIONS", unheard_of)
    compiled = compile_network(jax.jit(jnp.sin).lower(1.0), "training")
    assert compiled(0.0) == 0


@pytest.mark.skipif(
    not compilation._is_option(compilation._YNN_OPTION, ""),
    reason="this jaxlib has no such library",
)
def test_convolutions_keep_all_threads():
    lowered = jax.jit(convolve).lower(jnp.zeros((128, 14, 14, 32)), jnp.zeros((3, 3, 32, 64)))
    for purpose in ("training", "inference"):
        assert "ynn_fusion" not in compile_network(lowered, purpose).as_text()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of the cache that `use_cache` sets up; restores JAX's settings afterwards."""
    names = ("enable_compilation_cache", "compilation_cache_dir", "compilation_cache_max_size")
    names += ("persistent_cache_min_compile_time_secs",)
    before = {f"jax_{name}": jax.config.values[f"jax_{name}"] for name in names}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    compilation_cache.reset_cache()
    yield tmp_path / "jaxpool" / "programs"
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def compiled_anew():
    """Compiles a program as a new process would; returns its result."""
    jax.clear_caches()
    compilation_cache.reset_cache()
    lowered = jax.jit(jax.grad(lambda k: convolve(IMAGES, k).std())).lower(KERNEL)
    return np.asarray(compile_network(lowered, "training")(KERNEL))


def hits(caplog):
    return sum("cache hit for 'jit__lambda'" in record.getMessage() for record in caplog.records)


def test_a_program_from_the_cache_computes_the_same_bits(cache, caplog):
    plain = compiled_anew()
    compilation.use_cache()
    caplog.set_level(logging.DEBUG, "jax._src.compiler")
    results = [compiled_anew(), compiled_anew()]
    assert hits(caplog) == 1
    for result in results:
        np.testing.assert_array_equal(result, plain)
    assert jax.config.values["jax_compilation_cache_max_size"] == 1_000_000_000
    with compilation.no_cache():
        compiled_anew()
    assert hits(caplog) == 1


def test_damaged_and_torn_programs_in_the_cache_do_no_harm(cache):
    compilation.use_cache()
    plain = compiled_anew()
    (program,) = cache.glob("*/jit__lambda*-cache")
    program.write_bytes(program.read_bytes()[:100])
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry"):
        np.testing.assert_array_equal(compiled_anew(), plain)
    # As after a kill during writing: the time of use, which is written last, is missing.
    program.with_name(f"{program.name.removesuffix('cache')}atime").unlink()
    jax.config.update("jax_compilation_cache_dir", None)
    compilation.use_cache()
    assert not program.exists()
    np.testing.assert_array_equal(compiled_anew(), plain)


def test_cache_settings_of_the_user_take_precedence(cache, tmp_path, monkeypatch):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    compilation.use_cache()
    assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "own")
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_enable_compilation_cache", False)
    compilation.use_cache()
    jax.config.update("jax_enable_compilation_cache", True)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    compilation.use_cache()
    assert jax.config.values["jax_compilation_cache_dir"] is None
    assert not cache.exists()
