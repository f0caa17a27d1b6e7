"""What a study's TOML file may say: strict, frozen sections with their defaults."""

import difflib
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from experiments import data, models
from experiments.models import Slot, slot
from experiments.records import VARIANT_PATTERN

T = TypeVar("T")
_SUGAR = {"window": "window_shape", "stride": "strides", "padding": "padding"}
"""The keys of a pool that stand for an operator's argument of another name."""
_NOT_FROM_A_CONFIG = {"x", "key", "where", "kernel_init", "rngs"}


def hint(word: object, options: Iterable[str]) -> str:
    """The end of a complaint about an unknown word: the nearest known one, then all of them."""
    options = tuple(options)
    near = difflib.get_close_matches(str(word), options, n=1, cutoff=0.5)
    suggestion = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{suggestion} known: {', '.join(options) if options else 'none'}"


def complaint(message: str, key: str = "") -> PydanticCustomError:
    """A complaint about a section, or about one key of it."""
    return PydanticCustomError("complaint", "{message}", {"message": message, "key": key})


def _known(kind: str, options: Callable[[], Iterable[str]]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in options():
            raise complaint(f"unknown {kind}{hint(name, options())}")
        return name

    return AfterValidator(check)


def _sizes(value: Any) -> int | tuple[int, ...]:
    sizes = value if isinstance(value, list | tuple) else [value]
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise complaint("must be a positive integer, or a list of one an axis")
    return value if isinstance(value, int) else tuple(value)


def _padding(value: Any) -> Any:
    named = ("VALID", "SAME", "SAME_LOWER")
    if isinstance(value, str):
        if value not in named:
            raise complaint(f"unknown padding{hint(value, named)}")
    elif not isinstance(value, int | list | tuple) or isinstance(value, bool):
        raise complaint(f"must be one of {', '.join(named)}, an integer, or a list of one an axis")
    return _tuples(value)


def _filled(value: T) -> T:
    if not value:
        raise complaint("must not be empty")
    return value


def _tuples(value: Any) -> Any:
    """The value with every list a tuple, as the operators take them."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


Name = Annotated[str, Field(pattern=rf"^{VARIANT_PATTERN}$")]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Sizes = Annotated[Any, PlainValidator(_sizes)]
Padding = Annotated[Any, PlainValidator(_padding)]
Folder = Annotated[Path, Field(strict=False), PlainSerializer(str)]


class Section(BaseModel):
    """A table of the file: no unknown keys, no conversion between types, no later change."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Dataset(Section):
    """`[dataset]`: what is learned.

    Attributes:
        name: One of the datasets of `experiments.data`.
        directory: Where its files are, if not in the usual places.
        train_limit: Train on the first so many examples only.
        test_limit: Test on the first so many examples only.
    """

    name: Annotated[str, _known("dataset", data.names)]
    directory: Folder | None = None
    train_limit: PositiveInt | None = None
    test_limit: PositiveInt | None = None

    @property
    def train_size(self) -> int:
        """Training examples, after the limit."""
        size = data.describe(self.name).train_size
        return size if self.train_limit is None else min(size, self.train_limit)


class Model(Section):
    """`[model]`: the network that every variant shares.

    Attributes:
        name: One of the networks of `experiments.models`.
        widths: Channels of each stage; as many stages as widths.
        convolutions: Convolutions a stage.
        kernel: Side of every convolution's window.
        norm: The normalisation after each convolution.
    """

    name: Annotated[str, _known("model", models.names)] = "small_cnn"
    widths: Annotated[tuple[PositiveInt, ...], Field(strict=False), AfterValidator(_filled)]
    convolutions: PositiveInt = 1
    kernel: PositiveInt = 3
    norm: Literal["batch", "layer", "none"] = "batch"

    def options(self) -> dict[str, Any]:
        """What the network is built with, beside its name."""
        return self.model_dump(exclude={"name"})


class Training(Section):
    """`[training]`: how every variant is trained.

    Attributes:
        epochs: Passes over the training set.
        batch_size: Examples a step.
        seeds: One training run each.
        optimizer: The update rule.
        learning_rate: Its peak.
        schedule: From the peak down to 0 along a cosine, or constant.
        warmup_epochs: Epochs in which the learning rate rises from 0 to its peak.
        weight_decay: Decoupled decay of the kernels, not of biases and norms.
        momentum: Of sgd.
        seeds_together: Train all seeds in one vectorised program; `"auto"` where that is as fast.
    """

    epochs: PositiveInt
    batch_size: PositiveInt
    seeds: Annotated[tuple[Seed, ...], Field(strict=False), AfterValidator(_filled)]
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    seeds_together: Literal[True, False, "auto"] = "auto"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise complaint("must differ from one another", "seeds")
        if self.warmup_epochs > self.epochs:
            raise complaint(f"must be at most epochs = {self.epochs}", "warmup_epochs")
        return self


class Measurement(Section):
    """`[measurement]`: how cost is measured once training is over.

    Attributes:
        seconds: How long to measure, all variants together, compilation aside.
        rounds: Stop earlier after so many samples of each quantity.
        latency_samples: Single-image inferences to time for each variant.
    """

    seconds: Positive = 60.0
    rounds: Annotated[int, Field(ge=6)] = 50
    latency_samples: Annotated[int, Field(ge=100)] = 500


class Pool(Section):
    """`[variants.NAME]`: a pooling.

    Attributes:
        pool: An operator of jaxpool by name, one of the learned poolings of `experiments.models`,
            `"strided"` (the convolution takes the stride) or `"none"`.
        window: The operator's `window_shape`.
        stride: The operator's `strides`; of `"strided"`, the convolution's.
        padding: The operator's `padding`.
        arguments: The operator's further arguments, by their own names.
    """

    pool: Annotated[str, _known("pool", slot.names)]
    window: Sizes | None = None
    stride: Sizes | None = None
    padding: Padding | None = None
    arguments: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _suits_the_operator(self) -> Self:
        operator = slot.operators().get(self.pool)
        if operator is None:
            takes = {"stride"} if self.pool == "strided" else set()
            required = set()
        else:
            parameters = inspect.signature(operator).parameters
            takes = set(parameters) - _NOT_FROM_A_CONFIG
            required = {n for n in takes if parameters[n].default is inspect.Parameter.empty}
        plain = {key: name if operator else key for key, name in _SUGAR.items()}
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
        """The network's slot for this pooling.

        Args:
            place: Where the config asks for it, for error messages.

        Returns:
            The slot.
        """
        if self.pool in slot.WITHOUT_OPERATOR:
            stride = 1 if self.pool == "none" else self.stride or 2
            return Slot(self.pool, stride=stride, place=place)
        given = {name: getattr(self, key) for key, name in _SUGAR.items()}
        arguments = {name: value for name, value in given.items() if value is not None}
        arguments |= {name: _tuples(value) for name, value in (self.arguments or {}).items()}
        return Slot(self.pool, arguments=arguments, place=place)


Variant = Annotated[
    Annotated[Pool, Tag("table")] | Annotated[tuple[Pool, ...], Field(strict=False), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "table"),
]
"""One pooling for every stage, or a list with one a stage."""


class Study(Section):
    """The whole file.

    Attributes:
        name: Of the study and of its results folder; the file's own name if left out.
        dataset: What is learned.
        model: The network.
        training: How it is trained.
        measurement: How its cost is measured.
        variants: The poolings to compare, by name.
    """

    name: Name
    dataset: Dataset
    model: Model
    training: Training
    measurement: Measurement = Measurement()
    variants: Annotated[dict[Name, Variant], AfterValidator(_filled)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        stages = len(self.model.widths)
        for name, variant in self.variants.items():
            if isinstance(variant, tuple) and len(variant) != stages:
                raise complaint(
                    f"{len(variant)} poolings for the {stages} stages that model.widths makes",
                    f"variants.{name}",
                )
        if self.training.batch_size > self.dataset.train_size:
            raise complaint(
                f"must be at most the {self.dataset.train_size} training examples",
                "training.batch_size",
            )
        return self

    def slots(self, variant: str) -> tuple[Slot, ...]:
        """One slot a stage, for one of the variants."""
        place = f"variants.{variant}"
        pools = self.variants[variant]
        if isinstance(pools, Pool):
            return (pools.slot(place),) * len(self.model.widths)
        return tuple(pool.slot(f"{place}.{number}") for number, pool in enumerate(pools))

    def fingerprint(self, variant: str) -> str:
        """SHA-256 of all that decides the result of one of the variant's training runs."""
        whole = self.model_dump(mode="json")
        del whole["training"]["seeds"], whole["training"]["seeds_together"]
        del whole["dataset"]["directory"]
        decisive = {key: whole[key] for key in ("dataset", "model", "training")}
        decisive["variant"] = whole["variants"][variant]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
