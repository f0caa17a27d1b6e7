"""The table of methods."""

import itertools

from jaxpool.axis import Axis, Filtered, Uneven
from jaxpool.engine.plan import dispatch, tuning
from jaxpool.engine.plan.dispatch import NATIVE, OURS, RULES, Shape
from jaxpool.engine.plan.target import CPU, GPU, TPU, Target
from jaxpool.window import Window


def test_there_is_a_rule_for_every_kind_of_device_and_of_windows():
    assert set(RULES) == set(itertools.product(Target, Shape))


def test_maxima_on_one_cpu_are_never_reduced_natively():
    """XLA:CPU's reductions may lose NaN."""
    assert all(RULES[CPU, shape].extreme is OURS for shape in Shape)


def test_dispatch_classifies_windows():
    even, bins = Axis(9, 3, 2), Uneven(5, (0, 2), (3, 3))
    blurred = Filtered(9, (0.25, 0.5, 0.25), 2)
    assert dispatch.rule(TPU, Window((-2,), (even,))).extreme is NATIVE
    assert dispatch.rule(GPU, Window((-2,), (even,))).total_gradient is OURS
    assert dispatch.rule(GPU, Window((-3, -2), (even, bins))).total_gradient is NATIVE
    assert dispatch.rule(GPU, Window((-2,), (blurred,))).total_gradient is OURS
    many = tuning.NATIVE_BINS + 1
    crowd = Uneven(many + 1, tuple(range(many)), (2,) * many)
    assert dispatch.rule(TPU, Window((-2,), (crowd,))).extreme is OURS
