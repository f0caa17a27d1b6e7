"""Training and scoring on examples that are read batch by batch; see `experiments.data.stream`.

The training step and the scores are those of `Programs`. The loop over steps is a Python loop here,
and part of the compiled program if the dataset is on the device.
"""

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.compilation import compile_network
from experiments.data.stream import Batch, Stream
from experiments.evaluation import evaluation_chunks
from experiments.executor import Executor, streamed
from experiments.programs import Programs, State

STEPS_AHEAD = 2
"""So many steps may wait for the device; each holds a batch."""


class Streaming(Executor):
    """Trains and scores one variant on one device; training examples are read batch by batch."""

    def _training_program(self, state: State, order: Any, size: int) -> Callable[..., Any]:
        key = ("train", size)
        if key not in self._compiled:
            self._compiled[key] = training(self.programs, state, order, self._data.train[0])
        return self._compiled[key]

    def _scoring_program(self, state: State, split: Any, size: int) -> Callable[..., Any]:
        if not streamed(split):
            return super()._scoring_program(state, split, size)
        evaluate = self.programs.evaluate
        if size > 1:
            evaluate = jax.vmap(evaluate, (0, None, None))

        def run(state: State, inputs: Any, labels: Any, _: np.ndarray) -> Any:
            key = ("score", size, len(labels))
            if key not in self._compiled:
                lowered = jax.jit(evaluate).lower(state, inputs, labels)
                self._compiled[key] = compile_network(lowered, "inference")
            return self._compiled[key](state, inputs, labels)

        def score(state: State, stream: Stream) -> Any:
            order, real = evaluation_chunks(len(stream))
            chunks = stream.batches(np.arange(len(stream)), order.shape[1])
            return summed_scores(chunks, real, lambda *chunk: run(state, *chunk))

        return score


def training(
    programs: Programs, state: State, order: tuple[jax.Array, jax.Array], stream: Stream
) -> Callable[..., tuple[State, jax.Array]]:
    """Compiles a training step, and returns a function equivalent to `Programs.round`.

    Args:
        programs: The variant's functions.
        state: A state; several seeds are stacked on a first axis.
        order: Examples and keys of a round; several seeds are stacked on a first axis.
        stream: The training examples.

    Returns:
        A function of state, examples per step, keys and stream that returns the state after the
        round and the mean loss (per seed).
    """
    several = order[0].ndim == 3
    batch = programs.batch_size
    step = jax.vmap(programs.step) if several else programs.step
    shapes = stream.shapes(batch)
    if several:
        seeds = len(order[0])
        shapes = [jax.ShapeDtypeStruct((seeds, *one.shape), one.dtype) for one in shapes]
    key = order[1][:, 0] if several else order[1][0]
    lowered = jax.jit(step, donate_argnums=0).lower(state, *shapes, key)
    compiled = compile_network(lowered, "training")

    def train(
        state: State, examples: jax.Array, keys: jax.Array, stream: Stream
    ) -> tuple[State, jax.Array]:
        losses: list[jax.Array] = []
        with ExitStack() as opened:
            sources = [
                opened.enter_context(closing(_batches(stream, one, batch)))
                for one in _of_each(examples)
            ]
            for number, parts in enumerate(zip(*sources, strict=True)):
                inputs, labels = _grouped(parts, several)
                key = keys[:, number] if several else keys[number]
                state, loss = compiled(state, inputs, labels, key)
                losses.append(loss)
                if number >= STEPS_AHEAD:
                    losses[number - STEPS_AHEAD].block_until_ready()
        return state, jnp.stack(losses).mean(0)

    return train


def summed_scores(
    chunks: Generator[tuple[Any, Any]],
    real: np.ndarray,
    run: Callable[[Any, Any, np.ndarray], Any],
) -> Any:
    """The scores of all examples, summed over chunks that are read one after the other.

    Args:
        chunks: Inputs and labels of each chunk; closed at the end.
        real: Which examples of each chunk count (chunks, examples); see `evaluation_chunks`.
        run: Computes the scores of a chunk from its inputs, its labels and its row of `real`.
    """
    total = None
    with closing(chunks):
        for (inputs, labels), counts in zip(chunks, real, strict=True):
            part = jax.device_get(run(inputs, labels, counts))
            total = part if total is None else jax.tree.map(np.add, total, part)
    return total


def _of_each(examples: jax.Array) -> np.ndarray:
    """The indices of the examples of every step and seed (seeds, steps, batch)."""
    orders = np.asarray(examples)
    return orders if orders.ndim == 3 else orders[None]


def _batches(stream: Stream, examples: np.ndarray, size: int) -> Generator[Batch]:
    return stream.batches(examples.ravel(), size)


def _grouped(parts: Any, several: bool) -> Any:
    """The batches of one step: one unchanged, or those of several seeds on a first axis."""
    return jax.tree.map(lambda *arrays: np.stack(arrays), *parts) if several else parts[0]
