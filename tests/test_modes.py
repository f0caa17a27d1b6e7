"""Every operator in every mode of JAX, below and above the sizes at which programs change."""

import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxpool
from tests import modes, quick
from tests.operators import BOXES, IMAGES, OPERATORS

pytestmark = pytest.mark.usefixtures("compile_quickly")

# Images per batch. The engine isolates steps from 2,048 elements on; from 8,192 on, XLA:CPU
# reduces differently. An image of the table has at least 14 elements.
BATCHES = {"small": 16, "large": 592}


def image(operator, batch):
    x = operator.smooth(np.random.default_rng(0), (batch, *operator.shape[1:]))
    if not operator.exact:  # rounding errors would grow with the batch size
        x = x * np.float32(4 / np.abs(x).max())
    return jnp.asarray(x)


def agree(result, expected, exact):
    if not all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(expected)):
        assert result == expected
        return
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    for ours, other in zip(result, expected, strict=True):
        assert ours.dtype == other.dtype
        tolerance = 0 if exact else 1e-5
        np.testing.assert_allclose(ours, other, rtol=tolerance, atol=tolerance)


CASES = [
    pytest.param(mode, batch, operator, id=f"{operator}-{batch}-{mode}")
    for operator in OPERATORS
    for batch in BATCHES
    for mode in modes.MODES
    if modes.apply(mode, operator)
]


@pytest.mark.parametrize(("mode", "batch", "operator"), CASES)
def test_every_mode_gives_the_result_of_a_plain_call(mode, batch, operator):
    x = image(operator, BATCHES[batch])
    # (`jet` multiplies by n!, and partitioned programs sum overlapping bins in another order.)
    exact = operator.exact and mode != "jet" and not mode.startswith("explicit")
    for result, expected in modes.MODES[mode](operator, x):
        agree(result, expected, exact)


# Operators as functions of `x`, which is replicated, and of a second operand, which differs per
# device.
FIRST_ROWS = {row.function.__name__: row for row in reversed(OPERATORS)}
VARYING = {
    f"mask of {name}": row.with_mask
    for name, row in FIRST_ROWS.items()
    if "where" in inspect.signature(row.function).parameters and row.is_plain
} | {
    "mask of gated_pool": lambda x, m: jaxpool.gated_pool(x, 2, np.ones((2, 4)), where=m),
    "key of stochastic_pool": lambda x, k: jaxpool.stochastic_pool(x, 2, key=k),
    "key of fractional_max_pool": lambda x, k: jaxpool.fractional_max_pool(x, 2, 5, key=k),
    "key of fractional_avg_pool": lambda x, k: jaxpool.fractional_avg_pool(x, None, 3, key=k),
    "temperature of logsumexp_pool": lambda x, t: jaxpool.logsumexp_pool(x, 2, t),
    "p of gem_pool": lambda x, p: jaxpool.gem_pool(x, 2, p),
    "alpha of mixed_pool": lambda x, a: jaxpool.mixed_pool(x, 2, a),
    "weights of gated_pool": lambda x, w: jaxpool.gated_pool(x, 2, w),
    "samples of fractional_max_pool": lambda x, s: jaxpool.fractional_max_pool(x, 2, 5, samples=s),
    "indices of max_unpool": lambda x, i: jaxpool.max_unpool(x, i, 12),
    "init_value of reduce_window": lambda x, i: jaxpool.reduce_window(x, i, jnp.maximum, (1, 2, 1)),
    "boxes of roi_align": lambda x, b: jaxpool.roi_align(x, b, 2, batch_indices=IMAGES),
    "boxes of roi_align, maximum": lambda x, b: jaxpool.roi_align(
        x[:, :4], b, 2, reduce="max", sampling_ratio=2, batch_indices=IMAGES
    ),
    "boxes of roi_pool": lambda x, b: jaxpool.roi_pool(x[:, :4], b, 2, batch_indices=IMAGES),
    "boxes of ps_roi_align": lambda x, b: jaxpool.ps_roi_align(x, b, 2, batch_indices=IMAGES),
    "boxes of ps_roi_pool": lambda x, b: jaxpool.ps_roi_pool(x, b, 2, batch_indices=IMAGES),
}


@pytest.mark.parametrize("operand", VARYING)
def test_operands_that_vary_over_devices(operand):
    """`shard_map` gives the results of `vmap`: values, and gradients summed over devices."""
    function, name = VARYING[operand], operand.split()[0]
    rng = np.random.default_rng(4)
    shape = (2, 8, 8, 4) if "roi" in operand else (2, 8, 4)
    x = jnp.asarray(rng.normal(size=shape).astype(np.float32))
    count = modes.DEVICES
    operands = {
        "key": lambda: jax.random.split(jax.random.key(0), count),
        "mask": lambda: jnp.asarray(rng.random((count, 1, 8, 1)) < 0.7),
        "temperature": lambda: jnp.linspace(-2, 3, count),
        "p": lambda: jnp.linspace(0.5, 4, count),
        "alpha": lambda: jnp.linspace(0, 1, count),
        "weights": lambda: jnp.asarray(rng.normal(size=(count, 2, 4)).astype(np.float32)),
        "samples": lambda: jnp.asarray(rng.random((count, 2, 4, 1)).astype(np.float32)),
        "indices": lambda: jnp.asarray(rng.integers(-1, 12, (count, *shape), np.int32)),
        "init_value": lambda: jnp.linspace(-1, 1, count),
        "boxes": lambda: BOXES + jnp.linspace(-2, 2, count)[:, None, None],
    }[name]()
    differentiable = jnp.issubdtype(operands.dtype, np.floating) and name != "samples"
    arguments = (0, 1) if differentiable else 0

    def loss(x, operand):
        y = function(x, operand)
        y = jnp.where(jnp.isfinite(y), y, 0)  # the maximum of a window without an element is -inf
        return (jnp.cos(jnp.arange(y.size)).reshape(y.shape) * y).sum()

    def on_every_device(x, operands):
        mesh = jax.make_mesh((count,), ("d",), axis_types=(AxisType.Auto,))

        def on_one(x, operands):
            return loss(x, operands[0])[None]

        specs = (P(), P("d"))
        return jax.shard_map(on_one, mesh=mesh, in_specs=specs, out_specs=P("d"))(x, operands)

    def mapped(x, operands):
        return jax.vmap(loss, (None, 0))(x, operands)

    weights = jnp.linspace(1, 2, count)
    results, expected = (
        quick.jit(
            lambda x, operands, f=f: (
                f(x, operands),
                jax.grad(lambda *a: (weights * f(*a)).sum(), arguments)(x, operands),
            )
        )(x, operands)
        for f in (on_every_device, mapped)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), results, expected
    )
    assert len({float(value) for value in results[0]}) > 1  # the operand differs per device


def test_reliability_md_states_the_modes_and_the_number_of_cases():
    page = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text("utf-8")
    counted = f"{len(modes.MODES)} modes, {len(OPERATORS)} rows", f"{len(CASES)} cases"
    assert all(count in page for count in (*counted, f"add {len(VARYING)} pairs"))
    table = page[page.index("| mode |") : page.index("These are")]
    assert re.findall(r"^\| `?([^|`]+?)`? \|", table, re.MULTILINE)[1:] == list(modes.MODES)
