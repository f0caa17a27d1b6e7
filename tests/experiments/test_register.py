import pytest

from experiments import register
from experiments.data import DatasetOptions
from experiments.models import ModelOptions, slot
from tests.experiments.plugged import fresh_registry

KINDS = {
    "dataset": (register.dataset, register.datasets),
    "model": (register.model, register.models),
    "pooling": (register.pooling, register.poolings),
}


@pytest.fixture
def own_registry():
    with fresh_registry():
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_registered_objects_are_found_unchanged(own_registry, kind):
    add, entries = KINDS[kind]

    class Thing:
        pass

    assert add("thing")(Thing) is Thing
    assert entries()["thing"] is Thing
    assert register.plugin_of(kind, "thing") is None


@pytest.mark.parametrize(
    ("kind", "name"), [("dataset", "digits"), ("model", "small_cnn"), ("pooling", "mine")]
)
def test_a_name_cannot_be_registered_twice(own_registry, kind, name):
    add, entries = KINDS[kind]
    if kind == "pooling":
        add(name)(lambda x: x)
    before = entries()[name]
    with pytest.raises(register.RegisterError, match=f"{kind} '{name}' is registered already"):
        add(name)(object)
    assert entries()[name] is before


def test_a_name_belongs_to_the_plugin_that_is_being_loaded(own_registry):
    with register.loading("outer"):
        register.pooling("one")(lambda x: x)
        with register.loading("inner"):
            register.pooling("two")(lambda x: x)
        register.pooling("three")(lambda x: x)
    register.pooling("four")(lambda x: x)
    found = [register.plugin_of("pooling", name) for name in ("one", "two", "three", "four")]
    assert found == ["outer", "inner", "outer", None]
    assert register.plugin_of("dataset", "one") is None


def test_built_in_entries_have_the_promised_types():
    assert all(issubclass(cls, DatasetOptions) for cls in register.datasets().values())
    assert all(issubclass(cls, ModelOptions) for cls in register.models().values())
    for kind, entries in (("dataset", register.datasets()), ("model", register.models())):
        assert all(register.plugin_of(kind, name) is None for name in entries)


def test_parameters_of_a_class_are_those_of_its_constructor():
    from flax import nnx

    class Mine(nnx.Module):
        def __init__(self, window_shape, *, sharpness=1.0, rngs):
            pass

    assert list(slot.parameters(Mine)) == ["window_shape", "sharpness", "rngs"]
    assert "rngs" in slot.parameters(slot.operators()["gated_pool"])
    assert list(slot.parameters(lambda x, p=2: x)) == ["x", "p"]
