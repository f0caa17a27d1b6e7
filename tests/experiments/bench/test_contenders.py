"""Every installed contender gives the reference's result, or the reason why it is left out."""

import contextlib
import dataclasses
import io
import pickle
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from experiments.bench import contenders
from experiments.bench.case import Case
from experiments.bench.contenders import ITSELF, LIBRARIES, NAMES, LeftOut, Problem, elsewhere
from experiments.bench.contenders.compiled import anonymous
from experiments.bench.judging import judge
from experiments.bench.reference import Reference

CASES = {
    "max padded": {
        "operator": "max",
        "shape": [2, 8, 9, 3],
        "window": 3,
        "strides": 2,
        "padding": 1,
    },
    "max 1-D": {"operator": "max", "shape": [2, 12, 3], "window": 4, "strides": 4},
    "max 3-D": {"operator": "max", "shape": [1, 4, 6, 4, 3], "window": 2, "strides": 2},
    "avg SAME": {"operator": "avg", "shape": [2, 8, 9, 3], "window": 3, "padding": "SAME"},
    "avg global": {"operator": "avg", "shape": [2, 5, 5, 4], "window": "global"},
}
COMPILED = ["forward", "gradient", "jvp"]
ABSENT = {("haiku", "max padded"), ("haiku", "avg SAME")}
MODES_OF = {
    "torch": ["forward", "gradient"],
    "onnxruntime": ["forward"],
}


def problem(case, mode, dtype="float32"):
    rng = np.random.default_rng(0)
    shapes = (case.shape, case.output_shape, case.shape)
    numpy_dtype = np.dtype(jnp.dtype(dtype))
    arrays = (rng.standard_normal(s, np.float32).astype(numpy_dtype) for s in shapes)
    return Problem(mode, *arrays, case=case, dtype=dtype)


def complaint(name, given):
    """The verdict of the benchmark's own check of a contender's result."""
    reference = Reference(given.case, given.x)
    expected = {
        "forward": lambda: (reference.forward(),),
        "eager": lambda: (reference.forward(),),
        "gradient": lambda: (reference.forward(), reference.gradient(given.dy)),
        "jvp": lambda: (reference.forward(), reference.tangent(given.t)),
    }[given.mode]()
    program = contenders.prepare(name, given)
    return judge(program.fetch(program.run()), expected, given.x.dtype).complaint


@pytest.fixture(autouse=True)
def _shared_caches(monkeypatch):
    """Keeps compiled programs, which the benchmark clears, so that later tests stay fast."""
    monkeypatch.setattr(jax, "clear_caches", lambda: None)


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("described", CASES)
def test_contenders_give_the_reference_s_result(name, described):
    pytest.importorskip(LIBRARIES[name])
    case = Case.model_validate({"name": "c", **CASES[described]})
    answered = []
    for mode in COMPILED:
        with contextlib.suppress(LeftOut):
            assert complaint(name, problem(case, mode)) == ""
            answered.append(mode)
    absent = (name, described) in ABSENT
    assert answered == ([] if absent else MODES_OF.get(name, COMPILED))


@pytest.mark.parametrize("name", ["jaxpool", "lax", "onnxruntime", "torch"])
def test_calls_without_jit_give_the_reference_s_result(name):
    pytest.importorskip(LIBRARIES[name])
    case = Case.model_validate({"name": "c", **CASES["max 1-D"]})
    assert complaint(name, problem(case, "eager")) == ""


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("jaxpool:") and n != ITSELF])
def test_every_method_gives_the_reference_s_result(name):
    case = Case.model_validate({"name": "c", **CASES["max padded"]})
    assert complaint(name, problem(case, "gradient")) == ""


@pytest.mark.parametrize("name", ["jaxpool", "lax", "torch"])
def test_bfloat16_results_are_bfloat16(name):
    pytest.importorskip(LIBRARIES[name])
    case = Case(name="c", operator="max", shape=(2, 8, 8, 4), window=2, strides=2)
    assert complaint(name, problem(case, "gradient", "bfloat16")) == ""


