"""One pooling to time, described independently of any library: plain sizes, explicit padding."""

import itertools
import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from experiments.section import Section, complaint

Operator = Literal["max", "avg"]
Dtype = Literal["float32", "bfloat16", "float16"]
Mode = Literal["forward", "gradient", "jvp", "eager"]
Size = Annotated[int, Field(ge=1)]
Pad = Annotated[int, Field(ge=0)]
Sizes = Annotated[tuple[Size, ...], Field(strict=False)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class Case(Section):
    """A pooling of a channels-last array `(batch, *spatial, channels)`.

    Attributes:
        name: Name of the case in tables.
        operator: The pooling operator.
        shape: Shape of the input.
        window: Window size, one number for all spatial axes or one per axis; `"global"`: the whole
            map.
        strides: Strides of the window, one number or one per axis.
        padding: Elements on both sides of every axis, `"VALID"` (none) or `"SAME"`.
        dilation: Distance between neighbouring taps, on every axis.
        count_include_pad: Whether the divisor of an average counts padding.
        dtypes: The dtypes to time.
        leave_out: Contenders not to time in this case, each with the reason for the records.
    """

    name: Name
    operator: Operator
    shape: Annotated[tuple[Size, ...], Field(strict=False, min_length=3, max_length=5)]
    window: Size | Sizes | Literal["global"]
    strides: Size | Sizes = 1
    padding: Pad | Literal["VALID", "SAME"] = "VALID"
    dilation: Size = 1
    count_include_pad: bool = True
    dtypes: Annotated[tuple[Dtype, ...], Field(strict=False, min_length=1)] = ("float32",)
    leave_out: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key in ("window", "strides"):
            given = getattr(self, key)
            if isinstance(given, tuple) and len(given) != len(self.spatial):
                raise complaint(
                    f"must have {len(self.spatial)} entries, one per spatial axis of shape "
                    f"{list(self.shape)}",
                    key,
                )
        if self.is_global:
            for key in ("strides", "padding", "dilation"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise complaint("has no meaning with window = 'global'", key)
        if min(self.output) < 1:
            raise complaint(f"does not fit the padded map of sizes {list(self.spatial)}", "window")
        return self

    @property
    def is_global(self) -> bool:
        """Whether one window covers the whole map."""
        return self.window == "global"

    @property
    def spatial(self) -> tuple[int, ...]:
        """Sizes of the pooled axes."""
        return self.shape[1:-1]

    @property
    def windows(self) -> tuple[int, ...]:
        """Window size per axis."""
        if self.window == "global":
            return self.spatial
        return self.window if isinstance(self.window, tuple) else (self.window,) * len(self.spatial)

    @property
    def steps(self) -> tuple[int, ...]:
        """Stride per axis."""
        if isinstance(self.strides, tuple):
            return self.strides
        return (self.strides,) * len(self.spatial)

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        """Padding (low, high) per axis; if SAME's total is odd, the high side has one more."""
        if isinstance(self.padding, int):
            return ((self.padding, self.padding),) * len(self.spatial)
        if self.padding == "VALID":
            return ((0, 0),) * len(self.spatial)
        totals = [
            max((math.ceil(n / s) - 1) * s + (k - 1) * self.dilation + 1 - n, 0)
            for n, k, s in zip(self.spatial, self.windows, self.steps, strict=True)
        ]
        return tuple((total // 2, total - total // 2) for total in totals)

    @property
    def symmetric_pads(self) -> tuple[int, ...] | None:
        """Padding per axis if both sides are equal, otherwise None."""
        return tuple(low for low, _ in self.pads) if all(a == b for a, b in self.pads) else None

    @property
    def output(self) -> tuple[int, ...]:
        """Sizes of the pooled axes after pooling."""
        sizes = zip(self.spatial, self.windows, self.steps, self.pads, strict=True)
        return tuple(
            (n + low + high - (k - 1) * self.dilation - 1) // s + 1
            for n, k, s, (low, high) in sizes
        )

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The whole output's shape."""
        return (self.shape[0], *self.output, self.shape[-1])

    def modes(self, asked: tuple[Mode, ...]) -> tuple[str, ...]:
        """The modes to time."""
        return asked

    def input_bytes(self, dtype: Dtype) -> int:
        """Size of the input."""
        return math.prod(self.shape) * ITEM_BYTES[dtype]

    def traffic_bytes(self, dtype: Dtype, mode: str) -> int:
        """The minimum traffic in bytes: every operand is read once, every result is written once.

        Forward reads x and writes y. The backward pass also reads dy and writes dx; forward-mode
        differentiation also reads the input's tangent and writes the output's.
        """
        once = (math.prod(self.shape) + math.prod(self.output_shape)) * ITEM_BYTES[dtype]
        return once if mode in ("forward", "eager") else 2 * once

    def describe(self) -> str:
        """A short description of the case, for example `max 32x112x112x64 k3 s2 p1`."""

        def compact(numbers: tuple[int, ...]) -> str:
            alike = len({*numbers}) == 1
            return str(numbers[0]) if alike else "x".join(map(str, numbers))

        parts = [self.operator, "x".join(map(str, self.shape))]
        if self.is_global:
            return " ".join([*parts, "global"])
        parts += [f"k{compact(self.windows)}", f"s{compact(self.steps)}"]
        if self.dilation > 1:
            parts.append(f"d{self.dilation}")
        if self.padding == "SAME":
            parts.append("SAME")
        elif any(itertools.chain(*self.pads)):
            parts.append(f"p{self.padding}")
        if not self.count_include_pad:
            parts.append("padding not counted")
        return " ".join(parts)
