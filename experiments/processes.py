"""Training of one study by several processes, with `jax.distributed`.

Process 0 leads: it schedules the training, writes all files, and sends each call of
`experiments.parallel.Parallel` to the other processes. They make the same call at the same time, as
computations on a mesh of all devices require, until process 0 tells them to end. So they load the
dataset, but need neither the results folder nor the logic of a study.
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
    """Connects this process to its group, and waits for the other processes.

    Args:
        group: The group, from the command line.

    Raises:
        ConfigError: The processes cannot connect, or have different numbers of devices.
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
    """The context of a process in a group; on an error, the process exits without waiting.

    Args:
        group: The group; None for a single process, where the context does nothing.
    """
    if group is None:
        yield
        return
    stopping.end_with_parent(os.getppid())
    try:
        yield
    except typer.Exit as ended:
        if jax.distributed.is_initialized():  # at exit, JAX waits for the others
            _end_at_once(ended.exit_code)
        raise
    except jax.errors.JaxRuntimeError as error:
        if not _OF_A_LOST_PEER.search(str(error)):
            raise
        if group.processes != 2:
            # JAX's coordination service knows the lost process, and aborts this process soon.
            time.sleep(group.timeout + _GRACE_SECONDS)
        _end_at_once(supervision.LOST)


def _end_at_once(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def leads() -> bool:
    """Whether this is process 0 or the only process, which schedules training and writes files."""
    return jax.process_index() == 0


def introduce(plugins: Mapping[str, str]) -> None:
    """Sends the environment of process 0 to the other processes, which compare it with theirs.

    Args:
        plugins: Hashes of the plug-ins in use.

    Raises:
        RecordError: The environment of this process differs from that of process 0.
    """
    if jax.process_count() == 1:
        return
    here = environment.capture(plugins, divided=True).origin
    with _without_stdout():  # Gloo prints a message on stdout
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
    """Sends a message from process 0 to all other processes, if there are any."""
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
    """Tells the other processes to end; process 0 continues alone.

    Args:
        error: Whether the reason is an error of this process.
    """
    if jax.process_count() > 1 and jax.distributed.is_initialized():
        send({"do": "end", "error": error})
        jax.distributed.shutdown()


@contextmanager
def leading() -> Iterator[None]:
    """A context at whose end, also after an error, process 0 tells the other processes to end."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, CollectiveError):
        raise  # another process may be lost or elsewhere, so nothing can be sent
    except Exception:
        end(error=True)
        raise
    end()


def _broadcast(content: bytes) -> bytes:
    array = np.frombuffer(content, np.uint8)
    return bytes(np.asarray(multihost_utils.broadcast_one_to_all(array)))


def _add_up_over_all() -> None:
    """One all-reduce over the devices of all processes, which connects them."""
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
    """A context that discards what C++ libraries print on stdout."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # C's stdout is buffered
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
