"""Sections of a benchmark's TOML file."""

from collections.abc import Hashable, Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from experiments.bench.calls.config import Call, Calls
from experiments.bench.case import Case, Dtype, Name
from experiments.bench.contenders import ITSELF, NAMES, Mode, named
from experiments.bench.network.config import Network
from experiments.section import Section, complaint, hint

Subject = Case | Call | Network
"""A problem that is timed."""

Allocator = Literal["default", "keep"]

ALLOCATORS: dict[Allocator, dict[str, str]] = {
    "default": {},
    "keep": {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(2**32),
        "MALLOC_TRIM_THRESHOLD_": str(2**32),
    },
}
"""The environment variables of each allocator setting, by name.

By default glibc gets new pages from the kernel for every large array and returns them when the
array is freed, so each call pays for page faults. `keep` makes glibc keep the pages. The thresholds
alone do not suffice: threads other than the first use arenas of at most 64 MB and fall back to new
pages for larger arrays. `keep` therefore also limits glibc to one arena.
"""

PositiveInt = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Budget(Section):
    """`[budget]`: time limits for timing one case in one dtype and mode.

    Cases that are timed together share the sum of their budgets.

    Attributes:
        seconds: Time of timed and warm-up calls, divided equally among the contenders.
        samples: Maximum number of samples per contender.
        min_samples: Minimum number of samples, unless they take longer than `patience_s`; from 6
            samples on, the median has a 95% interval.
        patience_s: Time that a slow contender may use to reach `min_samples`.
        sample_ms: Minimum duration of a sample; shorter calls are repeated within a sample.
        timeout_s: Time limit of one case in one dtype, including compilation; cases that are timed
            together share the sum of their limits.
    """

    seconds: Positive = 3.0
    samples: PositiveInt = 25
    min_samples: PositiveInt = 6
    patience_s: Positive = 2.0
    sample_ms: Positive = 2.0
    timeout_s: Positive = 600.0


class Bench(Section):
    """The whole file of a benchmark.

    Attributes:
        name: Name of the benchmark; its results go to the folder `bench-NAME`.
        title: Heading of the table and the plot.
        x_axis: The x axis of the plot: `time`, with one row per case, or `window`, with the time on
            the y axis. With `window`, cases that differ only in the window are timed together in
            interleaved order, so that their times can be compared.
        contenders: Names of the contenders; `"jaxpool:*"` matches all methods of jaxpool.
        modes: The modes to time of each pooling.
        allocators: Settings of the memory allocator; each is a complete run of the benchmark.
        budget: The time limits.
        cases: The poolings.
        calls: Operators of jaxpool to time beside its max pooling.
        networks: Networks whose training step is timed.
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
        """All problems to time."""
        return (*self.cases, *(call for calls in self.calls for call in calls.each), *self.networks)

    def rounds(self, problems: Iterable[Subject]) -> list[tuple[tuple[Subject, ...], Dtype]]:
        """The rounds: problems that are timed together, in one dtype."""
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
                raise complaint(f"the name {name!r} is used twice", "cases")
        for case in self.cases:
            for name in case.leave_out:
                if name not in NAMES:
                    raise complaint(
                        f"case {case.name} leaves out {name!r}{hint(name, NAMES)}", "cases"
                    )
        return self
