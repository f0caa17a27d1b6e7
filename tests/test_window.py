import jax
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jax import export, lax

from jaxpool.axis import Axis, Filtered, Uneven
from jaxpool.window import Window
from tests import oracle
from tests.geometry import examples

every_case = examples(300)

small = st.integers(1, 6)
axes = st.builds(
    Axis,
    size=st.integers(0, 12),
    window=small,
    stride=small,
    dilation=st.integers(1, 4),
    low=st.integers(0, 9),
    high=st.integers(0, 9),
    ceil_mode=st.booleans(),
)


def reads(axis, output, tap):
    return output * axis.stride + tap * axis.dilation - axis.low


def resolve_one(size, *args, **options):
    (axis,) = Window.resolve((1, size, 1), *args, **options).axes
    return axis


@every_case
@given(axes)
def test_output_size_is_pytorchs(axis):
    room = axis.size + axis.low + axis.high - axis.dilation * (axis.window - 1) - 1
    expected = (room + (axis.stride - 1 if axis.ceil_mode else 0)) // axis.stride + 1
    if axis.ceil_mode and (expected - 1) * axis.stride >= axis.size + axis.low:
        expected -= 1
    assert axis.output == max(expected, 0)


@every_case
@given(axes)
def test_reach_ends_at_the_last_tap_of_the_last_window(axis):
    low, high = axis.reach
    assert low == axis.low
    if axis.output:
        assert axis.size + high - 1 == reads(axis, axis.output - 1, axis.window - 1)


@every_case
@given(axes)
def test_a_tap_exists_for_exactly_the_outputs_whose_tap_reads_the_image(axis):
    for tap in range(axis.window):
        exists = axis.exists(tap)
        assert exists.shape == (axis.output,)
        for output in range(axis.output):
            assert exists[output] == (0 <= reads(axis, output, tap) < axis.size)


@every_case
@given(axes, st.booleans())
def test_counts_equal_a_brute_force_count_of_taps(axis, include_pad):
    begin, end = (-axis.low, axis.size + axis.high) if include_pad else (0, axis.size)
    expected = tuple(
        sum(begin <= reads(axis, output, tap) < end for tap in range(axis.window))
        for output in range(axis.output)
    )
    assert axis.counts(include_pad=include_pad) == expected


@every_case
@given(st.integers(1, 20), small, small, st.integers(1, 4), st.sampled_from(["SAME", "SAME_LOWER"]))
def test_same_padding_is_that_of_lax(size, window, stride, dilation, name):
    axis = resolve_one(size, window, strides=stride, dilation=dilation, padding=name)
    extent = dilation * (window - 1) + 1
    assert [(axis.low, axis.high)] == lax.padtype_to_pads((size,), (extent,), (stride,), name)
    assert axis.output == -(-size // stride)


def test_the_odd_element_of_same_goes_high_and_that_of_same_lower_low():
    assert resolve_one(5, 2, strides=1, padding="SAME").reach == (0, 1)
    assert resolve_one(5, 2, strides=1, padding="SAME_LOWER").reach == (1, 0)


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [
        ("VALID", ((0, 0), (0, 0))),
        ("valid", ((0, 0), (0, 0))),
        ("SAME", ((1, 1), (0, 1))),
        ("SAME_LOWER", ((1, 1), (1, 0))),
        (2, ((2, 2), (2, 2))),
        (np.int64(2), ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ([[1, 2], [3, 4]], ((1, 2), (3, 4))),
        (((1, 2), 3), ((1, 2), (3, 3))),
        (((0, 9), (9, 0)), ((0, 9), (9, 0))),
    ],
)
def test_every_form_of_padding(padding, pairs):
    window = Window.resolve((2, 7, 8, 3), 3, strides=(1, 2), padding=padding)
    assert tuple((axis.low, axis.high) for axis in window.axes) == pairs


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "floor", "ceil"),
    [
        (5, 2, 2, 0, 2, 3),  # the last window contains one element
        (4, 2, 2, 0, 2, 2),  # the windows end with the image
        (2, 1, 3, 0, 1, 1),  # one more window would start beyond the image
        (3, 3, 3, 1, 1, 2),  # the last window starts inside the image
        (1, 2, 2, 1, 1, 1),  # one more window would start in the padding after the image
        (2, 5, 5, 0, 0, 1),  # no complete window, but one that exceeds the image
        (2, 5, 2, 0, 0, 0),  # a window would have to start before the image
        (0, 2, 2, 1, 1, 1),  # an empty image, all padding
    ],
)
def test_ceil_mode_by_hand(size, window, stride, padding, floor, ceil):
    axis = resolve_one(size, window, strides=stride, padding=padding)
    assert axis.output == floor
    assert resolve_one(size, window, strides=stride, padding=padding, ceil_mode=True).output == ceil


