"""Base classes of all records, and the types of their fields."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
VARIANT_PATTERN = r"[a-z0-9_.-]*[a-z0-9_][a-z0-9_.-]*"
"""Pattern of variant names, which name folders too: lower case, no separators, not only dots."""

Accuracy = Annotated[float, Field(ge=0, le=1)]
Loss = Annotated[float, Field(strict=False)]
"""Any float. A diverged run has NaN or infinity, which JSON stores as a string."""
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
VariantName = Annotated[str, Field(pattern=rf"^{VARIANT_PATTERN}$")]


class Record(BaseModel):
    """Base class of one line or one file of results; frozen, with strict types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", ser_json_inf_nan="strings")


class Versioned(Record):
    """A record that fills a file and states the version of its schema."""

    schema_version: Literal[1] = SCHEMA_VERSION
