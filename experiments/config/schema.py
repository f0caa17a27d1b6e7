"""What a study's TOML file may say: strict, frozen sections with their defaults."""

import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    ValidationError,
    model_validator,
)

from experiments import register
from experiments.data import DataError, DatasetOptions
from experiments.folder import cell_name
from experiments.models import AnyHead, Head, ModelOptions, Slot, slot
from experiments.records import VARIANT_PATTERN
from experiments.section import (
    NonNegative,
    NonNegativeInt,
    Padding,
    Positive,
    PositiveInt,
    Section,
    Seed,
    Share,
    Sizes,
    complaint,
    filled,
    hint,
    known,
    tuples,
)
from experiments.tasks import TASKS, TaskOptions

Target = Literal["tpu-v5e", "tpu-v6e", "h100"]
"""Devices that are not here; see `experiments.targets`."""

_SUGAR = {"window": "window_shape", "stride": "strides", "padding": "padding"}
"""The keys of a pool that stand for an operator's argument of another name."""
_NOT_FROM_A_CONFIG = {"x", "key", "where", "kernel_init", "rngs"}

Name = Annotated[str, Field(pattern=rf"^{VARIANT_PATTERN}$")]


def _named(
    kind: str, options: Callable[[], Mapping[str, type[Section]]], default: str | None = None
) -> BeforeValidator:
    """Turns a table into the section that its `name` stands for."""

    def choose(value: Any) -> Any:
        if isinstance(value, Section):
            return value
        if not isinstance(value, dict):
            raise complaint("must be a table")
        name = value.get("name", default)
        if name is None:
            raise complaint("missing", "name")
        if not isinstance(name, str) or name not in options():
            raise complaint(f"unknown {kind}{hint(name, options())}", "name")
        return options()[name].model_validate({**value, "name": name})

    return BeforeValidator(choose)


class Augmentation(Section):
    """`[training.augmentation]`: how training images and signals are changed at random.

    Attributes:
        shift: Shifts each by up to so many pixels along each axis; 0 is shifted in. (Cropping out
            of an image padded by as many pixels is the same.)
        flip: Mirrors each left to right with probability 1/2.
    """

    shift: NonNegativeInt = 0
    flip: bool = False


class Training(Section):
    """`[training]`: how every variant is trained.

    Attributes:
        epochs: Passes over the training set. Either this or `steps` is given.
        steps: Steps of the optimiser.
        batch_size: Examples per step.
        seeds: One training run each.
        optimizer: The update rule.
        learning_rate: Its peak.
        schedule: From the peak down to 0 along a cosine, constant, or in steps: multiplied by
            `factor` at each of the `milestones`.
        milestones: Of `"steps"`: after how many epochs, or steps if `steps` is given.
        factor: Of `"steps"`.
        warmup_epochs: Epochs in which the learning rate rises from 0 to its peak.
        weight_decay: Decay of the kernels, not of biases and norms.
        coupled_decay: Add the decay to the gradient, so that it passes through momentum or Adam (L2
            regularisation), instead of to the update.
        momentum: Of sgd.
        nesterov: Whether sgd's momentum is Nesterov's.
        shuffle: Whether each epoch goes through the examples in another order.
        seeds_together: Train all seeds in one vectorised program; `"auto"` where that is as fast.
        augmentation: Random changes of training examples.
    """

    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    batch_size: PositiveInt
    seeds: Annotated[tuple[Seed, ...], Field(strict=False), AfterValidator(filled)]
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    milestones: Annotated[tuple[PositiveInt, ...], Field(strict=False)] = ()
    factor: Positive = 0.1
    warmup_epochs: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    coupled_decay: bool = False
    momentum: Share = 0.9
    nesterov: bool = True
    shuffle: bool = True
    seeds_together: Literal[True, False, "auto"] = "auto"
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise complaint("give either epochs or steps", "epochs")
        if len(set(self.seeds)) < len(self.seeds):
            raise complaint("must differ from one another", "seeds")
        if self.epochs is not None and self.warmup_epochs > self.epochs:
            raise complaint(f"must be at most epochs = {self.epochs}", "warmup_epochs")
        if bool(self.milestones) != (self.schedule == "steps"):
            raise complaint('schedule = "steps" needs milestones, no other takes any', "milestones")
        if any(a >= b for a, b in itertools.pairwise(self.milestones)):
            raise complaint("must rise", "milestones")
        return self

    def total_steps(self, steps_per_epoch: int) -> int:
        """The steps of a whole run."""
        return self.steps or (self.epochs or 0) * steps_per_epoch

    def round_steps(self, steps_per_epoch: int) -> int:
        """The steps between two checkpoints: an epoch, or 500 steps where those are more.

        With `epochs` it is always one epoch.
        """
        if self.steps is None:
            return steps_per_epoch
        return min(max(steps_per_epoch, 500), self.steps)


