import re

import jax.numpy as jnp
import numpy as np
import pytest

from tools.peers import arrays
from tools.peers.case import Answer, PeerCase, cotangent, difference
from tools.peers.cases import ROWS

CASE = PeerCase(topic="values", operands=(arrays.normal(2, 2),), tolerance=1e-3)
ONES = np.ones((2, 2), np.float32)


def answer(*results, gradient=None):
    return Answer(tuple(np.asarray(r) for r in results), gradient)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ONES, ONES * np.float32(1.0005)),
        (ONES * np.float32(np.nan), ONES * np.float32(np.nan)),
        (ONES * np.float32(-np.inf), ONES * np.float32(-np.inf)),
        (ONES.astype(np.int32), ONES.astype(np.int64)),
        (ONES.astype(jnp.bfloat16), ONES.astype(jnp.bfloat16)),
    ],
    ids=["within the tolerance", "NaN", "-inf", "integers of any width", "bfloat16"],
)
def test_equal_answers_agree(ours, theirs):
    assert difference(CASE, answer(ours), answer(theirs)) is None


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (ONES * [[1, 1], [np.float32(1.5), 1]], "value: float32, peer float64"),
        (
            ONES + np.float32([[0, 0], [0.5, 0]]),
            r"value at \(1, 0\): 1, peer 1.5 \(1 of 4 differ\)",
        ),
        (ONES + np.float32([[0, np.nan], [0, 0]]), r"value at \(0, 1\): 1, peer nan \(1 of 4"),
        (ONES[:1], r"value: shape \(2, 2\), peer \(1, 2\)"),
        (ONES.astype(np.int32), "value: float32, peer int32"),
    ],
    ids=["dtype", "number", "NaN", "shape", "integer"],
)
def test_a_difference_is_named_with_its_place(theirs, words):
    found = difference(CASE, answer(ONES), answer(theirs))
    assert re.match(words, found or "agrees"), found


def test_indices_and_gradients_are_compared_too():
    indices, others = np.array([[0, 1]]), np.array([[0, 2]])
    gradient = np.array([[1.0]])
    ours = answer(ONES, indices, gradient=gradient)
    assert difference(CASE, ours, answer(ONES, indices, gradient=gradient)) is None
    found = difference(CASE, ours, answer(ONES, others, gradient=gradient))
    assert found == "index at (0, 1): 1, peer 2 (1 of 2 differ)"
    found = difference(CASE, ours, answer(ONES, indices, gradient=-gradient))
    assert found == "gradient at (0, 0): 1, peer -1 (1 of 1 differ)"


def test_an_answer_without_its_indices_is_an_adapter_s_mistake():
    with pytest.raises(ValueError, match="shorter"):
        difference(CASE, answer(ONES, np.zeros((2, 2), np.int32)), answer(ONES))


def test_a_cotangent_tells_all_elements_apart():
    assert len(np.unique(cotangent((3, 4, 5)))) == 60


def test_arrays_are_the_same_every_time_and_hold_what_their_words_say():
    for array in (arrays.normal(3, 4), arrays.integers(3, 4), arrays.uniform(3, 4)):
        np.testing.assert_array_equal(array.build(), array.build())
    holed = arrays.with_nan(3, 5)
    assert np.argwhere(np.isnan(holed.build())).tolist() == [[2, 3]]
    assert holed.words == "normal float32 (3, 5), NaN at (2, 3)"
    assert set(np.unique(arrays.integers(20, 20).build())) == {-2, -1, 0, 1, 2}
    assert arrays.normal(2, 3, dtype="bfloat16").build().dtype == jnp.bfloat16


def test_no_two_cases_of_a_row_are_the_same_call():
    for row in ROWS.values():
        calls = [case.call(row.name) for case in row.cases]
        assert len(set(calls)) == len(calls)
