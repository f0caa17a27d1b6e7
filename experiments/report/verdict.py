"""Descriptions of contrasts in words, shared by `run`, `compare` and `choose`."""

from collections.abc import Sequence

from experiments.contrasts import Contrast
from experiments.report import words

LEGEND = (
    "A 95% CI of a difference is widened as Holm's correction demands (its level is that of Holm's "
    "step), so it excludes 0 exactly where the difference is significant."
)
"""Explanation of the intervals of differences."""


def more_accurate(claims: Sequence[Contrast]) -> str:
    """A clause that the first variant of these contrasts is more accurate than the second ones.

    Args:
        claims: Significant contrasts with the same first variant, which is the more accurate one.

    Returns:
        A sentence without its full stop. Up to two differences are given in full, more as a range.
    """
    return f"{words.name(claims[0].first)} is more accurate {_than(claims)}"


def verdict(contrast: Contrast) -> str:
    """The result of a contrast in a few words, for a table."""
    d = contrast.difference
    if d.n < 2:
        return "no shared seed" if d.n == 0 else "one shared seed: no test"
    if d.p == 1 and not d.std:
        return "the same on every seed"
    if contrast.significant:
        return "higher" if (d.mean or 0) > 0 else "lower"
    return "cannot be told apart"


def _than(claims: Sequence[Contrast]) -> str:
    if len(claims) <= 2:
        return " and ".join(f"than {words.name(claim.second)} {_gap(claim)}" for claim in claims)
    gaps = [100 * (claim.difference.mean or 0) for claim in claims]
    largest = max(claim.adjusted_p or 0 for claim in claims)
    return (
        f"than {words.listed([words.name(claim.second) for claim in claims])}, by {min(gaps):.2f} "
        f"to {max(gaps):.2f} points (each {words.p_value(largest).replace('=', '≤')} after Holm)"
    )


def _gap(claim: Contrast) -> str:
    interval = claim.interval
    said = (
        "the same on every seed" if interval is None else f"95% CI {words.points_range(*interval)}"
    )
    p = words.p_value(claim.adjusted_p or 0)
    return f"by {100 * (claim.difference.mean or 0):.2f} points ({said}, {p}, after Holm)"
