"""Preparation of JAX functions as contenders: ahead-of-time compilation, arrays on the device."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import targets
from experiments.bench.contenders.contender import LeftOut, Operands, Program
from experiments.clock import Stopwatch

Function = Callable[..., Any]
"""A function of x and further operands that returns y, or a tuple of y and further results."""


def prepare(operands: Operands, function: Function, *, channels_first: bool = False) -> Program:
    """Compiles a pooling.

    Args:
        operands: The mode and the arrays.
        function: The pooling.
        channels_first: Whether the layout of `function` is `(batch, channels, *spatial)`; the
            arrays are then transposed beforehand, outside of all timing.

    Returns:
        The program.

    Raises:
        LeftOut: JAX raises an error, because the function has no such derivative.
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
        jax.block_until_ready(computation(*arrays))  # compiles the operations
        return Program(lambda: jax.block_until_ready(computation(*arrays)), fetch, detail)
    jax.clear_caches()  # so that no part of the function is already traced or compiled
    with Stopwatch() as compilation:
        try:
            lowered = jax.jit(computation).lower(*arrays)
        except NotImplementedError as error:
            raise LeftOut(f"JAX has no such derivative: {str(error).splitlines()[0]}") from error
        compiled = lowered.compile()
    memory = compiled.memory_analysis()
    return Program(
        run=lambda: jax.block_until_ready(compiled(*arrays)),
        fetch=fetch,
        detail=detail,
        compile_s=compilation.seconds,
        temp_bytes=None if memory is None else memory.temp_size_in_bytes,
        text=anonymous(compiled.as_text()) or lowered.as_text(),
    )


def warm_up() -> None:
    """Runs a small program, so that JAX's one-time initialisation is in no contender's time."""
    jax.block_until_ready(jax.jit(jax.grad(lambda x: jnp.sin(x).sum()))(jnp.ones((8, 8))))


def _estimated(target: targets.Target, computation: Callable, arrays: Any) -> Program:
    """A program for an absent device, which can be compiled but not run."""
    try:
        with Stopwatch() as compilation:
            compiled = targets.compile_for(target, computation, *arrays)
    except NotImplementedError as error:
        raise LeftOut(f"JAX has no such derivative: {str(error).splitlines()[0]}") from error
    estimate = targets.estimate(target, compiled)

    def refuse(*_: Any) -> Any:
        raise RuntimeError(f"this machine has no {target}")

    return Program(
        refuse,
        refuse,
        compile_s=compilation.seconds,
        temp_bytes=estimate.temporaries,
        estimate=estimate,
    )


def anonymous(text: str | None) -> str | None:
    """Removes the names from a compiled program that depend on its source.

    Args:
        text: The program, as XLA prints it.

    Returns:
        A text that is equal for equal programs; None if the text does not contain all constants.
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
    """The computation of a mode, and its operands.

    Args:
        operands: The mode and the arrays.
        function: The pooling.

    Returns:
        A function of arrays that returns y, then the derivative if the mode has one, then further
        results; and the arrays.
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
