"""The network in Flax NNX, with Flax's pooling or jaxpool's as the only difference."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jaxpool
from experiments.bench.contenders import Program
from experiments.bench.network.config import Network
from experiments.bench.network.problem import TrainingProblem
from experiments.clock import Stopwatch
from experiments.compilation import compile_network
from experiments.models.convolution import Convolution

Pool = Callable[[jax.Array], jax.Array]

_POOLS: dict[str, Pool] = {
    "jaxpool": lambda x: jaxpool.max_pool(x, (2, 2)),
    "flax": lambda x: nnx.max_pool(x, (2, 2), strides=(2, 2)),
}


class CNN(nnx.Module):
    """Stages of convolution (as in the lab's models), ReLU and pooling, then a dense layer."""

    def __init__(self, network: Network, pool: Pool, rngs: nnx.Rngs):
        channels = (network.image[-1], *network.widths)
        pairs = pairwise(channels)
        self.convolutions = nnx.List(
            [Convolution(a, b, kernel=(3, 3), bias=True, rngs=rngs) for a, b in pairs]
        )
        self.dense = nnx.Linear(network.features, network.classes, rngs=rngs)
        self.pool = pool

    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits `(batch, classes)` of images `(batch, height, width, channels)`."""
        for convolution in self.convolutions:
            x = self.pool(nnx.relu(convolution(x)))
        return self.dense(x.reshape(x.shape[0], -1))

    def variables(self) -> Iterator[Any]:
        """Kernel and bias of each layer, in the order of `TrainingProblem.parameters`."""
        for layer in (*self.convolutions, self.dense):
            yield from (layer.kernel, layer.bias)


def prepare(name: str, training: TrainingProblem) -> Program:
    """Compiles the training step with the pooling of the contender `name`."""
    network = training.network
    model = CNN(network, _POOLS[name], nnx.Rngs(0))
    for variable, value in zip(model.variables(), training.parameters, strict=True):
        variable[...] = jnp.asarray(value)
    graph, parameters = nnx.split(model)
    optimizer = optax.sgd(network.learning_rate, network.momentum)

    def loss(parameters, images, labels):
        logits = nnx.merge(graph, parameters)(images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def step(parameters, state, images, labels):
        value, gradients = jax.value_and_grad(loss)(parameters, images, labels)
        updates, state = optimizer.update(gradients, state)
        return value, optax.apply_updates(parameters, updates), state

    state = optimizer.init(parameters)
    images, labels = jnp.asarray(training.images), jnp.asarray(training.labels)
    jax.clear_caches()  # so that no part of the step is already traced or compiled
    with Stopwatch() as compilation:
        lowered = jax.jit(step, donate_argnums=(0, 1)).lower(parameters, state, images, labels)
        compiled = compile_network(lowered, "training")
    memory = compiled.memory_analysis()

    def run():
        nonlocal parameters, state
        value, parameters, state = jax.block_until_ready(
            compiled(parameters, state, images, labels)
        )
        return value, parameters

    def fetch(results) -> tuple[np.ndarray, ...]:
        value, parameters = results
        variables = nnx.merge(graph, parameters).variables()
        return np.asarray(value), *(np.array(variable[...]) for variable in variables)

    return Program(
        run,
        fetch,
        compile_s=compilation.seconds,
        temp_bytes=None if memory is None else memory.temp_size_in_bytes,
    )
