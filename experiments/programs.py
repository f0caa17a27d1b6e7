"""The pure functions of one variant: initial state, training step, round, prediction, scores.

All trained values are in a `State`, a pytree. The functions take a state and return a state, so
they compose with `jit`, `scan` and `vmap`. Training and cost measurement run the same step.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.augmentation import augmented
from experiments.config import Study
from experiments.config.training import Augmentation
from experiments.evaluation import evaluation_chunks
from experiments.optimizers import build_optimizer, learning_rate
from experiments.precision import compute_in_bfloat16, inputs_in_bfloat16, outputs_in_float32
from experiments.tasks import TaskOptions

Sums = dict[str, tuple[jax.Array, jax.Array]]
"""For each metric, the sum of `value * weight` and the sum of `weight` over examples."""


class State(NamedTuple):
    """The values that training changes.

    Attributes:
        parameters: The parameters that the optimiser updates.
        statistics: Variables that the network updates itself, such as running means.
        optimizer: The state of the optimiser.
    """

    parameters: Any
    statistics: Any
    optimizer: Any


@dataclass(frozen=True)
class Programs:
    """The functions of one variant.

    Attributes:
        network: Builds the network from its random keys.
        structure: The network without its arrays.
        task: Defines the loss and the scores.
        augmentation: Random changes of training examples.
        optimizer: The update rule, including the schedule.
        learning_rate: The learning rate after a number of steps.
        batch_size: Examples per step.
        steps_per_epoch: Steps per epoch. The remainder of the examples is skipped; it differs
            between epochs.
        bfloat16: Whether the network computes in bfloat16; see `experiments.precision`.
    """

    network: Callable[[nnx.Rngs], nnx.Module]
    structure: Any
    task: TaskOptions
    augmentation: Augmentation
    optimizer: optax.GradientTransformation
    learning_rate: optax.Schedule
    batch_size: int
    steps_per_epoch: int
    bfloat16: bool = False

    @classmethod
    def build(cls, study: Study, variant: str) -> "Programs":
        """The programs for a variant of a study."""
        study = study.of(variant)
        info, slots, head = study.dataset.describe(), study.slots(variant), study.head(variant)

        def network(rngs: nnx.Rngs) -> nnx.Module:
            return study.model.build(info, slots, head, rngs)

        steps = study.steps_per_epoch
        return cls(
            network=network,
            structure=nnx.split(nnx.eval_shape(lambda: network(nnx.Rngs(0))))[0],
            task=study.scored_for,
            augmentation=study.training.augmentation,
            optimizer=build_optimizer(study.training, steps),
            learning_rate=learning_rate(study.training, steps),
            batch_size=study.training.batch_size,
            steps_per_epoch=steps,
            bfloat16=study.training.precision == "bfloat16",
        )

    def init(self, seed: int) -> State:
        """The initial state, a function of the seed only.

        Call it outside `jit`: then operations are compiled one by one, and all variants share the
        compiled random generator, which is slow to compile.
        """
        network = self.network(nnx.Rngs(_key(seed)))
        _, parameters, statistics = nnx.split(network, nnx.Param, ...)
        parameters, statistics = nnx.to_pure_dict(parameters), nnx.to_pure_dict(statistics)
        return State(parameters, statistics, self.optimizer.init(parameters))

    def step(
        self,
        state: State,
        inputs: Any,
        labels: Any,
        key: jax.Array,
        *,
        gather: Callable[[Any], Any] = lambda tree: tree,
    ) -> tuple[State, jax.Array]:
        """One step of training.

        Args:
            state: The state before the step.
            inputs: A batch of inputs; see `experiments.data.Split`.
            labels: The labels of the inputs.
            key: The random key of augmentation and of random poolings.
            gather: Replicates a pytree of parameters or statistics that devices share.

        Returns:
            The state after the step, and the mean loss of the batch before the step.
        """
        inputs = augmented(inputs, self.augmentation, key)

        def loss(parameters: Any) -> tuple[jax.Array, Any]:
            network = self._network(gather(parameters), gather(state.statistics))
            losses = self.task.loss(self._outputs(network, inputs, train=True, key=key), labels)
            _, _, statistics = nnx.split(network, nnx.Param, ...)
            return losses.mean(), gather(nnx.to_pure_dict(statistics))

        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters)
        updates, optimizer = self.optimizer.update(gradient, state.optimizer, state.parameters)
        return State(optax.apply_updates(state.parameters, updates), statistics, optimizer), value

    def round(
        self, state: State, order: jax.Array, keys: jax.Array, inputs: Any, labels: Any
    ) -> tuple[State, jax.Array]:
        """Several steps of training, for example one epoch.

        Args:
            state: The state before the steps.
            order: The indices of the examples of each step (steps, batch); see `data_order`.
            keys: The random key of each step (steps,).
            inputs: All training inputs.
            labels: The labels of all inputs.

        Returns:
            The state after the steps, and the mean of their losses.
        """

        def step(state: State, turn: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
            chosen, key = turn
            batch, answers = jax.tree.map(lambda a: a[chosen], (inputs, labels))
            return self.step(state, batch, answers, key)

        state, losses = jax.lax.scan(step, state, (order, keys))
        return state, losses.mean()

    def predict(self, state: State, inputs: Any) -> Any:
        """The outputs of the network in evaluation mode, for example logits (N, classes)."""
        return self._outputs(self._network(state.parameters, state.statistics), inputs)

    def evaluate(self, state: State, inputs: Any, labels: Any) -> Sums:
        """The task's scores, summed over all examples.

        Args:
            state: The state.
            inputs: All inputs.
            labels: The labels of all inputs.

        Returns:
            For each metric, the sum of `value * weight` and the sum of `weight`.
        """
        count = len(jax.tree.leaves(labels)[0])
        order, real = evaluation_chunks(count)

        def chunked(array: jax.Array) -> jax.Array:
            spare = [(0, order.size - count), *[(0, 0)] * (array.ndim - 1)]
            return jnp.pad(array, spare, mode="edge").reshape(*order.shape, *array.shape[1:])

        inputs, labels = jax.tree.map(chunked, (inputs, labels))
        return self.evaluate_chunks(state, inputs, labels, real)

    def evaluate_chunks(
        self,
        state: State,
        inputs: Any,
        labels: Any,
        real: Any,
        *,
        divide: Callable[[Any], Any] = lambda batch: batch,
    ) -> Sums:
        """`evaluate` for examples in chunks, one chunk after the other.

        Args:
            state: The state.
            inputs: The inputs; arrays (chunks, examples, ...).
            labels: The labels of all inputs, in the same form.
            real: Which examples count (chunks, examples); see `evaluation_chunks`.
            divide: Shards a pytree of arrays (examples, ...) over devices.

        Returns:
            For each metric, the sum of `value * weight` and the sum of `weight`.
        """
        keys = jax.random.split(_key(0), len(real))

        def chunk(part: Any) -> Any:
            *batch, key = part
            inputs, labels, real = divide(batch)
            scores = self.task.scores(functools.partial(self.predict, state), inputs, labels, key)

            def total(of_each: jax.Array) -> jax.Array:
                return jnp.sum(of_each, where=real.reshape(-1, *[1] * (of_each.ndim - 1)))

            return jax.tree.map(
                lambda pair: (total(pair[0] * pair[1]), total(pair[1])),
                scores,
                is_leaf=lambda value: isinstance(value, tuple),
            )

        sums = jax.lax.map(chunk, (inputs, labels, real, keys))
        return jax.tree.map(lambda column: column.sum(0), sums)

    def _network(self, parameters: Any, statistics: Any) -> Any:
        network = nnx.merge(self.structure, parameters, statistics, copy=True)
        if self.bfloat16:
            compute_in_bfloat16(network)
        return network

    def _outputs(self, network: Any, inputs: Any, **options: Any) -> Any:
        if not self.bfloat16:
            return network(inputs, **options)
        return outputs_in_float32(network(inputs_in_bfloat16(inputs), **options))


@functools.partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def data_order(
    seed: int,
    first: int,
    count: int,
    examples: int,
    steps_per_epoch: int,
    batch_size: int,
    shuffle: bool,
) -> tuple[jax.Array, jax.Array]:
    """The examples and the random keys of some steps, a function of seed and step numbers only.

    Args:
        seed: The run's seed.
        first: The index of the first step, from 0.
        count: Number of steps.
        examples: Size of the training set.
        steps_per_epoch: Steps per epoch.
        batch_size: Examples per step.
        shuffle: Whether each epoch has its own random order; False keeps the order of the dataset.

    Returns:
        The indices of the examples of each step (count, batch_size), without repetition within an
        epoch, and one key per step (count,).
    """
    epochs = math.ceil((count - 1) / steps_per_epoch) + 1

    def epoch(number: jax.Array) -> tuple[jax.Array, jax.Array]:
        order_key, key = jax.random.split(jax.random.fold_in(_key(seed), number))
        order = jnp.arange(examples)
        if shuffle:
            order = jax.random.permutation(order_key, examples)
        order = order[: steps_per_epoch * batch_size].reshape(steps_per_epoch, batch_size)
        steps = jnp.arange(steps_per_epoch)
        return order, jax.vmap(functools.partial(jax.random.fold_in, key))(steps)

    orders, keys = jax.vmap(epoch)(first // steps_per_epoch + 1 + jnp.arange(epochs))
    start = first % steps_per_epoch
    orders = orders.reshape(-1, batch_size)
    return (
        jax.lax.dynamic_slice_in_dim(orders, start, count),
        jax.lax.dynamic_slice_in_dim(keys.reshape(-1), start, count),
    )


def _key(seed: int) -> jax.Array:
    # An explicit implementation: a user's jax_default_prng_impl must not change results.
    return jax.random.key(seed, impl="threefry2x32")
