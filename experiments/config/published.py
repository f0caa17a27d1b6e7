"""`[published]`: what others have published, shown beside a study's own results."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from experiments.section import Section


def _without_a_sweep(value: Any) -> Any:
    if isinstance(value, dict) and not any(isinstance(inner, dict) for inner in value.values()):
        return {"": value}
    return value


class Published(Section):
    """`[published]`: accuracies that others have published, shown beside those of this study.

    Attributes:
        source: Where they are published.
        accuracy: Test accuracy in percent by variant; of a sweep, such a table for each cell, such
            as `"dataset.examples=2000"`.
    """

    source: str
    accuracy: Annotated[
        dict[str, dict[str, Annotated[float, Field(ge=0, le=100)]]],
        BeforeValidator(_without_a_sweep),
    ]
