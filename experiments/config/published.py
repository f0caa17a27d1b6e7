"""`[published]`: published accuracies to show beside a study's own results."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from experiments.section import Section


def _without_a_sweep(value: Any) -> Any:
    if isinstance(value, dict) and not any(isinstance(inner, dict) for inner in value.values()):
        return {"": value}
    return value


class Published(Section):
    """`[published]`: accuracies published by others, shown beside those of this study.

    Attributes:
        source: Reference of the publication.
        accuracy: Test accuracy in percent by variant; with a sweep, one such table per cell, such
            as `"dataset.examples=2000"`.
    """

    source: str
    accuracy: Annotated[
        dict[str, dict[str, Annotated[float, Field(ge=0, le=100)]]],
        BeforeValidator(_without_a_sweep),
    ]
