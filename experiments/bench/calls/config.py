"""Sections of a benchmark's TOML file for jaxpool's operators beside its max pooling."""

import zlib
from typing import Annotated, Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field, model_validator

from catalogue import Example, Map
from experiments.bench.calls.examples import EXAMPLES, timed_with
from experiments.bench.case import ITEM_BYTES, Dtype, Mode, Name, Size
from experiments.section import Section, complaint, hint

_MIN_SIDE = 5  # minimum side, so that no box or bin of an example is empty


class Call(Section):
    """One operator on one map.

    Attributes:
        name: Name of the call in tables.
        operator: One of `EXAMPLES`.
        shape: The map, `(batch, height, width, channels)`.
        window: Window size along height and width, of the operator or of the yardstick.
        strides: Strides of the window.
    """

    name: Name
    operator: str
    shape: Annotated[tuple[Size, ...], Field(strict=False, min_length=4, max_length=4)]
    window: Size
    strides: Size

    @property
    def dtypes(self) -> tuple[Dtype, ...]:
        """The dtypes to time."""
        return ("float32",)

    @property
    def yardstick(self) -> "Call":
        """Max pooling of the same map with the same window."""
        return self.model_copy(update={"operator": "max_pool"})

    def modes(self, asked: tuple[Mode, ...]) -> tuple[str, ...]:
        """The modes to time."""
        return asked

    def example(self) -> Example:
        """The call, with further operands that depend only on this section."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        on = Map(self.shape, self.window, self.strides)
        return EXAMPLES[self.operator](on, rng)

    def input_bytes(self, dtype: Dtype) -> int:
        """Size of the map."""
        return int(np.prod(self.shape)) * ITEM_BYTES[dtype]

    def traffic_bytes(self, dtype: Dtype, mode: str) -> int:
        """The minimum traffic; see `Case.traffic_bytes`. Further operands are not counted."""
        x, results = self.shapes(dtype)
        derivative = 0 if mode in ("forward", "eager") else x.size + results[0].size
        items = (a.size * a.dtype.itemsize for a in (x, *results))
        return sum(items) + derivative * ITEM_BYTES[dtype]

    def shapes(self, dtype: Dtype) -> tuple[jax.ShapeDtypeStruct, list[jax.ShapeDtypeStruct]]:
        """Shape and dtype of x and of all results."""
        example = self.example()
        x = jax.ShapeDtypeStruct(example.shape, jnp.dtype(dtype))
        return x, jax.tree.leaves(jax.eval_shape(example.function, x, *example.others))

    def describe(self) -> str:
        """A short description of the call."""
        example = self.example()
        name = self.operator.partition(".")[0]
        return f"{name} {'x'.join(map(str, example.shape))} {example.words}"


class Calls(Section):
    """Several operators on one map, each beside max pooling with the given window.

    Attributes:
        name: Suffix of the calls' names, after the operator's name.
        shape: The map, `(batch, height, width, channels)`.
        window: Window size along height and width.
        strides: Strides of the window.
        operators: Names of public operators; `"stochastic_pool.inference"` is its mean. Without
            them, every operator that the catalogue times with this window.
    """

    name: Name
    shape: Annotated[tuple[Size, ...], Field(strict=False, min_length=4, max_length=4)]
    window: Size
    strides: Size
    operators: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _all_if_none_is_named(cls, given: Any) -> Any:
        if isinstance(given, dict) and "operators" not in given:
            return given | {"operators": timed_with(given.get("window", 0))}
        return given

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for operator in self.operators:
            if operator not in EXAMPLES:
                raise complaint(f"unknown {operator!r}{hint(operator, EXAMPLES)}", "operators")
        if min(self.shape[1:3]) < max(_MIN_SIDE, 2 * self.window):
            raise complaint(f"must have room for two windows and {_MIN_SIDE} elements", "shape")
        return self

    @property
    def each(self) -> tuple[Call, ...]:
        """The calls, one per operator."""
        return tuple(
            Call(
                name=f"{operator}-{self.name}",
                operator=operator,
                shape=self.shape,
                window=self.window,
                strides=self.strides,
            )
            for operator in self.operators
        )
