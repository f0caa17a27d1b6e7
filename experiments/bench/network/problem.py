"""Initial parameters and batch of a network, and the reference for its first training step."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from experiments.bench.case import Case
from experiments.bench.network.config import Network
from experiments.bench.reference import Reference

_TOLERANCE = 1e-3
"""Allowed relative error of an update in the 2-norm, for rounding and near ties of the maximum."""

Array = np.ndarray


@dataclass(frozen=True)
class TrainingProblem:
    """A network, its initial parameters and the batch of every step.

    Attributes:
        network: The network.
        parameters: Kernel (height, width, in, out) and bias of each convolution, then kernel
            (in, out) and bias of the dense layer, with inputs in the order height, width, channel.
        images: `(batch, height, width, channels)`, float32.
        labels: `(batch,)`, int32.
    """

    network: Network
    parameters: tuple[Array, ...]
    images: Array
    labels: Array

    @classmethod
    def draw(cls, network: Network, seed: int) -> "TrainingProblem":
        """Draws random images, labels and parameters, scaled as in He et al. (2015)."""
        rng = np.random.default_rng(seed)
        parameters = []
        for shape in _kernel_shapes(network):
            scale = np.sqrt(2 / np.prod(shape[:-1]))
            parameters.append((scale * rng.standard_normal(shape)).astype(np.float32))
            parameters.append((0.1 * rng.standard_normal(shape[-1])).astype(np.float32))
        images = rng.standard_normal((network.batch, *network.image), np.float32)
        labels = rng.integers(0, network.classes, network.batch, np.int32)
        return cls(network, tuple(parameters), images, labels)


@dataclass(frozen=True)
class FirstStep:
    """The loss of the first step and the parameters after it, in float64."""

    loss: float
    updates: tuple[Array, ...]
    training: TrainingProblem

    @classmethod
    def of(cls, training: TrainingProblem) -> "FirstStep":
        """Computes the step in NumPy."""
        loss, gradients = _loss_and_gradients(training)
        rate = training.network.learning_rate
        return cls(loss, tuple(-rate * g for g in gradients), training)

    def error(self, results: tuple[Array, ...]) -> float:
        """The largest relative error among the loss and all parameter updates."""
        loss, *parameters = results
        errors = [abs(float(loss) - self.loss) / abs(self.loss)]
        steps = zip(parameters, self.training.parameters, self.updates, strict=True)
        for after, before, update in steps:
            taken = after.astype(np.float64) - before
            errors.append(float(np.linalg.norm(taken - update) / np.linalg.norm(update)))
        worst = max(errors)
        return worst if worst == worst else float("inf")

    @property
    def tolerance(self) -> float:
        """The largest allowed error of a correct step."""
        return _TOLERANCE


def _kernel_shapes(network: Network) -> Iterator[tuple[int, ...]]:
    channels = network.image[-1]
    for width in network.widths:
        yield 3, 3, channels, width
        channels = width
    yield network.features, network.classes


def _loss_and_gradients(training: TrainingProblem) -> tuple[float, list[Array]]:
    *convolutions, dense = _pairs([p.astype(np.float64) for p in training.parameters])
    x, undo = training.images.astype(np.float64), []
    for kernel, bias in convolutions:
        z = _convolve(x, kernel) + bias
        case = Case(name="pool", operator="max", shape=z.shape, window=2, strides=2)
        pool = Reference(case, np.maximum(z, 0).astype(np.float32))
        undo.append((x, kernel, z > 0, pool))
        x = pool.tangent(np.maximum(z, 0)).value
    flat = x.reshape(len(x), -1)
    logits = flat @ dense[0] + dense[1]
    logits -= logits.max(1, keepdims=True)
    likelihood = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rows = np.arange(len(logits))
    loss = -np.log(likelihood[rows, training.labels]).mean()
    d = likelihood.copy()
    d[rows, training.labels] -= 1
    d /= len(d)
    gradients = [d.sum(0), flat.T @ d]
    d = (d @ dense[0].T).reshape(x.shape)
    for x, kernel, positive, pool in reversed(undo):
        d = pool.gradient(d).value * positive
        gradients += [d.sum((0, 1, 2)), _convolution_of_kernel(x, d)]
        # The transpose of a convolution is one with the flipped kernel and swapped channels.
        d = _convolve(d, kernel[::-1, ::-1].swapaxes(2, 3))
    return float(loss), gradients[::-1]


def _pairs(flat: list[Array]) -> list[tuple[Array, Array]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _convolve(x: Array, kernel: Array) -> Array:
    """SAME convolution by a 3x3 kernel."""
    result = np.zeros((*x.shape[:-1], kernel.shape[-1]))
    for i, j, tap in _taps(x):
        result += tap @ kernel[i, j]
    return result


def _convolution_of_kernel(x: Array, d: Array) -> Array:
    """The gradient of the kernel."""
    kernel = np.empty((3, 3, x.shape[-1], d.shape[-1]))
    for i, j, tap in _taps(x):
        kernel[i, j] = np.tensordot(tap, d, ((0, 1, 2), (0, 1, 2)))
    return kernel


def _taps(x: Array) -> Iterator[tuple[int, int, Array]]:
    _, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for i, j in product(range(3), range(3)):
        yield i, j, padded[:, i : i + height, j : j + width]
