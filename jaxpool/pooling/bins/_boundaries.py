"""The random windows of fractional pooling, as defined by PyTorch and by TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpool import checks
from jaxpool.checks import Ints
from jaxpool.engine.rules.primitives import vary_alike
from jaxpool.pooling import arguments, sizes
from jaxpool.pooling.bins._layout import Bins, Layout

Outputs = dict[int, int]  # number of windows per axis


@dataclass(frozen=True, eq=False)
class FractionalWindows:
    """The arguments of fractional pooling that define its windows, as given by the user."""

    window_shape: Ints | None
    output_shape: Ints
    key: Any = None
    samples: Any = None
    pseudo_random: bool = False
    overlapping: bool = False
    axes: Ints | None = None

    def resolve(self, x: jax.Array) -> tuple[Layout, Any]:
        """The windows over `x`, and the random samples that define them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument has a value that is not allowed, or does not fit `x`.
        """
        if (self.key is None) == (self.samples is None):
            got = "neither" if self.key is None else "both"
            raise ValueError(f"one of key and samples must be given, got {got}")
        key = None if self.key is None else arguments.random_key("key", self.key)
        for name in ("pseudo_random", "overlapping"):
            if checks.flag(name, getattr(self, name)) and self.window_shape is not None:
                raise ValueError(
                    f"{name}=True is for window_shape=None, got window_shape={self.window_shape!r}"
                )
        return (self._tensorflow if self.window_shape is None else self._pytorch)(x, key)

    def _tensorflow(self, x: jax.Array, key: jax.Array | None) -> tuple[Layout, Any]:
        """TensorFlow's form: windows between boundaries, the same in all planes."""
        (outputs,) = sizes.given(x, self.axes, output_shape=self.output_shape)
        _check_fit(x, outputs, dict.fromkeys(outputs, 1))
        if key is not None:
            boundaries = _draw_boundaries(key, x, outputs, self.pseudo_random)
        else:
            boundaries = _checked_boundaries(self.samples, x, outputs)
        layout = _between(x, outputs, boundaries, self.overlapping)
        return layout, tuple(map(jnp.asarray, boundaries))

    def _pytorch(self, x: jax.Array, key: jax.Array | None) -> tuple[Layout, Any]:
        """PyTorch's form: windows of equal length, at different positions in every plane."""
        outputs, window = sizes.given(
            x, self.axes, output_shape=self.output_shape, window_shape=self.window_shape
        )
        _check_fit(x, outputs, window)
        shape = (*sizes.rest(x.shape, outputs), len(outputs))
        if key is not None:
            samples = jax.random.uniform(key, shape, np.float32)
        else:
            samples = _checked_uniform(self.samples, shape)
        return _sliding(x, outputs, window, samples), samples


def _check_fit(x: jax.Array, outputs: Outputs, window: dict[int, int]) -> None:
    for position, count in outputs.items():
        most = x.shape[position] - window[position] + 1
        if count > most:
            raise ValueError(
                f"output_shape must be at most {most} for windows of {window[position]} in "
                f"{x.shape[position]} elements, got {count}"
            )


def _checked_uniform(samples: Any, shape: tuple[Any, ...]) -> jax.Array:
    array = arguments.floating_array("samples", samples)
    aligned = zip(reversed(array.shape), reversed(shape), strict=False)
    if array.ndim > len(shape) or any(given not in (1, size) for given, size in aligned):
        raise ValueError(
            f"samples must broadcast to {shape}, one per plane and pooled axis, got {array.shape}"
        )
    numbers = arguments.known(samples)
    if numbers is not None and not np.all((numbers >= 0) & (numbers < 1)):
        wrong = numbers[~((numbers >= 0) & (numbers < 1))][0]
        raise ValueError(f"samples must lie in [0, 1), got {wrong}")
    array = array.astype(jnp.promote_types(array.dtype, np.float32))
    return array.reshape((1,) * (len(shape) - array.ndim) + array.shape)


def _sliding(x: jax.Array, outputs: Outputs, window: dict[int, int], samples: jax.Array) -> Layout:
    """PyTorch's form: windows of equal length; starts advance by alpha, rounded down."""
    # PyTorch's first sample belongs to the last axis in 2-D, and to the first axis in 1-D and 3-D.
    columns = reversed(range(len(outputs))) if len(outputs) == 2 else range(len(outputs))
    layout = {}
    for (position, count), column in zip(outputs.items(), columns, strict=True):
        size, length = x.shape[position], window[position]
        sample = jnp.expand_dims(samples[..., column], tuple(p + x.ndim for p in outputs))
        starts = jnp.full_like(sample, size - length, dtype=np.int32)
        if count > 1:
            alpha = np.asarray(size - length, sample.dtype) / np.asarray(count - 1, sample.dtype)
            shape = [1] * x.ndim
            shape[position] = count - 1
            steps = np.arange(count - 1, dtype=sample.dtype).reshape(shape)
            moved = ((steps + sample) * alpha).astype(np.int32)
            starts = jnp.concatenate(
                [moved - (sample * alpha).astype(np.int32), starts], position % x.ndim
            )
        step = (size - length) // max(count - 1, 1)
        layout[position] = Bins(size, starts, length, length, step)
    return layout


