"""Composes the steps of plans by hand: they must visit the taps of every window in order."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxpool.axis import Axis
from jaxpool.engine.lower import taps
from jaxpool.engine.plan import planner
from jaxpool.window import Window
from tests import geometry
from tests.geometry import examples


def visited(sizes, plan, *, clamp=False):
    """For each output of the last step, the original inputs that it covers, in the order of taps.

    With `clamp`, steps whose windows contain their edges read the nearest row beyond them.
    """
    shape = list(sizes)
    elements = {at: [at] for at in itertools.product(*map(range, shape))}
    for window in plan:
        before, shape = shape, list(window.output_shape(shape))
        nearest = clamp and taps.clamping_is_exact(window)
        following = {}
        for output in itertools.product(*map(range, shape)):
            following[output] = []
            for tap in taps.every_tap(window):
                at = list(output)
                for position, axis, t in zip(window.positions, window.axes, tap, strict=True):
                    row = output[position] * axis.stride + t * axis.dilation - axis.low
                    at[position] = min(max(row, 0), before[position] - 1) if nearest else row
                following[output] += elements.get(tuple(at), [])
        elements = following
    return tuple(shape), {at: list(dict.fromkeys(chain)) for at, chain in elements.items()}


def check(window):
    sizes = [axis.size for axis in window.axes]
    window = Window(tuple(range(-len(sizes), 0)), window.axes)  # pooled axes only
    expected = visited(sizes, (window,))
    for method in planner.METHODS:
        plan = planner.steps(window, method)
        assert visited(sizes, plan) == expected, method
        # An element that is read instead of an out-of-bounds one must belong to the window anyway.
        _, clamped = visited(sizes, plan, clamp=True)
        assert {at: set(every) for at, every in clamped.items()} == {
            at: set(every) for at, every in expected[1].items()
        }, method


@examples(150)
@given(geometry.poolings(taps=30))
def test_steps_compose_to_the_window(pooling):
    check(pooling.resolved())


@examples(150)
@given(
    st.builds(
        Axis,
        size=st.integers(1, 25),
        window=st.integers(2, 20),
        stride=st.integers(1, 5),
        dilation=st.integers(1, 4),
        low=st.integers(0, 30),
        high=st.integers(0, 30),
        ceil_mode=st.booleans(),
    )
)
def test_steps_of_one_wide_axis_compose_to_it(axis):
    check(Window((-1,), (axis,)))


@examples(150)
@given(st.integers(2, 70), st.integers(0, 12), st.integers(1, 3), st.integers(0, 9))
def test_tiles_of_tiles_compose_to_wide_ones(window, gap, outputs, left):
    stride = window + gap
    size = (outputs - 1) * stride + window + min(left, stride - 1)
    check(Window((-1,), (Axis(size, window, stride),)))


@pytest.mark.parametrize(
    ("size", "taps"), [(25, [25]), (32, [8, 4]), (49, [7, 7]), (64, [8, 8]), (113, [8, 8, 2])]
)
def test_the_whole_of_a_wide_axis_is_tiles_of_few_taps(size, taps):
    plan = planner.steps(Window((-2,), (Axis(size, size, size),)), "auto")
    assert [step.taps for step in plan] == taps


@pytest.mark.parametrize("width", [8, 13, 31, 64, 1000])
def test_a_wide_window_takes_a_logarithmic_number_of_taps(width):
    window = Window.resolve((1, 2000, 1), width, strides=1, padding="SAME")
    plan = planner.steps(window, "doubling")
    assert sum(step.taps for step in plan) <= 2 * (width.bit_length() + 1)


def test_each_method_has_its_own_plan():
    window = Window.resolve((1, 40, 40, 1), 9, strides=1, padding=4)
    plans = [planner.steps(window, method) for method in ("direct", "separable", "doubling")]
    assert plans[0] == (window,)
    assert [step.positions for step in plans[1]] == [(-2,), (-3,)]
    assert len(plans[2]) > 2


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match=r"method must be one of .*'auto'.* got 'fast'"):
        planner.steps(Window.resolve((1, 4, 1), 2), "fast")


def test_when_rows_beyond_the_edge_of_a_chain_may_be_clamped():
    def chain(dilation):
        axis = Axis(40, 13, 1, dilation, 6 * dilation, 6 * dilation)
        return [
            taps.clamping_is_exact(step)
            for step in planner.steps(Window((-2,), (axis,)), "doubling")
        ]

    assert chain(1) == [True, True]
    assert not all(chain(2))  # the nearest row may not belong to the window
