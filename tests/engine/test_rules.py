"""The table of rules."""

import itertools

from jaxpool.axis import Axis, Filtered, Uneven
from jaxpool.engine import native, rules
from jaxpool.engine.rules import NATIVE, OURS, RULES, Shape
from jaxpool.engine.target import CPU, GPU, TPU, Target
from jaxpool.window import Window


def test_there_is_a_rule_for_every_kind_of_device_and_of_windows():
    assert set(RULES) == set(itertools.product(Target, Shape))


def test_maxima_on_one_cpu_are_never_reduced_natively():
    """XLA's reductions on CPU may lose NaN."""
    assert all(RULES[CPU, shape].extreme is OURS for shape in Shape)


def test_windows_are_told_apart():
    even, bins = Axis(9, 3, 2), Uneven(5, (0, 2), (3, 3))
    blurred = Filtered(9, (0.25, 0.5, 0.25), 2)
    assert rules.rule(TPU, Window((-2,), (even,))).extreme is NATIVE
    assert rules.rule(GPU, Window((-2,), (even,))).spread is OURS
    assert rules.rule(GPU, Window((-3, -2), (even, bins))).spread is NATIVE
    assert rules.rule(GPU, Window((-2,), (blurred,))).spread is OURS
    many = native.MOST_BINS + 1
    crowd = Uneven(many + 1, tuple(range(many)), (2,) * many)
    assert rules.rule(TPU, Window((-2,), (crowd,))).extreme is OURS
