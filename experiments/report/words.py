"""Formatting of numbers, names and lists for readers."""

import string
from collections.abc import Sequence
from typing import Any


def si(value: float) -> str:
    """Formats a number with three significant digits and an SI prefix.

    Example:
        >>> si(12345), si(999.9), si(0.5), si(2_500_000), si(0)
        ('12.3k', '1.00k', '0.500', '2.50M', '0')
    """
    value = float(f"{value:.3g}")
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")):
        if abs(value) >= factor or (value and not prefix):
            return f"{value / factor:#.3g}".rstrip(".") + prefix
    return "0"


def short_si(value: float) -> str:
    """Formats like `si`, without trailing zeros, for axis ticks.

    Example:
        >>> short_si(10_000), short_si(2_500_000), short_si(0.002), short_si(100)
        ('10k', '2.5M', '0.002', '100')
    """
    whole, _, rest = si(value).partition(".")
    digits = rest.rstrip(string.ascii_letters)
    prefix = rest[len(digits) :]
    digits = digits.rstrip("0")
    return f"{whole}.{digits}{prefix}" if digits else f"{whole}{prefix}"


def percent(share: float, digits: int = 2) -> str:
    """Formats a share in percent, without the sign: 0.9834 is 98.34."""
    return f"{100 * share:.{digits}f}"


def points(share: float) -> str:
    """Formats a difference of shares in percentage points, with its sign: 0.012 is +1.20."""
    return f"{round(100 * share, 2) + 0.0:+.2f}"


def points_range(low: float, high: float) -> str:
    """Formats an interval of a difference of shares in points; only an end of 0 is shown as 0.

    Example:
        >>> points_range(-0.012, 0.034), points_range(0.00002, 0.01)
        ('-1.20 to 3.40', '0.002 to 1.000')
    """
    digits = 2
    while digits < 6 and any(end and not round(100 * end, digits) for end in (low, high)):
        digits += 1
    ends = (f"{round(100 * end, digits) + 0.0:.{digits}f}" for end in (low, high))
    return " to ".join(ends)


def accuracy(mean: float, low: float | None, high: float | None, seeds: int) -> str:
    """Mean accuracy in percent with the half-width of its interval, or why there is no interval."""
    if low is None or high is None:
        return f"{percent(mean)} ({'1 seed' if seeds == 1 else 'no spread'})"
    return f"{percent(mean)} ± {percent(max(mean - low, high - mean))}"


def p_value(p: float) -> str:
    """Formats a p-value: "p = 0.031" or "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def setting(value: Any) -> str:
    """Formats a value of a config, numbers without trailing zeros."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def cell(name: str) -> str:
    """The name of a sweep cell with spaces, for prose: `dataset.train_limit = 1000`."""
    return name.replace("=", " = ").replace(",", ", ")


def name(variant: str) -> str:
    """A variant's name in backticks, since names such as `none` are also words."""
    return f"`{variant}`"


def listed(items: Sequence[str]) -> str:
    """An English enumeration: "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def plain(value: Any) -> str:
    """Formats a value of a config for prose; the elements of a list are joined by dashes.

    Example:
        >>> plain([16, 32]), plain(True)
        ('16-32', 'True')
    """
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
