"""Data-parallel training: the batch of each step divided among a mesh of all devices.

Parameters, statistics and optimizer state are replicated on every device, or divided among the
devices with `training.shard_state`. Each device has an equal part of every batch. XLA sums
gradients and normalisation statistics over the devices, so the results equal those of the whole
batch on one device, up to the order of sums. The mesh spans the devices of all processes. A process
reads and holds only the examples of its own devices.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments import environment, sharded_checkpoint
from experiments.compilation import compile_network
from experiments.config import ConfigError, Study
from experiments.data import Dataset, Stream
from experiments.executor import Compilations, Device, Executor, held, streamed
from experiments.programs import State
from experiments.state_sharding import gathered, state_shardings
from experiments.streaming import STEPS_AHEAD, score

T = TypeVar("T")
_AXIS = "batch"


def mesh() -> Mesh:
    """All devices of all processes, along one axis."""
    return jax.make_mesh((jax.device_count(),), (_AXIS,), axis_types=(AxisType.Auto,))


def refuse_uneven(study: Study) -> None:
    """Checks that the devices divide the batch evenly.

    Raises:
        ConfigError: The number of devices does not divide `training.batch_size`.
    """
    size, devices = study.training.batch_size, jax.device_count()
    if study.training.data_parallel and size % devices:
        raise ConfigError(
            f"training.batch_size = {size}: must be a multiple of {devices}, for "
            f"training.data_parallel divides each batch among {environment.mesh()}"
        )


def host(dataset: Dataset) -> Device:
    """A dataset for `Parallel`, in host memory; each device later gets its part of every batch."""
    splits = (dataset.train, dataset.test, dataset.validation)
    return Device(*(None if s is None else held(s, lambda arrays: arrays) for s in splits))  # type: ignore[arg-type]


def replicated(tree: T, devices: Mesh) -> T:
    """Replicates arrays on all devices of a mesh.

    Args:
        tree: A pytree of arrays with the same values in each process.
        devices: The mesh.
    """
    sharding = NamedSharding(devices, PartitionSpec())

    def place(array: Any) -> jax.Array:
        whole: Any = np.asarray(array)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(place, tree)


def divided(tree: T, order: np.ndarray, devices: Mesh) -> T:
    """The examples of some batches, each batch divided among the devices of a mesh.

    Args:
        tree: A pytree of arrays of all examples (N, ...), on the host.
        order: Which examples each batch takes (steps, batch).
        devices: The mesh, of a size that divides `batch`.

    Returns:
        Arrays (steps, batch, ...), sharded along the batch. This process gathers only the examples
        that its own devices hold.
    """
    sharding = NamedSharding(devices, PartitionSpec(None, _AXIS))

    def gather(array: Any) -> jax.Array:
        def part(index: Any) -> np.ndarray:
            return np.asarray(array[order[index[:2]]])

        return jax.make_array_from_callback((*order.shape, *array.shape[1:]), sharding, part)

    return jax.tree.map(gather, tree)


def read_divided(
    stream: Stream, order: np.ndarray, devices: Mesh
) -> Generator[tuple[jax.Array, jax.Array]]:
    """Batches of a stream, each divided among the devices of a mesh.

    Args:
        stream: The examples.
        order: Which examples each batch takes (steps, batch).
        devices: The mesh, of a size that divides `batch`.

    Yields:
        Inputs and labels of a batch, sharded along the batch axis. This process reads only the
        examples that its own devices hold.
    """
    sharding = NamedSharding(devices, PartitionSpec(_AXIS))
    parts = sharding.addressable_devices_indices_map(order.shape[1:]).values()
    rows = np.unique([np.arange(order.shape[1])[index] for index in parts])
    with closing(stream.batches(order[:, rows].ravel(), len(rows))) as batches:
        for batch in batches:
            yield jax.tree.map(lambda array: _assembled(array, rows, order, sharding), batch)


def _assembled(
    array: np.ndarray, rows: np.ndarray, order: np.ndarray, sharding: NamedSharding
) -> jax.Array:
    """A sharded batch from the rows that this process has read."""
    shape = (order.shape[1], *array.shape[1:])

    def part(index: Any) -> np.ndarray:
        return array[np.searchsorted(rows, np.arange(order.shape[1])[index[0]])]

    return jax.make_array_from_callback(shape, sharding, part)


class Parallel(Executor):
    """Trains and scores one variant on all devices, one seed at a time.

    Args:
        study: The study.
        variant: One of its variants.
        data: The dataset, of `host`.
    """

    def __init__(
        self, study: Study, variant: str, data: Device, compiled: Compilations | None = None
    ):
        super().__init__(study, variant, data, compiled)
        self._mesh = mesh()
        self._placed: dict[int, Any] = {}
        self._sharded = study.of(variant).training.shard_state
        self.like = jax.eval_shape(self.programs.init, 0)
        self._shardings = state_shardings(self.like, self._mesh, shard=self._sharded)

    def start(self, path: Path, seeds: Sequence[int], fingerprint: str) -> tuple[State, int]:
        """The state to resume from. A sharded state is never whole on any device."""
        if not self._sharded:
            return super().start(path, seeds, fingerprint)
        found = sharded_checkpoint.find(path, self.like, fingerprint=fingerprint)
        return (self.load(found[0]), found[1]) if found else (self.initial(seeds[0]), 0)

    def save(self, path: Path, state: State, *, epoch: int, fingerprint: str) -> None:
        """Replaces the checkpoint of one seed."""
        if not self._sharded:
            super().save(path, state, epoch=epoch, fingerprint=fingerprint)
            return
        self.write(sharded_checkpoint.arrays_folder(path, epoch), state)
        sharded_checkpoint.commit(path, state, epoch=epoch, fingerprint=fingerprint)

    def initial(self, seed: int) -> State:
        """The sharded state before training."""
        return jax.jit(self.programs.init, out_shardings=self._shardings)(seed)

    def load(self, folder: Path) -> State:
        """Reads a sharded state that `write` has written."""
        return sharded_checkpoint.read(folder, self.like, self._shardings)

    def write(self, folder: Path, state: State) -> None:
        """Writes a sharded state."""
        sharded_checkpoint.write(folder, state)

    def place(self, state: State) -> State:
        """The state on every device."""
        return replicated(state, self._mesh)

    def train(
        self, state: State, seeds: Sequence[int], first: int, steps: int
    ) -> tuple[State, np.ndarray, float]:
        """Trains one seed for some steps; the time includes the transfer of examples to devices."""
        order, keys = self._order(seeds, first, steps)
        if streamed(self._data.train):
            return self._train_streamed(state, np.asarray(order), keys)
        key_data = replicated(jax.random.key_data(keys), self._mesh)
        start = time.perf_counter()
        batches = divided(self._data.train, np.asarray(order), self._mesh)
        seconds = time.perf_counter() - start
        program = self._program("training", steps, self._round, (state, key_data, *batches))
        start = time.perf_counter()
        state, loss = jax.block_until_ready(program(state, key_data, *batches))
        return state, np.atleast_1d(loss), seconds + time.perf_counter() - start

    def _train_streamed(
        self, state: State, order: np.ndarray, keys: jax.Array
    ) -> tuple[State, np.ndarray, float]:
        """`train` with batches that are read one by one while the devices compute."""
        key_data, losses = np.asarray(jax.random.key_data(keys)), []
        with closing(read_divided(self._data.train[0], order, self._mesh)) as batches:
            start = time.perf_counter()
            for key, batch in zip(key_data, batches, strict=True):
                arguments = (state, replicated(key, self._mesh), *batch)
                waited = time.perf_counter()
                program = self._program("training", 1, self._step, arguments)
                start += time.perf_counter() - waited  # compilation is not timed
                state, loss = program(*arguments)
                losses.append(loss)
                if len(losses) > STEPS_AHEAD:
                    losses[-1 - STEPS_AHEAD].block_until_ready()
            jax.block_until_ready(state)
            seconds = time.perf_counter() - start
        return state, np.atleast_1d(np.mean(jax.device_get(losses), dtype=np.float32)), seconds

    def score(self, state: State, size: int, split: tuple[Any, ...]) -> Any:
        """The scores of one seed on one split; the devices share the examples.

        Every process reads all examples of a split that is streamed.
        """
        del size
        if streamed(split):
            return jax.tree.map(np.atleast_1d, score(state, split[0], self._score_chunk))
        if id(split) not in self._placed:
            self._placed[id(split)] = replicated(split, self._mesh)
        placed = self._placed[id(split)]
        return jax.tree.map(np.atleast_1d, jax.device_get(self._scores(state, *placed)))

    def _score_chunk(self, state: State, inputs: Any, labels: Any) -> Any:
        return self._scores(state, *replicated((inputs, labels), self._mesh))

    def _scores(self, state: State, inputs: Any, labels: Any) -> Any:
        """The scores of examples that are replicated on every device."""
        count = len(jax.tree.leaves(labels)[0])
        program = self._program("inference", count, self._evaluate, (state, inputs, labels))
        return program(state, inputs, labels)

    def _round(
        self, state: State, key_data: jax.Array, inputs: Any, labels: Any
    ) -> tuple[State, jax.Array]:
        """`Programs.round` for batches that are already on the devices."""

        def step(state: State, turn: tuple[jax.Array, Any]) -> tuple[State, jax.Array]:
            key_data, batch = turn
            return self._step(state, key_data, *batch)

        state, losses = jax.lax.scan(step, state, (key_data, (inputs, labels)))
        return state, losses.mean()

    def _step(
        self, state: State, key_data: jax.Array, inputs: Any, labels: Any
    ) -> tuple[State, jax.Array]:
        """`Programs.step` for a batch divided among the devices."""
        key = jax.random.wrap_key_data(key_data, impl="threefry2x32")
        batch = self._divide((inputs, labels))
        if not self._sharded:
            return self.programs.step(state, *batch, key)
        gather = partial(gathered, devices=self._mesh)
        state, loss = self.programs.step(state, *batch, key, gather=gather)
        return jax.lax.with_sharding_constraint(state, self._shardings), loss

    def _evaluate(self, state: State, inputs: Any, labels: Any) -> Any:
        if self._sharded:
            whole = gathered((state.parameters, state.statistics), self._mesh)
            state = State(*whole, state.optimizer)
        return self.programs.evaluate(
            state, inputs, labels, multiple=self._mesh.size, divide=self._divide
        )

    def _divide(self, batch: T) -> T:
        """A batch (N, ...) inside a program, divided among the devices."""
        return jax.lax.with_sharding_constraint(
            batch, NamedSharding(self._mesh, PartitionSpec(_AXIS))
        )

    def _program(
        self, purpose: Any, size: int, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Callable[..., Any]:
        """A program, compiled at first use.

        A training program returns the state with the sharding of its argument. All other results
        are replicated.
        """
        if (purpose, size) not in self._compiled:
            everywhere = NamedSharding(self._mesh, PartitionSpec())
            trains = purpose == "training"
            results: Any = (self._shardings, everywhere) if trains else everywhere
            donated = (0,) if trains else ()
            program: Any = jax.jit(function, out_shardings=results, donate_argnums=donated)
            self._compiled[purpose, size] = compile_network(program.lower(*arguments), purpose)
        return self._compiled[purpose, size]
