"""Workers of a Dask cluster that the user has started with Dask's own commands."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from experiments.config import ConfigError
from experiments.workers.farm import Workers
from experiments.workers.task import TrainingTask, carry_out_elsewhere

_SECONDS_TO_ANSWER = 10


@contextmanager
def dask(address: str) -> Iterator[Workers]:
    """Connects to the workers of a Dask cluster.

    Args:
        address: Address of the scheduler, such as `tcp://10.0.0.1:8786`.

    Raises:
        ConfigError: `distributed` is not installed, no scheduler answers at the address, or the
            scheduler has no workers.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise ConfigError(
            f'--dask {address}: needs the package distributed: pip install "jaxpool[cluster]"'
        ) from error
    try:
        client = Client(address, timeout=_SECONDS_TO_ANSWER)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--dask {address}: no scheduler answers there; start one with `dask scheduler`"
        ) from error
    with client:
        threads: Any = client.nthreads()
        count = len(threads)
        if not count:
            raise ConfigError(
                f"--dask {address}: the scheduler has no workers; start some with "
                f"`dask worker --nthreads 1 {address}`"
            )
        yield _Dask(client, count, KilledWorker)


class _Dask:
    """Runs as many tasks at the same time as the cluster has workers; Dask assigns the workers."""

    def __init__(self, client: Any, count: int, lost: type[Exception]):
        self.lost, self.count = lost, count
        self._executor = client.get_executor(pure=False)
        self._idle = list(range(count))

    def idle(self) -> int | None:
        """The number of a free slot, or None if there is none."""
        return self._idle.pop() if self._idle else None

    def submit(self, worker: int, task: TrainingTask) -> "Future[None]":
        """Sends a task to the cluster."""
        return self._executor.submit(carry_out_elsewhere, task)

    def release(self, worker: int, lost: bool) -> None:
        """Marks the slot of an ended task as free."""
        self._idle.append(worker)
