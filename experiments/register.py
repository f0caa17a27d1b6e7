"""Registries of datasets, networks and poolings, filled by the lab and by plug-ins.

A plug-in is a Python file that a user names on the command line:

    python -m experiments run my_study.toml --plugin my_plugin.py

Configs name the objects that a plug-in registers in the same way as built-in ones:

    from experiments import register

    @register.pooling("smooth_max_pool")
    def smooth_max_pool(x, window_shape, *, strides=None, padding="VALID", sharpness=4.0):
        return jaxpool.logsumexp_pool(x, window_shape, sharpness, strides=strides, padding=padding)

`examples/` has one plug-in of each kind. `docs/lab.md` lists the methods and fields that a dataset
and a network must have.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_datasets: dict[str, type[Any]] = {}
_models: dict[str, type[Any]] = {}
_poolings: dict[str, Callable[..., Any]] = {}

_loading: list[str] = []
_plugins: dict[tuple[str, str], str] = {}


class RegisterError(Exception):
    """A plug-in cannot be used; the message names the plug-in and the reason."""


def dataset(name: str) -> Callable[[type[T]], type[T]]:
    """Registers a dataset: a subclass of `experiments.data.DatasetOptions`.

    Args:
        name: The value of `name` in `[dataset]`.

    Returns:
        A decorator of the class. Its fields are the keys of `[dataset]`; `describe()` gives a
        `DatasetInfo` and `load()` a `Dataset`.

    Raises:
        RegisterError: The name is already registered.
    """
    return _decorator("dataset", _datasets, name)


def model(name: str) -> Callable[[type[T]], type[T]]:
    """Registers a network: a subclass of `experiments.models.ModelOptions`.

    Args:
        name: The value of `name` in `[model]`.

    Returns:
        A decorator of the class. Its fields are the keys of `[model]`; `stages` is the number of
        pooling slots, and `build(info, slots, head, rngs)` returns the network.

    Raises:
        RegisterError: The name is already registered.
    """
    return _decorator("model", _models, name)


def pooling(name: str) -> Callable[[T], T]:
    """Registers a pooling: a function `f(x, ...)` or a class of `nnx.Module`.

    Args:
        name: The value of `pool` in `[variants.NAME]`.

    Returns:
        A decorator. A function takes feature maps `(N, *spatial, C)` and returns feature maps. A
        class is built with the config's arguments (and `rngs`, if its constructor takes `rngs`) and
        then called on feature maps. The config keys `window`, `stride` and `padding` are passed as
        `window_shape`, `strides` and `padding`; further arguments are given in `arguments`.

    Raises:
        RegisterError: The name is already registered.
    """
    return _decorator("pooling", _poolings, name)


def datasets() -> Mapping[str, type[Any]]:
    """The registered datasets."""
    return _datasets


def models() -> Mapping[str, type[Any]]:
    """The registered networks."""
    return _models


def poolings() -> Mapping[str, Callable[..., Any]]:
    """The registered poolings, beside the operators of jaxpool."""
    return _poolings


def plugin_of(kind: str, name: str) -> str | None:
    """SHA-256 of the plug-in that registered this name, or None for a built-in name.

    Args:
        kind: `"dataset"`, `"model"` or `"pooling"`.
        name: The registered name.
    """
    return _plugins.get((kind, name))


@contextmanager
def loading(digest: str) -> Iterator[None]:
    """Attributes all names registered inside this context to the plug-in with this digest."""
    _loading.append(digest)
    try:
        yield
    finally:
        _loading.pop()


def _decorator(kind: str, entries: dict[str, Any], name: str) -> Callable[[Any], Any]:
    def add(value: Any) -> Any:
        if name in entries:
            raise RegisterError(f"{kind} {name!r} is registered already; choose another name")
        entries[name] = value
        if _loading:
            _plugins[kind, name] = _loading[-1]
        return value

    return add
