"""Runs a function on PyTorch tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import torch

from tools.peers.case import Answer, PeerCase, cotangent
from tools.peers.library import as_numpy


def evaluate(function: Callable[..., Any], case: PeerCase) -> Answer:
    """Runs a case, and its derivative in reverse mode."""
    operands = [tensor(array) for array in case.arrays()]
    options = {
        name: tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in case.arguments().items()
    }
    if case.wrt is not None:
        operands[case.wrt].requires_grad_()
    results = function(*operands, *case.args, **options)
    arrays = as_numpy(results, array)
    if case.wrt is None:
        return Answer(arrays)
    first = results[0] if isinstance(results, tuple) else results
    (gradient,) = torch.autograd.grad(
        first, operands[case.wrt], tensor(cotangent(first.shape)).to(first.dtype)
    )
    return Answer(arrays, array(gradient))


def tensor(values: np.ndarray) -> torch.Tensor:
    """Copies an array to a tensor; bfloat16 as bits, since the two dtypes are not compatible."""
    own = np.array(values)
    if own.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(own.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(own)


def array(values: torch.Tensor) -> np.ndarray:
    """Copies a tensor to an array."""
    own = values.detach().contiguous()
    if own.dtype == torch.bfloat16:
        return own.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return own.numpy()
