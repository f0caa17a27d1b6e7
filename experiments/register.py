"""Datasets, networks and poolings by name: the built-in ones, and those of plug-ins.

A plug-in is a Python file that a user names on the command line:

    python -m experiments run my_study.toml --plugin my_plugin.py

What it registers is named in configs as the built-in ones are:

    from experiments import register

    @register.pooling("smooth_max_pool")
    def smooth_max_pool(x, window_shape, *, strides=None, padding="VALID", sharpness=4.0):
        return jaxpool.logsumexp_pool(x, window_shape, sharpness, strides=strides, padding=padding)

`examples/` has one plug-in of each kind. `docs/lab.md` says what a dataset and a network must have.
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
    """A plug-in cannot be used; the message says which and why."""


def dataset(name: str) -> Callable[[type[T]], type[T]]:
    """Registers a dataset: a subclass of `experiments.data.DatasetOptions`.

    Args:
        name: What `[dataset] name = "..."` says.

    Returns:
        A decorator of the class. Its fields are the keys of `[dataset]`; `describe()` gives a
        `DatasetInfo` and `load()` a `Dataset`.

    Raises:
        RegisterError: The name is taken.
    """
    return _adding("dataset", _datasets, name)


def model(name: str) -> Callable[[type[T]], type[T]]:
    """Registers a network: a subclass of `experiments.models.ModelOptions`.

    Args:
        name: What `[model] name = "..."` says.

    Returns:
        A decorator of the class. Its fields are the keys of `[model]`; `stages` is the number of
        pooling slots, and `build(info, slots, head, rngs)` gives the network.

    Raises:
        RegisterError: The name is taken.
    """
    return _adding("model", _models, name)


def pooling(name: str) -> Callable[[T], T]:
    """Registers a pooling: a function `f(x, ...)` or a class of `nnx.Module`.

    Args:
        name: What `pool = "..."` says.

    Returns:
        A decorator. A function takes feature maps `(N, *spatial, C)` and gives feature maps. A
        class is built with the config's arguments (and `rngs`, if it takes one) and then called on
        feature maps. In a config, `window`, `stride` and `padding` stand for arguments called
        `window_shape`, `strides` and `padding`; others are given in `arguments`.

    Raises:
        RegisterError: The name is taken.
    """
    return _adding("pooling", _poolings, name)


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
    """SHA-256 of the plug-in that registered this name, or None for what is built in.

    Args:
        kind: `"dataset"`, `"model"` or `"pooling"`.
        name: The registered name.
    """
    return _plugins.get((kind, name))


@contextmanager
def loading(digest: str) -> Iterator[None]:
    """While a plug-in is imported: what is registered is its own."""
    _loading.append(digest)
    try:
        yield
    finally:
        _loading.pop()


def _adding(kind: str, entries: dict[str, Any], name: str) -> Callable[[Any], Any]:
    def add(value: Any) -> Any:
        if name in entries:
            raise RegisterError(f"{kind} {name!r} is registered already; choose another name")
        entries[name] = value
        if _loading:
            _plugins[kind, name] = _loading[-1]
        return value

    return add
