"""Splits the docstring of an operator into the parts that the gallery shows."""

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
        definition: The rest of the description: the formula, indented, with its explanation.
        when: When to use the operator.
        source: The paper or framework that defines the operator.
    """

    summary: str
    definition: str
    when: str
    source: str

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Self:
        """Reads the docstring of an operator.

        Args:
            function: A public operator.

        Returns:
            The parts of its docstring.

        Raises:
            ValueError: A part is missing.
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
