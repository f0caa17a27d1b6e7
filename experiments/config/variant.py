"""`[variants.NAME]`: the poolings that a study compares."""

import inspect
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from experiments.models import AnyHead, Slot, slot
from experiments.section import (
    Padding,
    PositiveInt,
    Section,
    Sizes,
    complaint,
    hint,
    known,
    tuples,
)

_ARGUMENT_OF_KEY = {"window": "window_shape", "stride": "strides", "padding": "padding"}
"""The keys of a pool that are shorter names of an operator's arguments."""
_NOT_FROM_A_CONFIG = {"x", "key", "where", "kernel_init", "rngs"}


class PoolOptions(Section):
    """`[variants.NAME]`: a pooling.

    Attributes:
        pool: An operator of jaxpool by name, one of the learned poolings of `experiments.models`,
            a pooling of a plug-in, `"strided"` (the convolution takes the stride) or `"none"`.
            It may be omitted if `head` is given, and then is `"none"`.
        window: The operator's `window_shape`.
        stride: The operator's `strides`; with `"strided"`, the stride of the convolution.
        padding: The operator's `padding`.
        arguments: The operator's further arguments, by their own names.
        extra_convolutions: Convolutions before the pooling, in addition to those of the network;
            with `"strided"`, the last one takes the stride.
        head: The last pooling of the network; by default, the head of `[model]`.
    """

    pool: Annotated[str, known("pool", slot.names)] = "none"
    window: Sizes | None = None
    stride: Sizes | None = None
    padding: Padding | None = None
    arguments: dict[str, Any] | None = None
    extra_convolutions: PositiveInt | None = None
    head: AnyHead | None = None

    @model_validator(mode="after")
    def _suits_the_operator(self) -> Self:
        if "pool" not in self.model_fields_set and self.head is None:
            raise complaint("missing", "pool")
        operator = slot.operators().get(self.pool)
        if operator is None:
            takes = {"stride"} if self.pool == "strided" else set()
            required = set()
        else:
            parameters = slot.parameters(operator)
            takes = set(parameters) - _NOT_FROM_A_CONFIG
            required = {n for n in takes if parameters[n].default is inspect.Parameter.empty}
        plain = {key: name if operator else key for key, name in _ARGUMENT_OF_KEY.items()}
        for key, name in plain.items():
            if getattr(self, key) is not None and name not in takes:
                raise complaint(f"pool = {self.pool!r} takes no {key}", key)
            if getattr(self, key) is None and name in required:
                raise complaint(f"missing; {self.pool} needs it", key)
        given = self.arguments or {}
        for name in given:
            if name in plain.values():
                key = next(key for key, argument in plain.items() if argument == name)
                raise complaint(f"write {key} = ... beside pool", f"arguments.{name}")
            if name not in takes:
                others = sorted(takes - set(plain.values()))
                raise complaint(
                    f"{self.pool} has no such argument{hint(name, others)}", f"arguments.{name}"
                )
        if missing := required - set(plain.values()) - set(given):
            raise complaint(f"missing; {self.pool} needs it", f"arguments.{min(missing)}")
        return self

    def slot(self, place: str) -> Slot:
        """The network's pooling slot for this variant.

        Args:
            place: The config key that sets it, for error messages.

        Returns:
            The slot.
        """
        extra = self.extra_convolutions or 0
        if self.pool in slot.WITHOUT_OPERATOR:
            stride = 1 if self.pool == "none" else self.stride or 2
            return Slot(self.pool, stride=stride, place=place, extra_convolutions=extra)
        given = {name: getattr(self, key) for key, name in _ARGUMENT_OF_KEY.items()}
        arguments = {name: value for name, value in given.items() if value is not None}
        arguments |= {name: tuples(value) for name, value in (self.arguments or {}).items()}
        return Slot(self.pool, arguments=arguments, place=place, extra_convolutions=extra)


Variant = Annotated[
    Annotated[PoolOptions, Tag("table")]
    | Annotated[tuple[PoolOptions, ...], Field(strict=False), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "table"),
]
"""One pooling for every stage, or a list with one per stage."""