@pytest.mark.parametrize(
    ("name", "given", "mode", "reason"),
    [
        ("torch", {"window": 4, "padding": "SAME"}, "forward", "pads both sides alike"),
        ("torch", {"window": 3, "padding": 2}, "forward", "half a window at most"),
        ("torch", {"window": 3}, "jvp", "forward and reverse mode only"),
        ("onnxruntime", {"window": 3}, "gradient", "no derivatives"),
        ("flax", {"window": 3, "dilation": 2}, "forward", "no dilated pooling"),
        ("equinox", {"window": 3, "dilation": 2}, "forward", "no dilated pooling"),
        ("haiku", {"window": 3, "padding": 1}, "forward", "no padding in numbers"),
        ("lax", {"window": 3, "dilation": 2}, "gradient", "no such derivative"),
    ],
)
def test_a_contender_that_lacks_a_feature_is_left_out_with_the_reason(name, given, mode, reason):
    pytest.importorskip(LIBRARIES[name])
    case = Case.model_validate({"name": "c", "operator": "max", "shape": [1, 8, 8, 2], **given})
    with pytest.raises(LeftOut, match=reason):
        contenders.prepare(name, problem(case, mode))


def test_a_library_that_is_not_installed_is_left_out_by_name(monkeypatch):
    monkeypatch.setitem(LIBRARIES, "torch", "a_torch_that_is_not_there")
    case = Case(name="c", operator="max", shape=(1, 4, 4, 1), window=2)
    with pytest.raises(LeftOut, match="a_torch_that_is_not_there is not installed"):
        contenders.prepare("torch", problem(case, "forward"))


def test_contenders_are_selected_by_pattern():
    methods = [name for name in NAMES if name.startswith("jaxpool:")]
    assert contenders.named(["torch", "jaxpool", "jaxpool:*"]) == ("torch", "jaxpool", *methods)
    assert contenders.named(["nobody"]) == ()


def test_equal_programs_of_two_contenders_are_recognised():
    x = jax.ShapeDtypeStruct((2, 9, 4), jnp.float32)

    def text(function):
        return anonymous(jax.jit(function).lower(x).compile().as_text())

    def mean(array):
        return array.sum(1) / 9

    assert text(mean) == text(lambda x: lax.reduce(x, 0.0, lax.add, (1,)) / 9)
    assert text(mean) != text(lambda x: x.sum(1) / 8)
    assert text(mean) != text(lambda x: x.max(1))


def test_programs_with_elided_constants_are_not_compared_by_text():
    assert anonymous("%c = f32[99] constant({...})") is None


@pytest.mark.parametrize("mode", ["forward", "gradient"])
def test_a_contender_of_another_interpreter_takes_turns(mode):
    case = Case.model_validate({"name": "c", **CASES["max padded"]})
    make = partial(contenders.prepare, "lax", problem(case, mode))
    here, there = make(), elsewhere.prepare(make)
    results = (program.fetch(program.run()) for program in (here, there))
    for expected, result in zip(*results, strict=True):
        np.testing.assert_array_equal(result, expected)
    assert there.text == here.text
    assert there.run.elapsed(2) > 0


def test_another_interpreter_is_asked_where_a_library_is_not_installed(monkeypatch):
    monkeypatch.setitem(LIBRARIES, "torch", "a_torch_that_is_not_there")
    case = Case.model_validate({"name": "c", **CASES["max padded"]})
    asked = problem(case, "jvp")
    with pytest.raises(LeftOut, match=r"is not installed|forward and reverse mode only"):
        contenders.prepare("torch", dataclasses.replace(asked, interpreter=sys.executable))
    make = partial(contenders.prepare, "nobody", asked)
    questions, answers = io.BytesIO(pickle.dumps(("prepare", make))), io.BytesIO()
    elsewhere.answer(questions, answers)  # what the other process does
    assert str(pickle.loads(answers.getvalue())) == "KeyError: 'nobody'"
