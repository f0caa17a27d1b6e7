"""Programs that XLA:CPU compiles: the number of kernels, and the size of temporary buffers.

Versions of XLA fuse differently, and unfused programs are slow. Without the engine's workarounds,
jaxlib 0.12 compiles a maximum to eleven kernels instead of three, and it takes ten times as long.
"""

import math
import re

import jax
import numpy as np
import pytest

import jaxpool

# Per case: kernels, and temporaries as multiples of the input; forward and with the gradient.
PROGRAMS = {
    "max, k2 s2": (lambda x: jaxpool.max_pool(x, 2), (16, 56, 56, 64), (1, 0.0), (4, 0.07)),
    "max, k3 s2 p1": (
        lambda x: jaxpool.max_pool(x, 3, strides=2, padding=1),
        (16, 56, 56, 64),
        (3, 0.0),
        (7, 0.07),
    ),
    "max, k3 s1 p1": (
        lambda x: jaxpool.max_pool(x, 3, strides=1, padding=1),
        (16, 28, 28, 128),
        (3, 0.0),
        (7, 0.26),
    ),
    "max, k5 s1 SAME": (
        lambda x: jaxpool.max_pool(x, 5, strides=1, padding="SAME"),
        (16, 20, 20, 128),
        (4, 1.0),
        (12, 1.5),
    ),
    "max, k13 s1 SAME": (
        lambda x: jaxpool.max_pool(x, 13, strides=1, padding="SAME"),
        (16, 13, 13, 128),
        (8, 1.4),
        (24, 3.3),
    ),
    "max, short rows": (
        lambda x: jaxpool.max_pool(x, 3, strides=1, padding=1),
        (8, 64, 64, 3),
        (4, 1.1),
        (16, 1.6),
    ),
    "max, one axis": (
        lambda x: jaxpool.max_pool(x, 3, strides=1, padding="SAME"),
        (16, 512, 64),
        (3, 0.0),
        (7, 0.26),
    ),
    "mean, k3 s1 p1": (
        lambda x: jaxpool.avg_pool(x, 3, strides=1, padding=1),
        (16, 28, 28, 128),
        (3, 0.0),
        (3, 0.0),
    ),
    "mean, k3 s2 p1": (
        lambda x: jaxpool.avg_pool(x, 3, strides=2, padding=1),
        (16, 56, 56, 64),
        (3, 0.0),
        (3, 0.0),
    ),
    "mean, k2 s2": (lambda x: jaxpool.avg_pool(x, 2), (16, 56, 56, 64), (1, 0.0), (1, 0.0)),
    "adaptive max, 45 to 7": (
        lambda x: jaxpool.adaptive_max_pool(x, 7),
        (16, 45, 45, 64),
        (4, 0.2),
        (13, 0.25),
    ),
    "blur": (jaxpool.blur_pool, (16, 56, 56, 64), (3, 0.0), (3, 0.0)),
}


def measured(compiled, x):
    """Kernels outside of fusions, and temporaries as a multiple of the input."""
    kernels, inside = 0, False
    for line in compiled.as_text().splitlines():
        if line.startswith(("%", "ENTRY")):
            inside = line.startswith(("%fused", "%wrapped"))
        elif not inside:
            kernels += " fusion(" in line
            assert not re.search(r" (transpose|gather)\(", line), line
    memory = compiled.memory_analysis().temp_size_in_bytes
    return kernels, memory / (math.prod(x.shape) * x.dtype.itemsize)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_have_few_kernels_and_little_temporary_memory(name):
    function, shape, forward, gradient = PROGRAMS[name]
    x = jax.ShapeDtypeStruct(shape, np.float32)
    y = jax.eval_shape(function, x)

    def pulled_back(x, y):
        return jax.vjp(function, x)[1](y)

    programs = (
        (jax.jit(function).lower(x), forward),
        (jax.jit(pulled_back).lower(x, y), gradient),
    )
    for lowered, (most, memory) in programs:
        kernels, temporaries = measured(lowered.compile(), x)
        assert kernels <= most
        assert temporaries <= memory + 0.01
