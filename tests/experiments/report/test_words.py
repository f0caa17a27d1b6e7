import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.report import words


@given(st.floats(1e-6, 9.99e14))
def test_si_keeps_three_digits(value):
    text = words.si(value)
    factor = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(text[-1], 1)
    assert float(text.rstrip("kMGT")) * factor == pytest.approx(value, rel=0.00501)


@pytest.mark.parametrize(
    ("value", "text"),
    [(999.6, "1k"), (10_000, "10k"), (2500, "2.5k"), (100, "100"), (3.05e6, "3.05M"), (0, "0")],
)
def test_short_si_drops_trailing_zeros_only(value, text):
    assert words.short_si(value) == text


@pytest.mark.parametrize(
    ("interval", "seeds", "text"),
    [
        ((0.9, 0.96), 3, "93.00 ± 3.00"),
        ((0.88, 0.95), 3, "93.00 ± 5.00"),
        ((None, None), 1, "93.00 (1 seed)"),
        ((None, None), 3, "93.00 (no spread)"),
    ],
)
def test_accuracy_shows_its_interval_or_why_not(interval, seeds, text):
    assert words.accuracy(0.93, *interval, seeds) == text


def test_a_difference_of_zero_has_no_minus_sign():
    assert words.points(-0.00001) == "+0.00"
