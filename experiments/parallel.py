"""Data-parallel training: the batch of each step divided among a mesh of all devices.

Parameters, statistics and optimizer state are replicated on every device, or divided among the
devices with `training.shard_state`. Each device has an equal part of every batch. XLA sums
gradients and normalisation statistics over the devices, so the results equal those of the whole
batch on one device, up to the order of sums. Evaluation divides its chunks of examples in the same
way.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from experiments import environment, sharded_checkpoint
from experiments.clock import Stopwatch
from experiments.compilation import compile_network
from experiments.config import ConfigError, Study
from experiments.data import Dataset, Stream
from experiments.evaluation import evaluation_chunks
from experiments.executor import Compilations, Device, Executor, examples, held, streamed
from experiments.placement import divided, mesh, over_batch, read_divided, replicated
from experiments.programs import State
from experiments.state_sharding import gathered, state_shardings
from experiments.streaming import STEPS_AHEAD, summed_scores

T = TypeVar("T")


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
        watch = Stopwatch()
        with watch:
            batches = divided(self._data.train, np.asarray(order), self._mesh)
        program = self._program("training", steps, self._round, (state, key_data, *batches))
        with watch:
            state, loss = jax.block_until_ready(program(state, key_data, *batches))
        return state, np.atleast_1d(loss), watch.seconds

    def _train_streamed(
        self, state: State, order: np.ndarray, keys: jax.Array
    ) -> tuple[State, np.ndarray, float]:
        """`train` with batches that are read one by one while the devices compute."""
        key_data, losses = np.asarray(jax.random.key_data(keys)), []
        whole, compilation = Stopwatch(), Stopwatch()
        with closing(read_divided(self._data.train[0], order, self._mesh)) as batches, whole:
            for key, batch in zip(key_data, batches, strict=True):
                arguments = (state, replicated(key, self._mesh), *batch)
                with compilation:
                    program = self._program("training", 1, self._step, arguments)
                state, loss = program(*arguments)
                losses.append(loss)
                if len(losses) > STEPS_AHEAD:
                    losses[-1 - STEPS_AHEAD].block_until_ready()
            jax.block_until_ready(state)
        seconds = whole.seconds - compilation.seconds
        return state, np.atleast_1d(np.mean(jax.device_get(losses), dtype=np.float32)), seconds

    def score(self, state: State, size: int, split: tuple[Any, ...]) -> Any:
        """The scores of one seed on one split; each chunk is divided among the devices."""
        del size
        if streamed(split):
            total = self._score_streamed(state, split[0])
        else:
            if id(split) not in self._placed:
                order, real = evaluation_chunks(examples(split), self._mesh.size)
                self._placed[id(split)] = (*divided(split, order, self._mesh), real)
            total = self._scores(state, *self._placed[id(split)])
        return jax.tree.map(np.atleast_1d, jax.device_get(total))

    def _score_streamed(self, state: State, stream: Stream) -> Any:
        """The scores of all examples of a stream, read chunk by chunk."""
        order, real = evaluation_chunks(len(stream), self._mesh.size)

        def run(*chunk: Any) -> Any:
            return self._scores(state, *jax.tree.map(lambda array: array[None], chunk))

        return summed_scores(read_divided(stream, order, self._mesh), real, run)

    def _scores(self, state: State, inputs: Any, labels: Any, real: np.ndarray) -> Any:
        """The scores of chunks of examples (chunks, examples, ...), summed over all processes."""
        arguments = (state, inputs, labels, replicated(real, self._mesh))
        return self._program("inference", real.shape, self._evaluate, arguments)(*arguments)

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

    def _evaluate(self, state: State, inputs: Any, labels: Any, real: Any) -> Any:
        if self._sharded:
            whole = gathered((state.parameters, state.statistics), self._mesh)
            state = State(*whole, state.optimizer)
        return self.programs.evaluate_chunks(state, inputs, labels, real, divide=self._divide)

    def _divide(self, batch: T) -> T:
        """A batch (N, ...) inside a program, divided among the devices."""
        return jax.lax.with_sharding_constraint(batch, over_batch(self._mesh))

    def _program(
        self, purpose: Any, size: Hashable, function: Callable[..., Any], arguments: tuple[Any, ...]
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
