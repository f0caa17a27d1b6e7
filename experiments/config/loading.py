"""Loader of a study's TOML file; error messages name the key, the value and what is allowed."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import ValidationError

from experiments import register, toml
from experiments.config.schema import Study
from experiments.section import Section, hint
from experiments.tasks import TASKS

S = TypeVar("S", bound=Section)


class ConfigError(Exception):
    """A config cannot be used; the message names file, key, value and what is allowed."""


def load(path: Path, overrides: Sequence[str] = (), kind: type[S] = Study) -> S:
    """Reads a study, or a config of another kind.

    Args:
        path: The TOML file.
        overrides: Changes to the file, such as `"training.epochs=3"`: a key in TOML's spelling, and
            a value in TOML's spelling or a bare word.
        kind: The section class of the file; its `name` defaults to the file's name.

    Returns:
        The study, with all defaults filled in.

    Raises:
        ConfigError: The file or an override cannot be read, or a key or value is not allowed.
    """
    try:
        raw = toml.read(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except toml.TomlError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    for override in overrides:
        _apply(raw, override)
    raw = {"name": path.stem, **raw}
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        details = error.errors()
        lines = [_explain(detail, raw, str(path), overrides, kind) for detail in details]
        raise ConfigError("\n".join(lines)) from error


def dump(study: Section) -> str:
    """The config as TOML, including defaults."""
    return tomli_w.dumps(study.model_dump(mode="json", exclude_none=True))


def differences(before: str, after: str) -> list[str]:
    """The differences between two configs in TOML, one line per key.

    Raises:
        TomlError: One of the texts is not TOML.
    """
    old, new = (dict(_flat(toml.parse(text))) for text in (before, after))
    return [
        f"{key} was {_show(old.get(key))}, is {_show(new.get(key))}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]


def _flat(value: Any, place: str = "") -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(place, value)]
    return [
        pair
        for key, inner in value.items()
        for pair in _flat(inner, f"{place}.{key}" if place else key)
    ]


def _show(value: Any) -> str:
    return "absent" if value is None else repr(value)


def _apply(raw: dict[str, Any], override: str) -> None:
    """Sets one key of the raw config, from `key=value`."""
    place = f"--set {override}"
    key, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"{place}: must have the form key=value, as in training.epochs=3")
    try:
        path = _path(toml.parse(f"{key} = 0"))
    except toml.TomlError as error:
        raise ConfigError(f"{place}: {key!r} is not a key such as training.epochs") from error
    try:
        parsed = toml.parse(f"value = {value}")["value"]
    except toml.TomlError:
        if re.search(r"[\[\]{}\"'\n]", value):
            raise ConfigError(f"{place}: {value!r} is neither a TOML value nor a word") from None
        parsed = value
    table = raw
    for step in path[:-1]:
        table = table.setdefault(step, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{place}: {step} is not a table, so nothing inside it can be set")
    table[path[-1]] = parsed


def _path(nested: dict[str, Any]) -> list[str]:
    path = []
    while isinstance(nested, dict):
        ((step, nested),) = nested.items()
        path.append(step)
    return path


def _explain(
    detail: Any, raw: Any, source: str, overrides: Sequence[str], kind: type[Section]
) -> str:
    """One pydantic error, on one line."""
    context = detail.get("ctx", {})
    place, value, known = [], raw, True
    for step in [*detail["loc"], *filter(None, context.get("key", "").split("."))]:
        inside = isinstance(value, dict) and step in value
        if inside or (isinstance(value, list) and isinstance(step, int)):
            place.append(str(step))
            value = value[step]
        elif step not in ("table", "list", "[key]"):  # the tags of pydantic's union types
            place.append(str(step))
            known = False
    key = ".".join(place)
    changed = (override.partition("=")[0].strip() for override in overrides)
    if any(f"{key}.".startswith(f"{change}.") for change in changed):
        source = "--set"
    given = f" = {json.dumps(value, default=str)}" if known and key else ""
    return f"{source}: {key}{given}: {_reason(detail, place, kind, raw)}"


def _reason(detail: Any, place: list[str], whole: type[Section], raw: Any) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"unknown key{hint(place[-1], _section(place[:-1], whole, raw).model_fields)}"
    if kind == "literal_error":
        words = re.split(r", | or ", detail["ctx"]["expected"])
        allowed = [word.strip("'").lower() for word in words]
        return f"not allowed{hint(detail['input'], allowed)}"
    return _REASONS.get(kind) or detail["msg"].replace("Input should be", "must be")


_REASONS = {
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "float_type": "must be a number",
    "int_type": "must be an integer",
    "list_type": "must be a list",
    "missing": "missing",
    "model_type": "must be a table",
    "string_pattern_mismatch": "must be made of lower-case letters, digits, '-', '_' and '.'",
    "string_type": "must be a string",
    "tuple_type": "must be a list",
}


def _section(place: list[str], whole: type[Section], raw: Any) -> type[Section]:
    """The section that a path of keys leads to."""
    section = whole
    for step in place:  # Steps that are no fields are keys of tables or indices of lists.
        if section is Study and step in _CLASSES_BY_NAME:
            name = raw[step].get("name", "small_cnn")
            section = _CLASSES_BY_NAME[step]()[name]
        elif step in section.model_fields:
            section = _first_section(section.model_fields[step].annotation) or section
    return section


_CLASSES_BY_NAME = {"dataset": register.datasets, "model": register.models, "task": lambda: TASKS}
"""The tables whose keys depend on their `name`, with the classes of each."""


def _first_section(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inner = (_first_section(argument) for argument in get_args(annotation))
    return next(filter(None, inner), None)
