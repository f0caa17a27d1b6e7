"""The signatures of what is public: typed, without `Any`, the same argument alike everywhere."""

import inspect
import re

import pytest

import jaxpool
from jaxpool import compat, nn
from jaxpool.compat import flax, lax  # noqa: F401 - so that `compat` has them

FUNCTIONS = {f"jaxpool.{n}": getattr(jaxpool, n) for n in jaxpool.__all__ if n != "__version__"}
DROP_INS = {
    f"{module.__name__}.{name}": value
    for module in (compat.flax, compat.lax)
    for name, value in vars(module).items()
    if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
}
MODULES = {f"nn.{n}": getattr(nn, n) for n in nn.__all__}
CALLED = {
    f"{name}.{method}": getattr(value, method)
    for name, value in MODULES.items()
    if inspect.isclass(value)
    for method in ("__init__", "__call__")
}
PLAIN = {name: value for name, value in MODULES.items() if not inspect.isclass(value)}
PUBLIC = {**FUNCTIONS, **DROP_INS, **PLAIN, **CALLED}
OPERATORS = [getattr(jaxpool, name) for name in jaxpool.pooling.__all__]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_argument_and_result_has_a_type_that_says_something(name):
    signature = inspect.signature(PUBLIC[name])
    annotations = {p.name: p.annotation for p in signature.parameters.values() if p.name != "self"}
    if not name.endswith("__init__"):
        annotations["return"] = signature.return_annotation
    for argument, annotation in annotations.items():
        assert annotation is not inspect.Parameter.empty, argument
        assert not re.search(r"\bAny\b", str(annotation)), f"{argument}: {annotation}"


def test_an_argument_is_of_one_kind_in_every_operator():
    """But `strides` of blur pooling, which may also be given by position."""
    kinds = {}
    for operator in OPERATORS:
        if operator is jaxpool.reduce_window:  # the signature of jax.lax
            continue
        for p in inspect.signature(operator).parameters.values():
            by_kind = kinds.setdefault(p.name, {})
            by_kind.setdefault(p.kind.description, []).append(operator.__name__)
    mixed = {name: by_kind for name, by_kind in kinds.items() if len(by_kind) > 1}
    assert {name: by_kind["positional or keyword"] for name, by_kind in mixed.items()} == {
        "strides": ["blur_pool", "max_blur_pool"]
    }


def test_every_operator_takes_a_mask_if_elements_can_be_missing():
    without = {o.__name__ for o in OPERATORS if "where" not in inspect.signature(o).parameters}
    assert without == {
        "max_unpool",  # an index of -1 leaves a value out
        "reduce_window",  # the signature of jax.lax
        *("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool"),  # boxes say what is pooled
    }


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_what_a_docstring_says_of_errors_names_what_causes_them(operator):
    documented = inspect.getdoc(operator)
    assert "has the wrong type" not in documented
    assert "that is not allowed" not in documented
    assert "Raises:" in documented
