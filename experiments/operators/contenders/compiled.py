"""How every library on JAX takes part: its function compiled ahead, its arrays on the device."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.operators.contenders.contender import LeftOut, Problem, Program

Function = Callable[[jax.Array], jax.Array]


def prepare(problem: Problem, function: Function, *, channels_first: bool = False) -> Program:
    """Compiles a pooling for a problem.

    Args:
        problem: The problem.
        function: The pooling of one array.
        channels_first: Whether `function` takes and gives `(batch, channels, *spatial)`; the
            arrays are then laid out so beforehand, outside of all timing.

    Returns:
        The program.

    Raises:
        LeftOut: JAX says that this function has no such derivative.
    """

    def place(array: np.ndarray) -> jax.Array:
        own = np.ascontiguousarray(np.moveaxis(array, -1, 1)) if channels_first else array
        return jax.block_until_ready(jnp.asarray(own))

    def fetch(outputs: tuple[jax.Array, ...]) -> tuple[np.ndarray, ...]:
        arrays = (np.asarray(output) for output in outputs)
        return tuple(np.moveaxis(a, 1, -1) if channels_first else a for a in arrays)

    detail = "channels first" if channels_first else ""
    if problem.mode == "eager":
        x = place(problem.x)
        jax.block_until_ready(function(x))  # compiles its parts
        return Program(lambda: (jax.block_until_ready(function(x)),), fetch, detail)
    whole, operands = _whole(problem, function)
    arrays = [place(operand) for operand in operands]
    jax.clear_caches()  # so that nothing of this is traced or compiled already
    started = time.perf_counter()
    try:
        lowered = jax.jit(whole).lower(*arrays)
    except NotImplementedError as error:
        raise LeftOut(f"JAX has no such derivative: {str(error).splitlines()[0]}") from error
    compiled = lowered.compile()
    seconds = time.perf_counter() - started
    memory = compiled.memory_analysis()
    return Program(
        run=lambda: jax.block_until_ready(compiled(*arrays)),
        fetch=fetch,
        detail=detail,
        compile_s=seconds,
        temp_bytes=None if memory is None else memory.temp_size_in_bytes,
        text=lowered.as_text(),
    )


def _whole(problem: Problem, function: Function) -> tuple[Callable, tuple[np.ndarray, ...]]:
    """The computation that the mode asks for, and its operands."""
    match problem.mode:
        case "gradient":

            def gradient(x, dy):
                y, pullback = jax.vjp(function, x)
                return y, *pullback(dy)

            return gradient, (problem.x, problem.dy)
        case "jvp":
            return lambda x, t: jax.jvp(function, (x,), (t,)), (problem.x, problem.t)
        case _:
            return lambda x: (function(x),), (problem.x,)
