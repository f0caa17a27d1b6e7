"""Collectives read from programs that JAX compiled here, and from texts that must be refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from experiments.bench.sharding.collectives import UnreadableProgramError, traffic

DEVICES = 8
SHARD = 4 * 16 * 3  # bytes of one device's part of a float32 array (8 * 16, 3)


def program(function, mesh_shape=(8,), spec=None):
    """The compiled text of a function of each device's part."""
    names = ("a", "b")[: len(mesh_shape)]
    mesh = jax.make_mesh(mesh_shape, names, axis_types=(AxisType.Auto,) * len(names))
    mapped = jax.shard_map(
        function, mesh=mesh, in_specs=spec or P(names), out_specs=P(names), check_vma=False
    )
    shape = jax.ShapeDtypeStruct((DEVICES * 16, 3), np.float32)
    return jax.jit(mapped).lower(shape).compile().as_text()


def ring(x):
    return jax.lax.ppermute(x, "a", [(i, (i + 1) % 8) for i in range(8)])


@pytest.mark.parametrize(
    ("function", "kind", "received"),
    [
        (lambda x: jax.lax.psum(x, "a"), "all-reduce", 2 * SHARD * 7 / 8),
        (lambda x: jax.lax.all_gather(x, "a").sum(0), "all-gather", SHARD * 7),
        (ring, "collective-permute", SHARD),
        (
            lambda x: jnp.tile(jax.lax.psum_scatter(x, "a", tiled=True), (8, 1)),
            "reduce-scatter",
            SHARD * 7 / 8,
        ),
        (
            lambda x: jax.lax.all_to_all(x, "a", 0, 0, tiled=True),
            "all-to-all",
            SHARD * 7 / 8,
        ),
    ],
    ids=["all-reduce", "all-gather", "collective-permute", "reduce-scatter", "all-to-all"],
)
def test_bytes_of_each_kind(function, kind, received):
    found = traffic(program(function), DEVICES)
    assert found.counts == {kind: 1}
    assert found.received == {kind: received}


def test_nothing_is_exchanged():
    found = traffic(program(jnp.sin), DEVICES)
    assert (found.counts, found.received) == ({}, {})


@pytest.mark.parametrize(("axis", "group"), [("a", 2), ("b", 4)])
def test_a_collective_along_one_axis_of_a_mesh_counts_its_own_group(axis, group):
    found = traffic(program(lambda x: jax.lax.psum(x, axis), (2, 4)), DEVICES)
    assert found.received == {"all-reduce": 2 * SHARD * (group - 1) / group}


def test_a_collective_in_a_loop_counts_once_per_iteration():
    def five(x):
        return jax.lax.fori_loop(0, 5, lambda _, y: jnp.sin(ring(y)), x)

    found = traffic(program(five), DEVICES)
    assert found.counts == {"collective-permute": 5}
    assert found.received == {"collective-permute": 5 * SHARD}


def test_a_loop_whose_length_depends_on_the_data_counts_once_and_says_so():
    def until(x):
        return jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: jnp.sin(ring(y)), x)

    found = traffic(program(until), DEVICES)
    assert (found.counts, found.at_least) == ({"collective-permute": 1}, True)
    assert not traffic(program(ring), DEVICES).at_least


def test_every_branch_of_a_conditional_counts():
    def either(x):
        return jax.lax.cond(x[0, 0] > 0, ring, lambda y: ring(ring(y)), x)

    assert traffic(program(either), DEVICES).counts == {"collective-permute": 3}


TEXT = """HloModule jit_f, is_scheduled=true, num_partitions=8

ENTRY %main (p: f32[4,2]) -> f32[4,2] {
  %p = f32[4,2]{1,0} parameter(0)
  ROOT %r = INSTRUCTION
}
"""


@pytest.mark.parametrize(
    ("groups", "received"),
    [
        ("{{0,1,2,3,4,5,6,7}}", 56),
        ("{}", 56),
        ("{{0,1},{2,3},{4,5},{6,7}}", 32),
        ("[2,4]<=[8]", 48),
        ("[4,2]<=[2,4]T(1,0)", 32),
        ("mesh['x'=2,'y'=4] {'y'}", 48),
        ("mesh['x'=2,'y'=4] {'x','y'}", 56),
        ("mesh['x'=8] {'x':(1)4}", 48),
        ("mesh['x'=2,'y'=4] {'x','y':(2)2}", 48),
        ("mesh['x'=2,'y'=4], device_ids=([2,4]T(1,0)) {'y'}", 48),
    ],
)
def test_the_forms_in_which_groups_are_written(groups, received):
    one = f"f32[4,2]{{1,0}} all-reduce(%p), replica_groups={groups}, to_apply=%add"
    text = TEXT.replace("INSTRUCTION", one) + "%add (a: f32[]) -> f32[] {\n}\n"
    assert traffic(text, DEVICES).received == {"all-reduce": received}


def test_all_arrays_of_a_result_count_and_texts_in_quotes_do_not():
    one = (
        "(f32[4,2]{1,0}, bf16[4,2]{1,0}, pred[]) all-gather(%p), replica_groups=[1,8]<=[8], "
        'metadata={op_name="jit(f)/ all-to-all("}'
    )
    assert traffic(TEXT.replace("INSTRUCTION", one), DEVICES).received == {
        "all-gather": (32 + 16 + 1) * 7 / 8
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no text"),
        ("", "no text"),
        ("<html>", "among no devices"),
        (TEXT.replace("=8", "=4"), "among 4 devices; expected 8"),
        (TEXT.replace("ENTRY ", ""), "no ENTRY"),
        (TEXT.replace("INSTRUCTION", "f32[4]{0} all-gather-start(%p)"), "all-gather-start is unkn"),
        (TEXT.replace("INSTRUCTION", "f32[4]{0} send(%p)"), "collective send is unknown"),
        (TEXT.replace("INSTRUCTION", "u7[4]{0} all-gather(%p), replica_groups={}"), "dtype u7"),
        (TEXT.replace("INSTRUCTION", "() all-gather(%p), replica_groups={}"), "without a shape"),
        (TEXT.replace("INSTRUCTION", "f32[4]{0} all-gather(%p)"), "unknown form"),
        (
            TEXT.replace(
                "INSTRUCTION", "f32[4]{0} all-gather(%p), replica_groups=mesh['x'=8] {'y'}"
            ),
            "unknown form",
        ),
        (
            TEXT.replace(
                "INSTRUCTION", "f32[4]{0} all-gather(%p), replica_groups=mesh['x'=4] {'x'}"
            ),
            "unknown form",
        ),
        (TEXT.replace("INSTRUCTION", "f32[4]{0} call(%p), to_apply=%gone"), "gone is called"),
        (TEXT + "  %z = f32[4]{0} all-gather(%p)\n", "outside of an instruction"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_not_zero_bytes(text, message):
    with pytest.raises(UnreadableProgramError, match=message):
        traffic(text, DEVICES)


def test_the_helpers_parts_are_what_they_claim():
    assert "num_partitions=8" in program(functools.partial(jnp.add, 1)).partition("\n")[0]
