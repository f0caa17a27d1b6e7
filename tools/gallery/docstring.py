"""What an operator's docstring says, part by part."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

_HEADING = re.compile(r"\n\n([A-Z][a-z ]+):\n(?=    )")


@dataclass(frozen=True)
class Docstring:
    """The parts that the gallery shows.

    Attributes:
        summary: The first sentence.
        definition: What follows it: the formula, indented, and what there is to say of it.
        when: When to use the operator.
        source: Where it comes from.
    """

    summary: str
    definition: str
    when: str
    source: str

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Self:
        """Reads it.

        Args:
            function: A public operator.

        Returns:
            Its parts.

        Raises:
            ValueError: One of them is missing.
        """
        description, *rest = _HEADING.split(inspect.getdoc(function) or "")
        sections = dict(zip(rest[::2], map(inspect.cleandoc, rest[1::2]), strict=True))
        summary, _, definition = description.partition("\n")
        parts = {
            "summary": summary,
            "formula": definition.strip("\n"),
            "When to use": sections.get("When to use", ""),
            "Source": sections.get("Source", ""),
        }
        missing = [name for name, text in parts.items() if not text]
        if missing or "\n    " not in definition:
            raise ValueError(
                f"the docstring of {function.__name__} lacks {', '.join(missing) or 'a formula'}"
            )
        return cls(*parts.values())
