"""Generator of the reference of all config keys, from the sections' types and docstrings."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import PydanticUndefined

from experiments import register
from experiments.config.schema import Study
from experiments.config.training import Augmentation, MeasurementOptions, Training
from experiments.config.tuning import Range, Search, Tuning
from experiments.config.variant import PoolOptions
from experiments.data import DatasetOptions
from experiments.markdown import table
from experiments.models import HEADS, HeadOptions, ModelOptions
from experiments.models.head import head_arguments
from experiments.models.regions import REGION_HEADS
from experiments.models.slot import LEARNED, WITHOUT_OPERATOR, operators
from experiments.section import Section
from experiments.tasks import TASKS, TaskOptions

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def reference() -> str:
    """The reference as Markdown: sections, then every dataset, network, task, head and pooling."""
    parts = [
        _section("The file", Study),
        _section("`[dataset]`, of every dataset", DatasetOptions),
        *(_entry("dataset", name, kind, DatasetOptions) for name, kind in _built_in("dataset")),
        _section("`[model]`, of every network", ModelOptions),
        *(_entry("model", name, kind, ModelOptions) for name, kind in _built_in("model")),
        *(_entry("task", name, kind, TaskOptions) for name, kind in TASKS.items()),
        _section("`[training]`", Training),
        _section("`[training.augmentation]`", Augmentation),
        _section("`[measurement]`", MeasurementOptions),
        _section("`[variants.NAME]`", PoolOptions),
        _section("`head`", HeadOptions),
        _section("`[tuning]`", Tuning),
        _section("Ranges of `[tuning.space]`", Range),
        _section("`[search]`", Search),
        _heads("Heads", HEADS),
        _heads("Heads of `region_net`", REGION_HEADS),
        _poolings(),
    ]
    return "\n\n".join(parts)


def _built_in(kind: str) -> list[tuple[str, type[Section]]]:
    entries = register.datasets() if kind == "dataset" else register.models()
    return [(name, e) for name, e in entries.items() if register.plugin_of(kind, name) is None]


def _section(title: str, section: type[Section], without: type[Section] | None = None) -> str:
    hidden = set(without.model_fields) if without else set()
    rows = [
        (f"`{name}`", _default(field), _cell(described))
        for name, field in section.model_fields.items()
        if name not in hidden and (described := _attributes(section).get(name))
    ]
    return f"#### {title}\n\n{table(['key', 'default', ''], rows, left=(0, 1, 2))}"


def _entry(key: str, name: str, section: type[Section], base: type[Section]) -> str:
    """The entry of a dataset, network or task: its summary, and the keys that only it has."""
    own = [key for key in section.model_fields if key not in base.model_fields]
    summary = _cell(_summary(section))
    title = f'`[{key}] name = "{name}"`'
    if not own:
        return f"#### {title}\n\n{summary}"
    keys = _section(title, section, without=base)
    heading, _, rest = keys.partition("\n\n")
    return f"{heading}\n\n{summary}\n\n{rest}"


def _attributes(section: type[Section]) -> dict[str, str]:
    """The descriptions of a section's keys, from the docstrings of the section and its bases."""
    found: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if issubclass(base, Section):
            text = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2]
            found |= {m[1]: m[2] for m in _ATTRIBUTE.finditer(text)}
    return found


def _summary(section: type[Section]) -> str:
    return inspect.cleandoc(section.__doc__ or "").partition("\n\nAttributes:")[0]


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is PydanticUndefined or isinstance(value, Section):
        return f'`"{value.pool}"`' if isinstance(value, HeadOptions) else ""
    match value:
        case None:
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f'`"{value}"`'
        case tuple():
            return f"`{list(value)}`"
        case _:
            return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _heads(title: str, heads: Mapping[str, Callable[..., Any]]) -> str:
    rows = [
        (f"`{name}`", ", ".join(f"`{a}`" for a in head_arguments(build)))
        for name, build in heads.items()
    ]
    return f"#### {title}\n\n{table(['name', 'arguments'], rows, left=(0, 1))}"


def _poolings() -> str:
    plain = ", ".join(f"`{name}`" for name in sorted(operators()) if name not in LEARNED)
    learned = ", ".join(f"`{name}`" for name in LEARNED)
    without = ", ".join(f"`{name}`" for name in WITHOUT_OPERATOR)
    return "\n\n".join(
        [
            "#### Poolings",
            f"Without an operator: {without}. Learned: {learned}. Operators: {plain}.",
        ]
    )
