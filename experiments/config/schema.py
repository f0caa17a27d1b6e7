"""What a study's TOML file may say: strict, frozen sections with their defaults."""

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    model_validator,
)

from experiments import register
from experiments.config.published import Published
from experiments.config.training import MeasurementOptions, Training
from experiments.config.tuning import Search, Tuning
from experiments.config.variant import PoolOptions, Variant
from experiments.data import DataError, DatasetOptions
from experiments.folder import cell_name
from experiments.models import Head, ModelOptions, Slot
from experiments.records import VARIANT_PATTERN
from experiments.section import (
    Section,
    complaint,
    filled,
    hint,
)
from experiments.tasks import TASKS, TaskOptions

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


Dataset = Annotated[SerializeAsAny[DatasetOptions], _named("dataset", register.datasets)]
Model = Annotated[
    SerializeAsAny[ModelOptions], _named("network", register.models, default="small_cnn")
]
Task = Annotated[SerializeAsAny[TaskOptions], _named("task", lambda: TASKS)]
Question = Annotated[str, Field(max_length=300)]
Swept = Annotated[list[Any], AfterValidator(filled)]


class Study(Section):
    """The whole file.

    Attributes:
        name: Of the study and of its results folder; the file's own name if left out.
        question: What the study is to answer, in one sentence; it changes no run.
        dataset: What is learned.
        model: The network.
        task: What it is trained and scored for; the dataset's own task if left out.
        training: How it is trained.
        measurement: How its cost is measured.
        variants: The poolings to compare, by name.
        tuning: Settings that each variant chooses for itself, by its validation accuracy.
        search: Which pooling at which stage is chosen, by validation accuracy.
        sweep: Lists of values by the key that they are for, such as `"dataset.train_limit"`. The
            study is then run for each combination of values, a cell.
        published: What others have published; it changes no run.
    """

    name: Name
    question: Question = ""
    dataset: Dataset
    model: Model
    task: Task | None = None
    training: Training
    measurement: MeasurementOptions = MeasurementOptions()
    variants: Annotated[dict[Name, Variant], AfterValidator(filled)]
    tuning: Tuning | None = None
    search: Search | None = None
    sweep: dict[str, Swept] = Field(default_factory=dict)
    published: Published | None = None
    _tuned: dict[str, "Study"] = PrivateAttr(default_factory=dict)

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
            if isinstance(variant, PoolOptions):
                self.model.refuse_head(variant.head, f"variants.{name}.head")
        if self.task is not None and info.task != self.task.name:
            raise complaint(
                f"the dataset {self.dataset.name} is for the task {info.task}", "task.name"
            )
        if self.training.batch_size > size:
            raise complaint(f"must be at most the {size} training examples", "training.batch_size")
        for trials in (self.tuning, self.search):
            if trials is not None:
                trials.check(self)
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
        if isinstance(pools, PoolOptions):
            return (pools.slot(place),) * self.model.stages
        return tuple(pool.slot(f"{place}.{number}") for number, pool in enumerate(pools))

    def head(self, variant: str) -> Head:
        """The network's last pooling, for one of the variants."""
        pools = self.variants[variant]
        if isinstance(pools, PoolOptions) and pools.head is not None:
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
            cells[cell_name(chosen)] = self._changed(chosen, "sweep", {"sweep", "published"})
        return cells

    def changed(self, values: Mapping[str, Any]) -> "Study":
        """The study with other values of some keys, and without tuning, search and sweep.

        Raises:
            PydanticCustomError: A key or its value is not allowed.
        """
        without = {"sweep", "published", "tuning", "search"}
        return self._changed(values, "tuning.space", without)

    def _changed(self, values: Mapping[str, Any], table: str, without: set[str]) -> "Study":
        whole = self.model_dump(mode="json", exclude_none=True, exclude=without)
        for key, value in values.items():
            _set(whole, key, value, table)
        try:
            return Study.model_validate(whole)
        except ValidationError as error:
            first = error.errors()[0]
            inner = first.get("ctx", {}).get("key", "")
            place = ".".join([*map(str, first["loc"]), *([inner] if inner else [])])
            raise complaint(f"{cell_name(values)}: {place}: {first['msg']}", table) from error

    def with_choices(self, choices: Mapping[str, Mapping[str, Any]]) -> "Study":
        """The study in which some variants have settings of their own.

        Args:
            choices: By variant, other values by key.
        """
        study = self.model_copy()
        study._tuned = {name: self.changed(choice) for name, choice in choices.items()}
        return study

    def of(self, variant: str) -> "Study":
        """The study with the settings that one of the variants is trained with."""
        return self._tuned.get(variant, self)

    def fingerprint(self, variant: str) -> str:
        """SHA-256 of all that decides the result of one of the variant's training runs."""
        if variant in self._tuned:
            return self._tuned[variant].fingerprint(variant)
        whole = self.model_dump(mode="json", exclude={"dataset"})
        del whole["training"]["seeds"], whole["training"]["seeds_together"]
        _forget_defaults(whole["training"], self.training)
        decisive = {key: whole[key] for key in ("model", "task", "training")}
        decisive |= {"dataset": self.dataset.identity(), "variant": whole["variants"][variant]}
        decisive["plugins"] = self.plugins(variant)
        return _sha256(decisive)

    def cost_fingerprint(self, variant: str) -> str:
        """SHA-256 of all that decides what one of the variants costs."""
        if variant in self._tuned:
            return self._tuned[variant].cost_fingerprint(variant)
        whole = self.model_dump(mode="json", exclude={"dataset"})
        decisive: dict[str, Any] = {key: whole[key] for key in ("model", "task")}
        info = self.dataset.describe()
        decisive["shapes"] = [str(shape) for shape in info.batch(self.training.batch_size)]
        decisive["classes"], decisive["vocabulary"] = info.classes, info.vocabulary
        decisive["training"] = {
            key: whole["training"][key] for key in ("optimizer", "augmentation", "weight_decay")
        }
        if self.training.precision != "float32":
            decisive["training"]["precision"] = self.training.precision
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


def _set(whole: dict[str, Any], key: str, value: Any, table: str) -> None:
    inside = whole
    *path, last = key.split(".")
    for step in path:
        inside = inside.setdefault(step, {})
        if not isinstance(inside, dict):
            raise complaint(f"{key!r}: {step} is not a table", f"{table}.{key}")
    inside[last] = value


_LATER = ("data_parallel", "precision", "shard_state")
"""Keys of `[training]` that a fingerprint holds only if they differ from their defaults: they came
after the first published records."""


def _forget_defaults(dumped: dict[str, Any], training: Training) -> None:
    """Removes later keys from a dumped `[training]` if they have their defaults."""
    for key in _LATER:
        if getattr(training, key) == Training.model_fields[key].default:
            del dumped[key]


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
