"""The pure functions of one variant: initial state, training step, epoch, prediction, evaluation.

Everything that learns lives in a `State`, a pytree; the functions take one and give one back, so
they compose with `jit`, `scan` and `vmap`, and training and measurement run the same step.
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

from experiments import data, models
from experiments.config import Study
from experiments.optimizers import build_optimizer, learning_rate

_EVALUATION_CHUNK = 500
"""Test examples evaluated at a time: enough to fill a device, few enough to bound its memory."""


class State(NamedTuple):
    """What training changes.

    Attributes:
        parameters: What the optimiser changes.
        statistics: What the network updates by itself, such as running means.
        optimizer: The optimiser's own memory.
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
        optimizer: The update rule, schedule included.
        learning_rate: The learning rate after a number of steps.
        batch_size: Examples a step.
        steps: Steps an epoch; the examples left over, other ones each epoch, sit out.
    """

    network: Callable[[nnx.Rngs], nnx.Module]
    structure: Any
    optimizer: optax.GradientTransformation
    learning_rate: optax.Schedule
    batch_size: int
    steps: int

    @classmethod
    def build(cls, study: Study, variant: str) -> "Programs":
        """The programs for a variant of a study."""
        info = data.describe(study.dataset.name)
        slots = study.slots(variant)

        def network(rngs: nnx.Rngs) -> nnx.Module:
            return models.build(
                study.model.name,
                study.model.options(),
                channels_in=info.input_shape[-1],
                classes=info.classes,
                slots=slots,
                rngs=rngs,
            )

        steps = study.dataset.train_size // study.training.batch_size
        schedule = learning_rate(study.training, steps)
        return cls(
            network=network,
            structure=nnx.split(nnx.eval_shape(lambda: network(nnx.Rngs(0))))[0],
            optimizer=build_optimizer(study.training, schedule),
            learning_rate=schedule,
            batch_size=study.training.batch_size,
            steps=steps,
        )

    def init(self, seed: int) -> State:
        """The state before training; a function of the seed only.

        Best called outside `jit`: compiled op by op, all variants share the costly generator.
        """
        network = self.network(nnx.Rngs(_key(seed)))
        _, parameters, statistics = nnx.split(network, nnx.Param, ...)
        parameters, statistics = nnx.to_pure_dict(parameters), nnx.to_pure_dict(statistics)
        return State(parameters, statistics, self.optimizer.init(parameters))

    def step(
        self, state: State, inputs: jax.Array, labels: jax.Array, key: jax.Array
    ) -> tuple[State, jax.Array]:
        """One step of training.

        Args:
            state: The state before it.
            inputs: Images (N, H, W, C).
            labels: Classes (N,).
            key: Randomness for poolings that draw.

        Returns:
            The state after it, and the batch's mean cross-entropy before it.
        """

        def loss(parameters: Any) -> tuple[jax.Array, Any]:
            network = self._network(parameters, state.statistics)
            logits = network(inputs, train=True, key=key)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            _, _, statistics = nnx.split(network, nnx.Param, ...)
            return losses.mean(), nnx.to_pure_dict(statistics)

        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters)
        updates, optimizer = self.optimizer.update(gradient, state.optimizer, state.parameters)
        return State(optax.apply_updates(state.parameters, updates), statistics, optimizer), value

    def epoch(
        self,
        state: State,
        order: jax.Array,
        key: jax.Array,
        inputs: jax.Array,
        labels: jax.Array,
    ) -> tuple[State, jax.Array]:
        """One pass over the training set.

        Args:
            state: The state before it.
            order: Which examples each step takes (steps, batch); see `data_order`.
            key: Randomness for poolings that draw.
            inputs: All training images (N, H, W, C).
            labels: Their classes (N,).

        Returns:
            The state after it, and the mean of its steps' losses.
        """

        def step(state: State, turn: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
            number, chosen = turn
            step_key = jax.random.fold_in(key, number)
            return self.step(state, inputs[chosen], labels[chosen], step_key)

        state, losses = jax.lax.scan(step, state, (jnp.arange(len(order)), order))
        return state, losses.mean()

    def predict(self, state: State, inputs: jax.Array) -> jax.Array:
        """Logits (N, classes) of images (N, H, W, C)."""
        return self._network(state.parameters, state.statistics)(inputs)

    def evaluate(
        self, state: State, inputs: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Mean cross-entropy over all examples, and how many are classified correctly."""
        chunks = math.ceil(len(inputs) / _EVALUATION_CHUNK)
        size = math.ceil(len(inputs) / chunks)
        spare = chunks * size - len(inputs)
        inputs = jnp.pad(inputs, ((0, spare), (0, 0), (0, 0), (0, 0)))
        present = jnp.pad(jnp.ones(len(labels), bool), (0, spare))
        chunked = jax.tree.map(
            lambda a: a.reshape(chunks, size, *a.shape[1:]),
            (inputs, jnp.pad(labels, (0, spare)), present),
        )

        def chunk(part: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            images, classes, real = part
            logits = self.predict(state, images)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
            right = logits.argmax(-1) == classes
            return jnp.sum(losses, where=real), jnp.sum(right, where=real, dtype=jnp.int32)

        losses, right = jax.lax.map(chunk, chunked)
        return losses.sum() / len(labels), right.sum()

    def _network(self, parameters: Any, statistics: Any) -> Any:
        return nnx.merge(self.structure, parameters, statistics, copy=True)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def data_order(
    seed: int, epoch: int, examples: int, steps: int, batch_size: int
) -> tuple[jax.Array, jax.Array]:
    """The randomness of one epoch, a function of seed and epoch only.

    Args:
        seed: The run's seed.
        epoch: The epoch's number.
        examples: Size of the training set.
        steps: Steps an epoch.
        batch_size: Examples a step.

    Returns:
        Which examples each step takes (steps, batch_size), none of them twice; and a key.
    """
    order_key, key = jax.random.split(jax.random.fold_in(_key(seed), epoch))
    order = jax.random.permutation(order_key, examples)[: steps * batch_size]
    return order.reshape(steps, batch_size), key


def _key(seed: int) -> jax.Array:
    # Named, so that a user's jax_default_prng_impl does not change the study's results.
    return jax.random.key(seed, impl="threefry2x32")