@every_case
@given(axes)
def test_window_and_oracle_have_the_same_geometry(axis):
    padding = (axis.low, axis.high)
    given_span = oracle.span(
        axis.size, axis.window, axis.stride, axis.dilation, padding, axis.ceil_mode
    )
    assert given_span == (axis.low, axis.high, axis.output)


@pytest.mark.parametrize("name", ["SAME", "same", "SAME_LOWER"])
def test_ceil_mode_contradicts_same(name):
    with pytest.raises(ValueError, match="ceil_mode=True is not allowed with padding='SAME"):
        Window.resolve((1, 5, 1), 2, padding=name, ceil_mode=True)


def test_strides_default_to_the_window():
    assert [axis.stride for axis in Window.resolve((1, 9, 9, 1), (2, 3)).axes] == [2, 3]


def test_an_int_pools_all_axes_but_the_first_and_the_last():
    assert Window.resolve((2, 9, 9, 9, 3), 2).positions == (-4, -3, -2)


def test_a_tuple_pools_the_axes_before_the_last():
    assert Window.resolve((4, 5, 9, 9, 3), (2, 2)).positions == (-3, -2)
    assert Window.resolve((9, 9, 3), (2, 2)).positions == (-3, -2)


def test_arguments_follow_the_order_in_which_axes_are_named():
    window = Window.resolve(
        (8, 9, 10),
        (2, 3),
        strides=(4, 5),
        dilation=(1, 2),
        padding=((0, 1), (2, 3)),
        axes=(2, 0),
    )
    assert window == Window((-3, -1), (Axis(8, 3, 5, 2, 2, 3), Axis(10, 2, 4, 1, 0, 1)))


@pytest.mark.parametrize("axes", [1, (1,), [-2], np.int32(1)])
def test_one_axis_may_be_named_in_many_ways(axes):
    assert Window.resolve((4, 6, 5), 2, axes=axes) == Window((-2,), (Axis(6, 2, 2),))


@every_case
@given(st.data())
def test_windows_are_equal_and_hash_alike_however_they_were_written(data):
    shape = (3, 9, 8, 2)
    k, s, d, p = (data.draw(st.integers(1, 4)) for _ in range(4))
    one = Window.resolve(shape, k, strides=s, dilation=d, padding=p)
    other = Window.resolve(
        shape, [k, k], strides=[s, np.int16(s)], dilation=(d, d), padding=[(p, p), p], axes=[-3, 2]
    )
    assert one == other
    assert hash(one) == hash(other)


def test_output_shape_keeps_what_is_not_pooled():
    window = Window.resolve((2, 9, 8, 3), (2, 4), axes=(3, 1), strides=1)
    assert window.output == (6, 2)
    assert window.output_shape((2, 9, 8, 3)) == (2, 6, 8, 2)
    assert window.output_shape((7, 2, 9, 8, 3)) == (7, 2, 6, 8, 2)
    assert window.taps == 8
    assert window.only(0) == Window((-3,), (Axis(9, 4, 1),))


def test_only_pooled_axes_need_a_static_size():
    (batch,) = export.symbolic_shape("b")
    window = Window.resolve((batch, 6, batch + 1), 2)
    assert window.output_shape((batch, 6, batch + 1)) == (batch, 3, batch + 1)
    with pytest.raises(ValueError, match="static size along pooled axis -3, got b"):
        Window.resolve((batch, 6, 1), 2, axes=(0, 1))


def test_a_global_window_is_the_map():
    window = Window.over((2, 4, 5, 3))
    assert window == Window((-3, -2), (Axis(4, 4, 4), Axis(5, 5, 5)))
    assert all(axis.is_global for axis in window.axes)
    assert Window.over((2, 4, 5, 3), axes=(2, 0)).positions == (-4, -2)
    with pytest.raises(ValueError, match=r"must not be empty along the pooled axes.*\(2, 0, 3\)"):
        Window.over((2, 0, 3))


@every_case
@given(axes)
def test_tilings_read_no_element_twice(axis):
    assume(axis.is_tiling)
    seen = [reads(axis, o, t) for o in range(axis.output) for t in range(axis.window)]
    assert len(seen) == len(set(seen))


def test_a_window_is_a_static_argument():
    window = Window.resolve((1, 4, 1), 2)
    traces = []

    def sized(x, window):
        traces.append(window)
        return x[: window.output[0]]

    compiled = jax.jit(sized, static_argnames="window")
    for _ in range(3):
        compiled(np.arange(4.0), window=Window.resolve((1, 4, 1), (2,)))
    assert traces == [window]


def test_uneven_windows_are_refused_where_even_ones_are_needed():
    window = Window((-2,), (Uneven(5, (0, 2), (2, 3)),))
    with pytest.raises(TypeError, match="evenly spaced"):
        _ = window.even_axes


def test_every_tap_of_a_filter_reads_an_element():
    assert Filtered(5, (0.25, 0.5, 0.25), 2).counts(include_pad=False) == (3, 3, 3)
