"""Devices that are not here: compiling for them, and what their compilers estimate.

XLA compiles for a device from its description alone. What comes out is an estimate: the TPU
compiler's own of the whole program, and for a GPU the sum over the kernels that XLA's cost model
gives. It is never ranked with measured times.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from experiments import environment
from experiments.config import ConfigError
from experiments.config.training import Target
from experiments.records import Environment

_BANDWIDTH = 3_352_320_000_000  # of an H100's memory, in bytes a second
_H100 = f"""
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448 threads_per_core_limit: 2048
  core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: {_BANDWIDTH} l2_cache_size: 52428800
  clock_rate_ghz: 1.98 device_memory_size: 84942979072 registers_per_core_limit: 65536
  registers_per_block_limit: 65536 cuda_compute_capability {{ major: 9 }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
"""

ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
"""What a process needs in its environment to compile for these devices on a machine without any."""


TITLES: dict[Target, str] = {"tpu-v5e": "TPU v5e", "tpu-v6e": "TPU v6e", "h100": "NVIDIA H100"}
"""What tables call the devices."""

_PACKAGES = ("jax", "jaxlib", "libtpu", "jax-cuda13-pjrt")


def python(checkout: Path, asked_by: str = "--target") -> str:
    """The interpreter that has the compilers: `make targets` makes it.

    Args:
        checkout: The folder in which it made it.
        asked_by: What needs it, for the error message.

    Raises:
        ConfigError: It is not there.
    """
    found = checkout / ".venv-targets" / "bin" / "python"
    if not found.exists():
        raise ConfigError(f"{asked_by}: the compilers are not installed; run `make targets` first")
    return str(found)


def describe(target: Target, python: str, here: Environment) -> Environment:
    """The environment of estimates: the target, and the versions of its compiler.

    Args:
        target: The device.
        python: The interpreter that has the compilers.
        here: The machine on which they run.
    """
    code = {"jaxpool code": here.versions["jaxpool code"]}
    versions = environment.versions_in(python, _PACKAGES) | code
    return here.model_copy(update={"device": TITLES[target], "versions": versions})


@dataclass(frozen=True)
class Estimate:
    """What the compiler says of a program.

    Attributes:
        seconds: Time of one call.
        bytes_moved: To and from the device's memory.
        kernels: How many are started one after the other.
        temporaries: Bytes of memory beside arguments and results.
    """

    seconds: float
    bytes_moved: int
    kernels: int
    temporaries: int


def devices(target: Target, count: int = 1) -> list[Any]:
    """Descriptions of so many devices of one kind, beside each other."""
    if target == "h100":
        topology = topologies.get_topology_desc(
            "h100", platform="cuda", target_config=_H100, topology=f"1x1x{count}"
        )
    else:
        shape = "2x4" if count > 4 else "2x2"
        name = f"{target.removeprefix('tpu-')}:{shape}"
        topology = topologies.get_topology_desc(name, platform="tpu")
    return list(topology.devices)[:count]


def compile_for(target: Target, function: Callable[..., Any], *operands: Any, **flags: bool) -> Any:
    """The compiled program of `jax.jit(function)`.

    Args:
        target: The device.
        function: What to compile.
        operands: Pytrees of arrays, or of `jax.ShapeDtypeStruct`s.
        flags: Further flags of XLA. (`xla_gpu_exclude_nondeterministic_ops` tunes Triton's products
            of matrices on the device: also pass `xla_gpu_enable_triton_gemm=False`.)
    """
    sharding = SingleDeviceSharding(devices(target)[0])
    placed = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), operands
    )
    options: dict[str, str | bool] = {**flags}
    if target == "h100":
        options["xla_gpu_collect_cost_model_stats"] = True
    return jax.jit(function).lower(*placed).compile(compiler_options=options)


def estimate(target: Target, compiled: Any) -> Estimate:
    """What the compiler says of a program that it has compiled for this target."""
    text = compiled.as_text()
    entry = text[text.index("\nENTRY ") :]
    if target == "h100":
        # XLA's cost model writes microseconds of each kernel into the program.
        costs = [_microseconds(line) for line in entry.splitlines() if '"exec_time_us":' in line]
        seconds, kernels = sum(time for time, _ in costs) / 1e6, len(costs)
        moved = sum(memory for _, memory in costs) / 1e6 * _BANDWIDTH
    else:
        cost = compiled.cost_analysis()
        # Each of these custom calls, which cost nothing, counts as -1 s.
        seconds = cost["optimal_seconds"] + text.count('custom_call_target="ConcatBitcast"')
        kernels, moved = len(re.findall(_STARTED, entry)), cost["bytes accessed"]
    temporaries = compiled.memory_analysis().temp_size_in_bytes
    return Estimate(seconds, int(moved), kernels, temporaries)


def _microseconds(line: str) -> tuple[float, float]:
    """Of a kernel: its time, and the part of it that memory takes."""
    names = ("exec_time_us", "memory_access_time_us")
    time, memory = (re.findall(f'"{name}":([0-9.e+-]+)', line)[0] for name in names)
    return float(time), float(memory)


_STARTED = (
    r"(?m) = [^=\n]*? (?:fusion|copy|copy-start|convolution|reduce-window|select-and-scatter|reduce"
    r"|transpose|pad|slice|gather|scatter|dynamic-slice|dynamic-update-slice|concatenate|while"
    r"|all-gather|all-reduce|collective-permute)\("
)
