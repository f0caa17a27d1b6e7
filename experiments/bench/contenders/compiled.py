"""How every library on JAX takes part: its function compiled ahead, its arrays on the device."""

import re
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import targets
from experiments.bench.contenders.contender import LeftOut, Operands, Program

Function = Callable[..., Any]
"""Of x and further operands; gives y, or a tuple of y and further results."""


def prepare(operands: Operands, function: Function, *, channels_first: bool = False) -> Program:
    """Compiles a pooling.

    Args:
        operands: What is to be computed, and of what.
        function: The pooling.
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
    computation, needed = whole(operands, function)
    if operands.target is not None:
        return _estimated(operands.target, computation, needed)
    arrays = [place(array) for array in needed]
    if operands.mode == "eager":
        jax.block_until_ready(computation(*arrays))  # compiles its parts
        return Program(lambda: jax.block_until_ready(computation(*arrays)), fetch, detail)
    jax.clear_caches()  # so that nothing of this is traced or compiled already
    started = time.perf_counter()
    try:
        lowered = jax.jit(computation).lower(*arrays)
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
        text=anonymous(compiled.as_text()) or lowered.as_text(),
    )


def _estimated(target: targets.Target, computation: Callable, arrays: Any) -> Program:
    """A program that only a device that is not there could run."""
    started = time.perf_counter()
    try:
        compiled = targets.compile_for(target, computation, *arrays)
    except NotImplementedError as error:
        raise LeftOut(f"JAX has no such derivative: {str(error).splitlines()[0]}") from error
    seconds = time.perf_counter() - started
    estimate = targets.estimate(target, compiled)

    def refuse(*_: Any) -> Any:
        raise RuntimeError(f"there is no {target} here")

    return Program(
        refuse, refuse, compile_s=seconds, temp_bytes=estimate.temporaries, estimate=estimate
    )


def anonymous(text: str | None) -> str | None:
    """A compiled program without the names that tell whose it is.

    Args:
        text: The program, as XLA prints it.

    Returns:
        The same text for the same program; None if it does not show all its constants.
    """
    if text is None or "{...}" in text:
        return None
    begin = re.search(r"^(%|ENTRY )", text, re.MULTILINE)
    body = text[begin.start() :] if begin else text
    body = re.sub(r", metadata=\{[^}]*\}", "", body)
    body = re.sub(r"^((?:ENTRY )?%\S+) \(.*\{$", r"\1 {", body, flags=re.MULTILINE)
    numbers: dict[str, str] = {}
    return re.sub(r"%[\w.-]+", lambda m: numbers.setdefault(m[0], f"%{len(numbers)}"), body)


def whole(operands: Operands, function: Function) -> tuple[Callable, tuple[np.ndarray, ...]]:
    """The computation that the mode asks for, and its operands.

    Args:
        operands: What is to be computed, and of what.
        function: The pooling.

    Returns:
        A function of arrays that gives y, then its derivative if the mode has one, then what
        further results there are; and those arrays.
    """

    def of_x(others: tuple[Any, ...]) -> Callable[[Any], tuple[Any, tuple[Any, ...]]]:
        def call(x: Any) -> tuple[Any, tuple[Any, ...]]:
            results = function(x, *others)
            return (results[0], results[1:]) if isinstance(results, tuple) else (results, ())

        return call

    match operands.mode:
        case "gradient":

            def gradient(x, dy, *others):
                y, pullback, further = jax.vjp(of_x(others), x, has_aux=True)
                return y, *pullback(dy), *further

            return gradient, (operands.x, operands.dy, *operands.others)
        case "jvp":

            def jvp(x, t, *others):
                y, tangent, further = jax.jvp(of_x(others), (x,), (t,), has_aux=True)
                return y, tangent, *further

            return jvp, (operands.x, operands.t, *operands.others)
        case _:

            def forward(x, *others):
                y, further = of_x(others)(x)
                return y, *further

            return forward, (operands.x, *operands.others)
