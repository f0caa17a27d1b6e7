"""The network in PyTorch, in channels-last layout for speed."""

from itertools import pairwise

import jax
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from experiments.bench.contenders import LeftOut, Program
from experiments.bench.network.config import Network
from experiments.bench.network.problem import TrainingProblem


class CNN(nn.Module):
    """Stages of convolution, ReLU and pooling, then a dense layer."""

    def __init__(self, network: Network):
        super().__init__()
        channels = (network.image[-1], *network.widths)
        pairs = pairwise(channels)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.dense = nn.Linear(network.features, network.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        for convolution in self.convolutions:
            x = F.max_pool2d(F.relu(convolution(x)), 2)
        # The memory layout is already channels-last, so the permutation copies nothing.
        return self.dense(x.permute(0, 2, 3, 1).flatten(1))

    def load(self, parameters: tuple[np.ndarray, ...]) -> None:
        """Copies the parameters of a `TrainingProblem`."""
        own = list(self.parameters())
        with torch.no_grad():
            for mine, given in zip(own, parameters, strict=True):
                mine.copy_(torch.from_numpy(_to_torch(given)))


def prepare(name: str, training: TrainingProblem) -> Program:
    """The training step without `torch.compile`, which would need a C++ toolchain."""
    del name
    if jax.default_backend() != "cpu":
        raise LeftOut("PyTorch is timed on the CPU only, and JAX is not on it here")
    network = training.network
    model = CNN(network)
    model.load(training.parameters)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), network.learning_rate, network.momentum)
    images = torch.from_numpy(training.images).movedim(-1, 1)
    images = images.clone(memory_format=torch.channels_last)
    labels = torch.from_numpy(training.labels).long()

    def run() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    def fetch(loss: torch.Tensor) -> tuple[np.ndarray, ...]:
        parameters = (_from_torch(p.detach().numpy()).copy() for p in model.parameters())
        return loss.detach().numpy(), *parameters

    return Program(run, fetch, detail=f"channels_last, {torch.get_num_threads()} threads")


def _to_torch(parameter: np.ndarray) -> np.ndarray:
    """Converts a kernel to the layout (out, in, height, width) or (out, in)."""
    match parameter.ndim:
        case 4:
            return parameter.transpose(3, 2, 0, 1).copy()
        case 2:
            return parameter.T.copy()
        case _:
            return parameter


def _from_torch(parameter: np.ndarray) -> np.ndarray:
    match parameter.ndim:
        case 4:
            return parameter.transpose(2, 3, 1, 0)
        case 2:
            return parameter.T
        case _:
            return parameter
