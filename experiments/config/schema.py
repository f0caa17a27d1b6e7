"""The schema of a study's TOML file: strict, frozen sections with defaults."""

import itertools
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
from experiments.config import fingerprints
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
    """A validator that converts a table to the section registered under its `name`."""

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
    """The config of a study: the whole file.

    Attributes:
        name: The name of the study and of its results folder; by default the file's name.
        question: The question of the study in one sentence; does not affect runs.
        dataset: The dataset.
        model: The network.
        task: The loss and the metrics; by default the dataset's own task.
        training: The training of every variant.
        measurement: The measurement of costs.
        variants: The poolings to compare, by name.
        tuning: Settings that are selected for each variant by validation accuracy.
        search: Selection of the pooling of each stage by validation accuracy.
        sweep: Lists of values by key, such as `"dataset.train_limit"`. The study is run for each
            combination of values (a cell).
        published: Published results of others; do not affect runs.
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
        """Steps per epoch; the remainder of the examples, different in each epoch, is skipped."""
        return self.dataset.train_size // self.training.batch_size

    @property
    def rounds(self) -> int:
        """The number of rounds of a run: epochs, or parts of `training.steps`."""
        total = self.training.total_steps(self.steps_per_epoch)
        return math.ceil(total / self.training.round_steps(self.steps_per_epoch))

    def slots(self, variant: str) -> tuple[Slot, ...]:
        """The poolings of a variant, one slot per stage."""
        place = f"variants.{variant}"
        pools = self.variants[variant]
        if isinstance(pools, PoolOptions):
            return (pools.slot(place),) * self.model.stages
        return tuple(pool.slot(f"{place}.{number}") for number, pool in enumerate(pools))

    def head(self, variant: str) -> Head:
        """The last pooling of the network (the head) of a variant."""
        pools = self.variants[variant]
        if isinstance(pools, PoolOptions) and pools.head is not None:
            return pools.head.head(f"variants.{variant}.head")
        return self.model.head.head("model.head")

    def cells(self) -> dict[str, "Study"]:
        """The studies of a sweep by the name of their cell; without a sweep, this study by `""`.

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
        """The study with changed values of some keys, and without tuning, search and sweep.

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
        """The study with individual settings of some variants.

        Args:
            choices: For each variant, the changed values by key.
        """
        study = self.model_copy()
        study._tuned = {name: self.changed(choice) for name, choice in choices.items()}
        return study

    def of(self, variant: str) -> "Study":
        """The study with the settings of one variant."""
        return self._tuned.get(variant, self)

    def fingerprint(self, variant: str) -> str:
        """SHA-256 of everything that determines the training result of a variant."""
        return fingerprints.of_result(self.of(variant), variant)

    def cost_fingerprint(self, variant: str) -> str:
        """SHA-256 of everything that determines the cost of a variant."""
        return fingerprints.of_cost(self.of(variant), variant)

    def plugins(self, variant: str) -> list[str]:
        """Hashes of the plug-ins that a variant uses."""
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
