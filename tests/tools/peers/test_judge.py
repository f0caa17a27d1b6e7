import dataclasses
import itertools

import numpy as np
import pytest

import jaxpool
from tests.tools.peers import made_up
from tests.tools.peers.made_up import FIRST, ROW
from tools.peers.arrays import normal
from tools.peers.case import PeerCase
from tools.peers.cases import Row
from tools.peers.judge import judge
from tools.peers.library import Adapter, Refused


@pytest.fixture(autouse=True)
def module(monkeypatch):
    made_up.install(monkeypatch, max_pool=made_up.right)


def kinds(record):
    return [(difference.topic, difference.kind) for difference in record.differences]


def test_a_peer_that_agrees_in_every_case_has_it():
    record = judge(ROW, made_up.library())
    assert (record.verdict, record.cases, record.differences) == ("has", 2, ())
    assert record.calls == ("made_up.max_pool(x, window, axes, strides)",)


def test_a_peer_without_an_adapter_lacks_it():
    record = judge(ROW, made_up.library(adapters={}))
    assert (record.verdict, record.cases, record.calls) == ("lacks", 0, ())


def test_a_different_result_is_recorded_with_its_case():
    def wrong_at_strides(x, window, **options):
        (values,), gradient = made_up.right(x, window, **options)
        return (values + np.float32("strides" in options),), gradient

    record = judge(ROW, made_up.library(wrong_at_strides))
    assert record.verdict == "differs"
    (difference,) = record.differences
    assert difference.kind == "differs"
    assert (
        difference.call
        == "max_pool(x, 2, axes=1, strides=1), x: [[1.0, 2.0, 3.0, 4.0]]; values only"
    )
    assert difference.words == "value at (0, 0): 2, peer 3 (3 of 3 differ)"


def test_a_refusal_is_the_peer_s_own_message():
    def without_strides(x, window, *, axes):
        return made_up.right(x, window, axes=axes)

    record = judge(ROW, made_up.library(without_strides))
    assert record.verdict == "differs"
    assert kinds(record) == [("strides", "refuses")]
    assert "unexpected keyword argument 'strides'" in record.differences[0].words


def test_a_refusal_is_recorded_under_the_missing_feature():
    def refuse(*_, **options):
        if "strides" in options:
            raise Refused("there is no such function")
        return made_up.right(*_, **options)

    cases = (FIRST, dataclasses.replace(made_up.SECOND, needs="steps"))
    record = judge(dataclasses.replace(ROW, cases=cases), made_up.library(refuse))
    assert kinds(record) == [("steps", "refuses")]
    assert record.differences[0].words == "there is no such function"


def test_a_peer_that_refuses_every_case_lacks_it():
    def refuse(*_, **__):
        raise RuntimeError("\n  not {{internal}} here\nand more")

    record = judge(ROW, made_up.library(refuse))
    assert record.verdict == "lacks"
    assert record.differences[0].words == "RuntimeError: not here"


@pytest.mark.parametrize("error", [AttributeError, NameError, KeyError, ImportError])
def test_a_mistake_in_an_adapter_is_no_refusal(error):
    def mistaken(*_, **__):
        raise error("x")

    with pytest.raises(error, match="x"):
        judge(ROW, made_up.library(mistaken))


def test_an_attribute_error_inside_a_peer_is_a_refusal():
    """The error comes from another file than the adapter's."""
    names = {}
    exec(compile("def pool():\n    return [].lower", "/elsewhere/peer.py", "exec"), names)
    record = judge(ROW, made_up.library(lambda *_, **__: names["pool"]()))
    assert record.verdict == "lacks"
    assert record.differences[0].words == "AttributeError: 'list' object has no attribute 'lower'"


def test_gradients_are_judged():
    case = PeerCase(topic="ties", operands=(normal(1, 4, 1),), args=(2,))
    row = Row("max_pool", jaxpool.max_pool, (case,))

    def without_gradient(x, window):
        (values,), _ = made_up.right(x, window, axes=1)
        return (values,), np.zeros_like(x)

    record = judge(row, made_up.library(without_gradient))
    assert record.differences[0].words.startswith("gradient at (0, ")


def test_jaxpool_receives_the_random_draws_of_a_peer():
    case = PeerCase(
        topic="boundaries",
        operands=(normal(1, 5, 1),),
        args=(None, (2,)),
        draws=True,
        wrt=None,
    )
    row = Row("fractional_max_pool", jaxpool.fractional_max_pool, (case,))

    def pool(x, window, output, *, boundaries):
        parts = [x[:, a:b].max(1) for a, b in itertools.pairwise(boundaries)]
        return (np.stack(parts, 1), np.array(boundaries)), None

    def drawn(*boundaries):
        adapter = Adapter(lambda *args: pool(*args, boundaries=boundaries), ("made_up.max_pool",))
        return judge(row, made_up.library(adapters={"fractional_max_pool": adapter}))

    assert drawn(0, 2, 5).verdict == drawn(0, 3, 5).verdict == "has"


def test_an_adapter_of_a_row_without_cases_is_an_error():
    with pytest.raises(ValueError, match="made_up has a max_pool, of which there are no cases"):
        judge(dataclasses.replace(ROW, cases=()), made_up.library())
