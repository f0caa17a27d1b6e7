"""Base class and value types of a config's tables: strict, frozen, without unknown keys."""

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
)
from pydantic_core import PydanticCustomError

T = TypeVar("T")


def hint(word: object, options: Iterable[str]) -> str:
    """The end of an error message on an unknown word: the nearest known word, then all of them."""
    options = tuple(options)
    near = difflib.get_close_matches(str(word), options, n=1, cutoff=0.5)
    suggestion = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{suggestion} known: {', '.join(options) if options else 'none'}"


def complaint(message: str, key: str = "") -> PydanticCustomError:
    """An error on a section, or on one of its keys."""
    return PydanticCustomError("complaint", "{message}", {"message": message, "key": key})


def known(kind: str, options: Callable[[], Iterable[str]]) -> AfterValidator:
    """A validator that refuses a word that is not one of the options, and names the nearest."""

    def check(name: str) -> str:
        if name not in options():
            raise complaint(f"unknown {kind}{hint(name, options())}")
        return name

    return AfterValidator(check)


def tuples(value: Any) -> Any:
    """The value with every list converted to a tuple, as the operators require."""
    return tuple(map(tuples, value)) if isinstance(value, list | tuple) else value


def filled(value: T) -> T:
    """Refuses an empty value."""
    if not value:
        raise complaint("must not be empty")
    return value


def _sizes(value: Any) -> int | tuple[int, ...]:
    sizes = value if isinstance(value, list | tuple) else [value]
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise complaint("must be a positive integer, or a list of one per axis")
    return value if isinstance(value, int) else tuple(value)


def _padding(value: Any) -> Any:
    named = ("VALID", "SAME", "SAME_LOWER")
    if isinstance(value, str):
        if value not in named:
            raise complaint(f"unknown padding{hint(value, named)}")
    elif not isinstance(value, int | list | tuple) or isinstance(value, bool):
        raise complaint(f"must be one of {', '.join(named)}, an integer, or a list of one per axis")
    return tuples(value)


Seed = Annotated[int, Field(ge=0, lt=2**31)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[PositiveInt, ...], Field(strict=False), AfterValidator(filled)]
Sizes = Annotated[Any, PlainValidator(_sizes)]
Padding = Annotated[Any, PlainValidator(_padding)]
Folder = Annotated[Path, Field(strict=False), PlainSerializer(str)]


class Section(BaseModel):
    """A table of a config: no unknown keys, no conversion between types, immutable."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
