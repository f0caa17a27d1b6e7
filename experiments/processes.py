"""Several processes that train one study together, by `jax.distributed`.

Process 0 leads: it decides what is trained, writes all files, and sends each call of
`experiments.parallel.Parallel` to the others, which make the same call at the same time, as
computations on a mesh of all devices must be. They follow until they are told to end. So they need
neither the results folder nor a copy of the logic that walks through a study; they load the dataset
themselves.
"""

import ctypes
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import typer
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from experiments import environment, stopping, supervision
from experiments.config import ConfigError
from experiments.records import Origin, RecordError
from experiments.sharded_checkpoint import CollectiveError
from experiments.supervision import Group

_BLOCK = 1024
"""Bytes of a message's first part. A message has a first part of this size and perhaps a payload,
padded to a power of two: XLA compiles a broadcast for every size."""


_OF_A_LOST_PEER = re.compile(
    r"gloo|nccl|unavailable|deadline|heartbeat|coordination|connection (closed|reset)",
    re.IGNORECASE,
)
"""In what a collective operation says if it fails because a process is gone."""
_GRACE_SECONDS = 15


def connect(group: Group) -> None:
    """Makes this process one of a group, and waits for the others.

    Args:
        group: The group, as the command line gives it.

    Raises:
        ConfigError: The group cannot meet, or its processes do not have as many devices each.
    """
    if "JAX_CPU_COLLECTIVES_IMPLEMENTATION" not in os.environ:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    found = group.address == "auto"
    try:
        jax.distributed.initialize(
            coordinator_address=None if found else group.address,
            num_processes=None if found else group.processes,
            process_id=None if found else group.process,
            cluster_detection_method=None if found else "deactivate",
            heartbeat_timeout_seconds=group.timeout,
            initialization_timeout=group.start_timeout,
        )
    except (RuntimeError, ValueError) as error:  # JAX's JaxRuntimeError is a RuntimeError
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(supervision.not_met(group, first)) from error
    if jax.device_count() != jax.local_device_count() * jax.process_count():
        raise ConfigError(
            f"--coordinator {group.address}: each process must have as many devices as the others; "
            f"this one has {jax.local_device_count()} of {jax.device_count()}"
        )


@contextmanager
def member(group: Group | None) -> Iterator[None]:
    """What a process does as one of a group; if it fails, the process ends without waiting.

    Args:
        group: The group; None for a process on its own, of which nothing is different.
    """
    if group is None:
        yield
        return
    stopping.end_with_parent(os.getppid())
    try:
        yield
    except typer.Exit as ended:
        if jax.distributed.is_initialized():  # at exit, JAX would wait for the other processes
            _end_at_once(ended.exit_code)
        raise
    except jax.errors.JaxRuntimeError as error:
        if not _OF_A_LOST_PEER.search(str(error)):
            raise
        if group.processes != 2:
            # JAX's coordination service, which knows who is lost, aborts this process soon.
            time.sleep(group.timeout + _GRACE_SECONDS)
        _end_at_once(supervision.LOST)


def _end_at_once(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def leads() -> bool:
    """Whether this is process 0, or the only one: it decides what is trained, and writes files."""
    return jax.process_index() == 0


def introduce(plugins: Mapping[str, str]) -> None:
    """Lets process 0 say what it runs on, and the others compare.

    Args:
        plugins: Hashes of the plug-ins in use.

    Raises:
        RecordError: This process is another environment than process 0.
    """
    if jax.process_count() == 1:
        return
    here = environment.capture(plugins, divided=True).origin
    with _without_stdout():  # Gloo says there that it has connected
        _add_up_over_all()
        if leads():
            send({"do": "compare"}, here.model_dump_json().encode())
            return
        lead = Origin.model_validate_json(receive()[1])
    for key, value in here:
        if getattr(lead, key) != value:
            raise RecordError(
                f"process {jax.process_index()}: is another environment than process 0, and one "
                f"results folder has one: {key} is {value!r} here, and {getattr(lead, key)!r} there"
            )


def send(header: Mapping[str, Any], payload: bytes = b"") -> None:
    """Sends a message from process 0 to all others; nothing where it is the only one."""
    if jax.process_count() > 1:
        first = json.dumps({**header, "payload": len(payload)}).encode()
        _broadcast(first.ljust(_BLOCK))
        if payload:
            _broadcast(payload.ljust(_padded(len(payload)), b"\0"))


def receive() -> tuple[dict[str, Any], bytes]:
    """Waits for the next message of process 0: its header and its payload."""
    header = json.loads(_broadcast(bytes(_BLOCK)))
    size = header.pop("payload")
    return header, _broadcast(bytes(_padded(size)))[:size] if size else b""


def end(error: bool = False) -> None:
    """Lets the other processes end; this one goes on alone.

    Args:
        error: Whether it is because of an error of this process.
    """
    if jax.process_count() > 1 and jax.distributed.is_initialized():
        send({"do": "end", "error": error})
        jax.distributed.shutdown()


@contextmanager
def leading() -> Iterator[None]:
    """Ends the other processes when process 0 has done what is inside, also if that fails."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, CollectiveError):
        raise  # perhaps since another process is lost or elsewhere, and nothing can be sent
    except Exception:
        end(error=True)
        raise
    end()


def _broadcast(content: bytes) -> bytes:
    array = np.frombuffer(content, np.uint8)
    return bytes(np.asarray(multihost_utils.broadcast_one_to_all(array)))


def _add_up_over_all() -> None:
    """One sum over the devices of all processes, which connects them."""
    devices = jax.make_mesh((jax.device_count(),), ("all",), axis_types=(AxisType.Auto,))
    ones = jax.make_array_from_callback(
        (devices.size,),
        NamedSharding(devices, PartitionSpec("all")),
        lambda index: np.ones(devices.size, np.float32)[index],
    )
    everywhere = NamedSharding(devices, PartitionSpec())
    jax.block_until_ready(jax.jit(jnp.sum, out_shardings=everywhere)(ones))


def _padded(size: int) -> int:
    return max(1 << (size - 1).bit_length(), _BLOCK)


@contextmanager
def _without_stdout() -> Iterator[None]:
    """What libraries in C++ print goes nowhere meanwhile."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what was printed waits in a buffer unless on a terminal
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