class Measurement(Section):
    """`[measurement]`: how cost is measured once training is over.

    Attributes:
        seconds: How long to measure, all variants together, compilation aside.
        rounds: Stop earlier after so many samples of each quantity.
        latency_samples: Single-image inferences to time for each variant.
        targets: Devices that are not here, for which every variant is compiled and its cost
            estimated: `"tpu-v5e"`, `"tpu-v6e"`, `"h100"`. Needs `make targets`.
    """

    seconds: Positive = 60.0
    rounds: Annotated[int, Field(ge=6)] = 50
    latency_samples: Annotated[int, Field(ge=100)] = 500
    targets: Annotated[tuple[Target, ...], Field(strict=False)] = ()


class Pool(Section):
    """`[variants.NAME]`: a pooling.

    Attributes:
        pool: An operator of jaxpool by name, one of the learned poolings of `experiments.models`,
            a pooling of a plug-in, `"strided"` (the convolution takes the stride) or `"none"`.
            It may be left out, for `"none"`, where `head` is given.
        window: The operator's `window_shape`.
        stride: The operator's `strides`; of `"strided"`, the convolution's.
        padding: The operator's `padding`.
        arguments: The operator's further arguments, by their own names.
        extra_convolutions: Convolutions before it, beside the network's own; the last one takes the
            stride of `"strided"`.
        head: The last pooling of the network; the model's own if left out.
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
        extra = self.extra_convolutions or 0
        if self.pool in slot.WITHOUT_OPERATOR:
            stride = 1 if self.pool == "none" else self.stride or 2
            return Slot(self.pool, stride=stride, place=place, extra_convolutions=extra)
        given = {name: getattr(self, key) for key, name in _SUGAR.items()}
        arguments = {name: value for name, value in given.items() if value is not None}
        arguments |= {name: tuples(value) for name, value in (self.arguments or {}).items()}
        return Slot(self.pool, arguments=arguments, place=place, extra_convolutions=extra)


Variant = Annotated[
    Annotated[Pool, Tag("table")] | Annotated[tuple[Pool, ...], Field(strict=False), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "table"),
]
"""One pooling for every stage, or a list with one per stage."""

Dataset = Annotated[SerializeAsAny[DatasetOptions], _named("dataset", register.datasets)]
Model = Annotated[
    SerializeAsAny[ModelOptions], _named("network", register.models, default="small_cnn")
]
Task = Annotated[SerializeAsAny[TaskOptions], _named("task", lambda: TASKS)]
Swept = Annotated[list[Any], AfterValidator(filled)]


def _without_a_sweep(value: Any) -> Any:
    if isinstance(value, dict) and not any(isinstance(inner, dict) for inner in value.values()):
        return {"": value}
    return value


class Published(Section):
    """`[published]`: accuracies that others have published, shown beside those of this study.

    Attributes:
        source: Where they are published.
        accuracy: Test accuracy in percent by variant; of a sweep, such a table for each cell, such
            as `"dataset.examples=2000"`.
    """

    source: str
    accuracy: Annotated[
        dict[str, dict[str, Annotated[float, Field(ge=0, le=100)]]],
        BeforeValidator(_without_a_sweep),
    ]


class Study(Section):
    """The whole file.

    Attributes:
        name: Of the study and of its results folder; the file's own name if left out.
        dataset: What is learned.
        model: The network.
        task: What it is trained and scored for; the dataset's own task if left out.
        training: How it is trained.
        measurement: How its cost is measured.
        variants: The poolings to compare, by name.
        sweep: Lists of values by the key that they are for, such as `"dataset.train_limit"`. The
            study is then run for each combination of values, a cell.
        published: What others have published; it changes no run.
    """

    name: Name
    dataset: Dataset
    model: Model
    task: Task | None = None
    training: Training
    measurement: Measurement = Measurement()
    variants: Annotated[dict[Name, Variant], AfterValidator(filled)]
    sweep: dict[str, Swept] = Field(default_factory=dict)
    published: Published | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        stages = self.model.stages
        for name, variant in self.variants.items():
            pools = variant if isinstance(variant, tuple) else (variant,)
            if not stages and any(pool.pool != "none" for pool in pools):
                raise complaint(
                    f"{self.model.name} has no stage to pool after; give head = ... instead",
                    f"variants.{name}",
                )
            if any(p.extra_convolutions for p in pools) and not self.model.takes_extra_convolutions:
                raise complaint(
                    f"the network {self.model.name} takes no extra_convolutions", f"variants.{name}"
                )
            if isinstance(variant, tuple):
                if len(variant) != stages:
                    raise complaint(
                        f"{len(variant)} poolings for the {stages} stages of the network",
                        f"variants.{name}",
                    )
                if any(pool.head for pool in pools):
                    raise complaint("a list of poolings takes no head", f"variants.{name}")
        try:
            info, size = self.dataset.describe(), self.dataset.train_size
        except DataError as error:
            raise complaint(str(error), "dataset") from error
        if info.kind not in self.model.kinds:
            raise complaint(
                f"{self.model.name} reads {' or '.join(sorted(self.model.kinds))}, and the dataset "
                f"{self.dataset.name} is of kind {info.kind}",
                "model.name",
            )
        for name, variant in self.variants.items():
            if isinstance(variant, Pool):
                self.model.refuse_head(variant.head, f"variants.{name}.head")
        if self.task is not None and info.task != self.task.name:
            raise complaint(
                f"the dataset {self.dataset.name} is for the task {info.task}", "task.name"
            )
        if self.training.batch_size > size:
            raise complaint(f"must be at most the {size} training examples", "training.batch_size")
        cells = self.cells()
        for cell, accuracies in self.published.accuracy.items() if self.published else ():
            if cell not in cells:
                found = (
                    f"{cell!r} is no cell" if cell else "must be one table per cell of the sweep"
                )
                raise complaint(f"{found}{hint(cell, cells)}", "published.accuracy")
            for name in accuracies:
                if name not in self.variants:
                    raise complaint(
                        f"{name!r} is no variant{hint(name, self.variants)}", "published.accuracy"
                    )
        return self

    @property
    def scored_for(self) -> TaskOptions:
        """The task: the config's, or the dataset's own."""
        return self.task or TASKS[self.dataset.describe().task](name=self.dataset.describe().task)

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch; the examples left over, other ones each epoch, sit out."""
        return self.dataset.train_size // self.training.batch_size

    @property
    def rounds(self) -> int:
        """How many rounds a run has: epochs, or the parts of `training.steps`."""
        total = self.training.total_steps(self.steps_per_epoch)
        return math.ceil(total / self.training.round_steps(self.steps_per_epoch))

    def slots(self, variant: str) -> tuple[Slot, ...]:
        """One slot per stage, for one of the variants."""
        place = f"variants.{variant}"
        pools = self.variants[variant]
        if isinstance(pools, Pool):
            return (pools.slot(place),) * self.model.stages
        return tuple(pool.slot(f"{place}.{number}") for number, pool in enumerate(pools))

    def head(self, variant: str) -> Head:
        """The network's last pooling, for one of the variants."""
        pools = self.variants[variant]
        if isinstance(pools, Pool) and pools.head is not None:
            return pools.head.head(f"variants.{variant}.head")
        return self.model.head.head("model.head")

    def cells(self) -> dict[str, "Study"]:
        """The studies of a sweep by what their swept keys are, or this one under an empty name.

        Raises:
            PydanticCustomError: A swept key, or one of its values, is not allowed.
        """
        if not self.sweep:
            return {"": self}
        cells = {}
        for values in itertools.product(*self.sweep.values()):
            chosen = dict(zip(self.sweep, values, strict=True))
            whole = self.model_dump(mode="json", exclude_none=True, exclude={"sweep", "published"})
            for key, value in chosen.items():
                _set(whole, key, value)
            try:
                cells[cell_name(chosen)] = Study.model_validate(whole)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"]))
                raise complaint(f"{cell_name(chosen)}: {place}: {first['msg']}", "sweep") from error
        return cells

    def fingerprint(self, variant: str) -> str:
        """SHA-256 of all that decides the result of one of the variant's training runs."""
        whole = self.model_dump(mode="json", exclude={"dataset"})
        del whole["training"]["seeds"], whole["training"]["seeds_together"]
        decisive = {key: whole[key] for key in ("model", "task", "training")}
        decisive |= {"dataset": self.dataset.identity(), "variant": whole["variants"][variant]}
        decisive["plugins"] = self.plugins(variant)
        return _sha256(decisive)

    def cost_fingerprint(self, variant: str) -> str:
        """SHA-256 of all that decides what one of the variants costs."""
        whole = self.model_dump(mode="json", exclude={"dataset"})
        decisive: dict[str, Any] = {key: whole[key] for key in ("model", "task")}
        info = self.dataset.describe()
        decisive["shapes"] = [str(shape) for shape in info.batch(self.training.batch_size)]
        decisive["classes"], decisive["vocabulary"] = info.classes, info.vocabulary
        decisive["training"] = {
            key: whole["training"][key] for key in ("optimizer", "augmentation", "weight_decay")
        }
        decisive |= {"variant": whole["variants"][variant], "plugins": self.plugins(variant)}
        return _sha256(decisive)

    def plugins(self, variant: str) -> list[str]:
        """Hashes of the plug-ins that a variant's runs use."""
        pools = self.variants[variant]
        names = [("dataset", self.dataset.name), ("model", self.model.name)]
        names += [
            ("pooling", pool.pool) for pool in (pools if isinstance(pools, tuple) else (pools,))
        ]
        found = (register.plugin_of(kind, name) for kind, name in names)
        return sorted({digest for digest in found if digest is not None})


def _set(whole: dict[str, Any], key: str, value: Any) -> None:
    table = whole
    *path, last = key.split(".")
    for step in path:
        table = table.setdefault(step, {})
        if not isinstance(table, dict):
            raise complaint(f"{key!r}: {step} is not a table", f"sweep.{key}")
    table[last] = value


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