def _draw_boundaries(
    key: jax.Array, x: jax.Array, outputs: Outputs, pseudo_random: bool
) -> tuple[jax.Array | np.ndarray, ...]:
    """TensorFlow's form: boundaries at distances of K and K + 1."""
    draw = _pseudo_random_boundaries if pseudo_random else _random_boundaries
    keys = jax.random.split(key, len(outputs))
    result = []
    for number, (position, count) in enumerate(outputs.items()):
        size = x.shape[position]
        if size % count == 0:
            result.append(np.arange(count + 1, dtype=np.int32) * (size // count))
        else:
            result.append(draw(keys[number], size, count))
    return tuple(result)


def _random_boundaries(key: jax.Array, size: int, count: int) -> jax.Array:
    """Steps of K and K + 1 that sum to `size`, in random order."""
    step, longer = divmod(size, count)
    steps = jnp.asarray(step + (np.arange(count) < longer).astype(np.int32))
    # In JAX 0.10 to 0.12, the type of a permutation varies over mesh axes as its input, not as the
    # key.
    steps, _ = vary_alike(steps, key)
    drawn = jnp.cumsum(jax.random.permutation(key, steps), dtype=np.int32)
    return jnp.concatenate([jnp.zeros(1, np.int32), drawn])


def _pseudo_random_boundaries(key: jax.Array, size: int, count: int) -> jax.Array:
    """Boundaries ceil(alpha (i + u)) - 1, with alpha = size / count and one u for all.

    Computed in integers: with v = size u, alpha u = v / count, and only ceil(v) affects the result.
    Boundary i is floor((size i + r) / count), where r = ceil(v) - 1 is a random integer. The upper
    bound of r keeps the first step at most K + 1 and the last step at least K.
    """
    step, longer = divmod(size, count)
    r = jax.random.randint(key, (), 0, min(2 * count - longer, count + longer))
    whole, part = np.divmod(np.arange(1, count) * longer, count)
    whole += np.arange(1, count) * step
    between = whole.astype(np.int32) + (part.astype(np.int32) + r) // count
    ends = np.array([0], np.int32), np.array([size], np.int32)
    return jnp.concatenate([ends[0], between, ends[1]])


def _checked_boundaries(samples: Any, x: jax.Array, outputs: Outputs) -> tuple[Any, ...]:
    if not isinstance(samples, list | tuple) or len(samples) != len(outputs):
        raise ValueError(
            f"samples must be, for window_shape=None, a tuple of {len(outputs)} arrays of "
            f"boundaries, one per pooled axis, got {samples!r}"
        )
    result = []
    for given, (position, count) in zip(samples, outputs.items(), strict=True):
        array = arguments.real_array("samples", given)
        if not jnp.issubdtype(array.dtype, jnp.integer):
            raise TypeError(f"samples must be boundaries of an integer dtype, got {array.dtype}")
        if array.shape != (count + 1,):
            raise ValueError(
                f"samples must be {count + 1} boundaries for {count} windows, got {array.shape}"
            )
        numbers = arguments.known(given)
        if numbers is not None:
            size, step = x.shape[position], x.shape[position] // count
            steps = np.diff(numbers.astype(np.int64))
            ends = numbers[0], numbers[-1]
            if ends != (0, size) or not np.all((steps == step) | (steps == step + 1)):
                raise ValueError(
                    f"samples must be boundaries from 0 to {size} in steps of {step} or "
                    f"{step + 1}, got {numbers.tolist()}"
                )
            array = numbers
        result.append(array.astype(np.int32))
    return tuple(result)


def _between(
    x: jax.Array, outputs: Outputs, boundaries: tuple[Any, ...], overlapping: bool
) -> Layout:
    """Windows from one boundary to the next; overlapping windows include the next boundary."""
    layout = {}
    for (position, count), steps in zip(outputs.items(), boundaries, strict=True):
        size = x.shape[position]
        xp = np if isinstance(steps, np.ndarray) else jnp
        lengths = xp.minimum(steps[1:] + int(overlapping), size) - steps[:-1]
        longest = -(-size // count) + overlapping
        layout[position] = Bins(size, steps[:-1], lengths, min(longest, size), size // count)
    return layout
