"""Markdown tables, and escaping of text for Markdown."""

import re
from collections.abc import Sequence

_SIGNS = re.compile(r"([\\`*_\[\]<>|#~&])")
_NAME = re.compile(r"(`[A-Za-z0-9_.,=/+()-]+`)")


def escape(text: str) -> str:
    r"""Escapes text so that Markdown shows it literally; names in backticks stay code.

    Example:
        >>> print(escape("a|b <c> `max_pool`"))
        a\|b \<c\> `max_pool`
    """
    parts = _NAME.split(" ".join(text.split()))
    return "".join(part if _NAME.fullmatch(part) else _SIGNS.sub(r"\\\1", part) for part in parts)


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)
) -> str:
    """A Markdown table.

    Args:
        heads: The heading of each column.
        rows: The cells of each row, as Markdown.
        left: The columns aligned to the left, by number; the others are aligned to the right.

    Example:
        >>> print(table(["pooling", "ms"], [["max", "1.2"]]))
        | pooling | ms |
        | --- | ---: |
        | max | 1.2 |
    """
    rules = ["---" if number in left else "---:" for number in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, rules, *rows])
