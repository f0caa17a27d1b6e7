"""What a benchmark's TOML file may say."""

from collections.abc import Hashable, Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from experiments.bench.calls.config import Call, Calls
from experiments.bench.case import Case, Dtype, Name
from experiments.bench.contenders import ITSELF, NAMES, Mode, named
from experiments.bench.network.config import Network
from experiments.section import Section, complaint, hint

Subject = Case | Call | Network
"""Anything that is timed."""

Allocator = Literal["default", "keep"]

ALLOCATORS: dict[Allocator, dict[str, str]] = {
    "default": {},
    "keep": {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(2**32),
        "MALLOC_TRIM_THRESHOLD_": str(2**32),
    },
}
"""The environment of every contender, by name.

By default glibc takes fresh pages from the kernel for every large array and gives them back when
it is freed, so each call pays for clearing them. `keep` holds on to them. The thresholds alone do
not do it: threads other than the first have arenas of 64 MB at most, and fall back to fresh pages
for what is larger, hence the one arena.
"""

PositiveInt = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Budget(Section):
    """`[budget]`: how long the timing of one case in one dtype and mode takes.

    Cases that are timed together share what they have.

    Attributes:
        seconds: Of timed and warm-up calls, shared equally by the contenders.
        samples: The most samples a contender gets.
        min_samples: The fewest, unless they take longer than `patience_s`; from 6 on, the median
            has a 95% interval.
        patience_s: How far a slow contender may go beyond its share to get them.
        sample_ms: Calls shorter than this are repeated until a sample takes as long.
        timeout_s: When to give up on one case in one dtype, compilation and all, or on so many
            times as long of cases that are timed together.
    """

    seconds: Positive = 3.0
    samples: PositiveInt = 25
    min_samples: PositiveInt = 6
    patience_s: Positive = 2.0
    sample_ms: Positive = 2.0
    timeout_s: Positive = 600.0


class Bench(Section):
    """The whole file.

    Attributes:
        name: Of the benchmark; its results go to the folder `bench-NAME`.
        title: What the table and the plot are headed with.
        x_axis: What the plot shows from left to right: the cases' times one below the other
            (`time`), or times against the window (`window`). In the latter, cases that differ in
            nothing but the window are timed together, in turns, so that they can be compared.
        contenders: Who takes part; `"jaxpool:*"` stands for every method of it.
        modes: What is timed of each pooling.
        allocators: The memory allocator's settings, each a whole run of its own.
        budget: How long it takes.
        cases: The poolings.
        calls: Operators of jaxpool that are timed beside its max pooling.
        networks: The networks whose training step is timed.
    """

    name: Name
    title: str
    x_axis: Literal["time", "window"] = "time"
    contenders: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    modes: Annotated[tuple[Mode, ...], Field(strict=False, min_length=1)] = (
        "forward",
        "gradient",
        "jvp",
    )
    allocators: Annotated[tuple[Allocator, ...], Field(strict=False, min_length=1)] = ("default",)
    budget: Budget = Budget()
    cases: Annotated[tuple[Case, ...], Field(strict=False)] = ()
    calls: Annotated[tuple[Calls, ...], Field(strict=False)] = ()
    networks: Annotated[tuple[Network, ...], Field(strict=False)] = ()

    @property
    def problems(self) -> tuple[Subject, ...]:
        """All there is to time."""
        return (*self.cases, *(call for calls in self.calls for call in calls.each), *self.networks)

    def rounds(self, problems: Iterable[Subject]) -> list[tuple[tuple[Subject, ...], Dtype]]:
        """What is timed together: each round some of the problems, in one dtype."""
        groups: dict[tuple[Hashable, Dtype], list[Subject]] = {}
        for problem in problems:
            key = problem.name
            if self.x_axis == "window" and isinstance(problem, Case):
                key = problem.operator, problem.shape
            for dtype in problem.dtypes:
                groups.setdefault((key, dtype), []).append(problem)
        return [(tuple(group), dtype) for (_, dtype), group in groups.items()]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for pattern in self.contenders:
            if not named([pattern]):
                raise complaint(
                    f"unknown contender {pattern!r}{hint(pattern, NAMES)}", "contenders"
                )
        if ITSELF in named(self.contenders) and "jaxpool" not in self.contenders:
            raise complaint(f"{ITSELF!r} needs 'jaxpool' beside it", "contenders")
        if not self.problems:
            raise complaint("there must be at least one", "cases")
        names = [problem.name for problem in self.problems]
        for name in names:
            if names.count(name) > 1:
                raise complaint(f"two have the name {name!r}", "cases")
        for case in self.cases:
            for name in case.leave_out:
                if name not in NAMES:
                    raise complaint(
                        f"case {case.name} leaves out {name!r}{hint(name, NAMES)}", "cases"
                    )
        return self
