"""PyTorch on all threads, in channels-last layout prepared outside of all timing."""

from collections.abc import Callable

import jax
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from experiments.bench.case import Case
from experiments.bench.contenders.contender import LeftOut, Problem, Program
from experiments.clock import Stopwatch, shortest

_PROBES = 5
_PROBING_S = 0.5

Layout = Callable[[torch.Tensor], torch.Tensor]


def prepare(problem: Problem) -> Program:
    """A PyTorch program; 1-D maps use the faster of two layouts."""
    if jax.default_backend() != "cpu":
        raise LeftOut("PyTorch is timed on the CPU only, and JAX is not on it here")
    if problem.mode == "jvp":
        raise LeftOut("PyTorch's pooling is compared in forward and reverse mode only")
    case = problem.case
    if len(case.spatial) > 1:
        return _program(problem, case.spatial, "channels_last")
    flat = _program(problem, case.spatial, "contiguous")
    map_of_one_row = _program(problem, (1, *case.spatial), "channels_last, as a map of one row")
    return min(flat, map_of_one_row, key=_seconds)


def _program(problem: Problem, spatial: tuple[int, ...], layout: str) -> Program:
    """The program on maps of spatial shape `spatial`, which may have leading axes of size 1."""
    case = problem.case
    function = _pooling(case, rank=len(spatial))
    x, dy = (_tensor(a, len(spatial), layout) for a in (problem.x, problem.dy))
    detail = f"{layout}, {torch.get_num_threads()} threads"

    def fetch(outputs: tuple[torch.Tensor, ...]) -> tuple[np.ndarray, ...]:
        return tuple(_array(o, case, problem.x.dtype) for o in outputs)

    def forward() -> tuple[torch.Tensor, ...]:
        with torch.inference_mode():
            return (function(x),)

    def gradient() -> tuple[torch.Tensor, ...]:
        y = function(leaf)
        return y, *torch.autograd.grad(y, leaf, dy)

    if problem.mode != "gradient":
        return Program(forward, fetch, detail)
    leaf = x.requires_grad_()
    return Program(gradient, fetch, detail)


def _pooling(case: Case, rank: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """The PyTorch function for maps of `rank` axes, whose last axes are those of the case."""
    extra = rank - len(case.spatial)
    if case.is_global:
        name = {"max": "adaptive_max_pool", "avg": "adaptive_avg_pool"}[case.operator]
        adaptive = getattr(F, f"{name}{rank}d")
        return lambda x: adaptive(x, 1)
    pads = case.symmetric_pads
    if pads is None:
        raise LeftOut("PyTorch pads both sides alike")
    if any(2 * p > k for p, k in zip(pads, case.windows, strict=True)):
        raise LeftOut("PyTorch pads by half a window at most")
    geometry = {
        "kernel_size": (1,) * extra + case.windows,
        "stride": (1,) * extra + case.steps,
        "padding": (0,) * extra + pads,
    }
    if case.operator == "max":
        pool = getattr(F, f"max_pool{rank}d")
        return lambda x: pool(x, **geometry, dilation=case.dilation)
    if case.dilation > 1:
        raise LeftOut("PyTorch has no dilated average")
    average = getattr(F, f"avg_pool{rank}d")
    return lambda x: average(x, **geometry, count_include_pad=case.count_include_pad)


def _tensor(array: np.ndarray, rank: int, layout: str) -> torch.Tensor:
    batch, *spatial, channels = array.shape
    wide = array.reshape(batch, *(1,) * (rank - len(spatial)), *spatial, channels)
    # PyTorch does not know NumPy's bfloat16, so the bits are passed as integers.
    if array.dtype.itemsize == 2 and array.dtype != np.float16:
        tensor = torch.from_numpy(wide.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(wide)
    tensor = tensor.movedim(-1, 1)
    if layout == "contiguous":
        return tensor.contiguous()
    memory = {2: torch.channels_last, 3: torch.channels_last_3d}[rank]
    return tensor.clone(memory_format=memory)


def _array(tensor: torch.Tensor, case: Case, dtype: np.dtype) -> np.ndarray:
    tensor = tensor.detach().movedim(1, -1)
    array = (
        tensor.contiguous().view(torch.int16).numpy().view(dtype)
        if tensor.dtype == torch.bfloat16
        else tensor.numpy()
    )
    return array.reshape(array.shape[0], *array.shape[-1 - len(case.spatial) :])


def _seconds(program: Program) -> float:
    """The shortest time of a few calls, or of one if it is long."""

    def elapsed() -> float:
        with Stopwatch() as watch:
            program.run()
        return watch.seconds

    return shortest(elapsed, calls=_PROBES, seconds=_PROBING_S)
