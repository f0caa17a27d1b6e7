"""Compiles every operator for TPU and H100, which need not be present, and checks the programs.

`make test-targets` runs all cases in an environment that has the compilers. `make test-matrix` runs
the cases in `CORE` if that environment exists. Compilers can abort, so each case is a process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.operators import OPERATORS

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-targets" / "bin" / "python"
TARGETS = ["tpu-v5e", "tpu-v6e", "h100"]
EVERYTHING = Path(sys.prefix) == PYTHON.parents[1]

# Ten operators that `make test-matrix` compiles.
CORE = {
    *("max_pool-overlapping", "max_pool-tiling", "min_pool", "sum_pool", "avg_pool", "blur_pool"),
    *("soft_pool", "adaptive_max_pool", "roi_align", "global_max_pool"),
}

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="`make targets` installs the compilers")

CODE = """
import functools, json, sys
import jax
from experiments import targets
from tests import modes
from tests.operators import OPERATORS

target, name, *dtypes = sys.argv[1:]
(operator,) = [row for row in OPERATORS if str(row) == name]
result = {}
for dtype in dtypes:
    x = jax.ShapeDtypeStruct((8, *operator.shape[1:]), dtype)
    for mode, function in (
        ("forward", operator), ("gradient", functools.partial(modes.value_and_gradient, operator))
    ):
        compiled = targets.compile_for(target, function, x)
        result[f"{dtype} {mode}"] = vars(targets.estimate(target, compiled))
        text = compiled.as_text()
        result[f"{dtype} {mode}"]["conditional"] = " conditional(" in text
print(json.dumps(result))
"""


DETERMINISTIC = """
import collections, functools, json, re, sys
import jax
from experiments import targets
from tests import modes
from tests.operators import OPERATORS

plain = {"xla_gpu_enable_triton_gemm": False}
every = {}
for operator in OPERATORS:
    for dtype in sys.argv[1:]:
        x = jax.ShapeDtypeStruct((8, *operator.shape[1:]), dtype)
        function = functools.partial(modes.value_and_gradient, operator)
        programs = []
        for flags in (plain, {**plain, "xla_gpu_exclude_nondeterministic_ops": True}):
            text = targets.compile_for("h100", function, x, **flags).as_text()
            instructions = re.findall(r"= (\\(?\\w+)\\[.*? ([a-z-]+)\\(", text)
            programs.append(collections.Counter(" ".join(found) for found in instructions))
        free, restricted = programs
        changed = (free - restricted) + (restricted - free)
        floats = [i for i in free if i.endswith(" scatter") and "f" in i.split()[0]]
        every[f"{operator} {dtype}"] = [len(free), sorted(changed), floats]
print(json.dumps(every))
"""


@pytest.mark.thorough
def test_programs_for_gpu_give_the_same_result_in_every_run():
    """XLA finds nothing to replace when it must leave out what adds up floats in no fixed order.

    XLA would expand such a scatter into loops or sorts, and refuse what it cannot expand.
    """
    dtypes = ["float32", "bfloat16"] if EVERYTHING else ["float32"]
    programs = answer(DETERMINISTIC, *dtypes)
    assert len(programs) == len(OPERATORS) * len(dtypes)
    for name, (instructions, changed, scatters) in programs.items():
        assert instructions > 1, name
        assert not changed, (name, changed)
        assert not scatters, (name, scatters)


DIVIDED = """
import json, re, sys
import jax, numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P
import jaxpool
from experiments import targets

devices = np.array(targets.devices(sys.argv[1], 8)).reshape(2, 4)
mesh = Mesh(devices, ("a", "b"), axis_types=(AxisType.Auto,) * 2)
gathered = {}
for name, function in {
    "max": lambda x: jaxpool.max_pool(x, 3, strides=2, padding=1),
    "wide max": lambda x: jaxpool.max_pool(x, 17, strides=1, padding="SAME"),
    "mean": lambda x: jaxpool.avg_pool(x, 3, strides=1, padding="SAME"),
    "adaptive max": lambda x: jaxpool.adaptive_max_pool(x, 7),
    "blur": jaxpool.blur_pool,
}.items():
    for spec in (P(None, "b"), P("a", "b")):
        sharding = NamedSharding(mesh, spec)
        x = jax.ShapeDtypeStruct((8, 64, 64, 128), np.float32, sharding=sharding)
        gradient = jax.grad(lambda x: (function(x) ** 2).sum())
        for mode, g in (("", function), (" gradient", gradient)):
            out = sharding if mode else None
            text = jax.jit(g, out_shardings=out).lower(x).compile().as_text()
            whole = re.findall(r"\\[\\d+,64,64,\\d+\\]\\S* all-gather", text)
            gathered[f"{name}{mode} {spec}"] = len(whole)
print(json.dumps(gathered))
"""


@pytest.mark.thorough
@pytest.mark.parametrize("target", ["tpu-v5e", "h100"])
def test_programs_of_eight_devices_gather_no_input(target):
    gathered = answer(DIVIDED, target)
    assert len(gathered) == 20
    assert not any(gathered.values()), gathered


def compiled(target, operator, dtypes):
    return answer(CODE, target, str(operator), *dtypes)


def answer(code, *arguments):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }
    ended = subprocess.run(
        [PYTHON, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout.splitlines()[-1])


ROWS = [row for row in OPERATORS if EVERYTHING or str(row) in CORE]


@pytest.mark.thorough
@pytest.mark.parametrize("target", TARGETS if EVERYTHING else ["tpu-v5e", "h100"])
@pytest.mark.parametrize("operator", ROWS, ids=str)
def test_every_operator_compiles(operator, target):
    dtypes = ["float32", "bfloat16"] if EVERYTHING else ["float32"]
    programs = compiled(target, operator, dtypes)
    assert len(programs) == 2 * len(dtypes)
    boxes = "roi" in str(operator)
    for program in programs.values():
        assert program["seconds"] > 0
        assert program["kernels"] > 0
        # (The conditional of boxes tests for infinities; it does not isolate a step.)
        assert not program["conditional"] or boxes
