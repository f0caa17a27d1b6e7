"""`[tuning]` and `[search]`: trials before the final runs, scored on the validation split."""

import itertools
import math
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from experiments.config.training import Training
from experiments.section import PositiveInt, Section, Seed, complaint, filled, hint

if TYPE_CHECKING:
    from experiments.config.schema import Study

_NOT_TUNED = {"epochs", "steps", "batch_size", "seeds", "seeds_together"}
"""Keys of `[training]` that decide the budget of a trial, which is equal for all trials."""
_DIGITS = 4
"""Significant digits of a drawn number, few enough to show all of them in a table."""


class Range(Section):
    """An entry of `[tuning.space]`: a range of numbers to draw from, instead of a list of values.

    Attributes:
        low: The smallest number.
        high: The largest number.
        log: Whether the logarithm of the number is drawn uniformly, instead of the number.
    """

    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]
    log: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.low >= self.high:
            raise complaint(f"must be above low = {self.low:g}", "high")
        if self.log and self.low <= 0:
            raise complaint("must be above 0 where log = true", "low")
        return self

    def draw(self, random: np.random.Generator) -> float:
        """Draws one number of the range."""
        low, high = (math.log(end) if self.log else end for end in (self.low, self.high))
        drawn = random.uniform(low, high)
        drawn = float(f"{math.exp(drawn) if self.log else drawn:.{_DIGITS}g}")
        return min(max(drawn, self.low), self.high)


Values = Annotated[
    Annotated[list[Any], AfterValidator(filled), Tag("list")] | Annotated[Range, Tag("table")],
    Discriminator(lambda value: "table" if isinstance(value, dict | Range) else "list"),
]


class TrialOptions(Section):
    """The common keys of `[tuning]` and `[search]`.

    Attributes:
        seeds: Seeds of the trials; none of them may be a seed of `[training]`.
        factor: The factor of successive halving: one candidate in `factor` reaches the next rung,
            whose trials have `factor` times as many steps.
    """

    seeds: Annotated[tuple[Seed, ...], Field(strict=False), AfterValidator(filled)]
    factor: Annotated[int, Field(ge=2)] = 3

    @model_validator(mode="after")
    def _different_seeds(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise complaint("must differ from one another", "seeds")
        return self

    def check_splits(self, study: "Study", table: str) -> None:
        """Refuses trials without a validation split, and trials with seeds of the final runs."""
        if not study.dataset.validation:
            raise complaint(
                f"[{table}] chooses by the accuracy on validation examples, and there are none; "
                "reserve a share of the training examples for validation, such as 0.2",
                "dataset.validation",
            )
        if shared := sorted(set(self.seeds) & set(study.training.seeds)):
            raise complaint(
                f"must share no seed with training.seeds, which are for the final runs; both have "
                f"{', '.join(map(str, shared))}",
                f"{table}.seeds",
            )


class Tuning(TrialOptions):
    """`[tuning]`: choice of each variant's settings, with the same budget for every variant.

    Attributes:
        method: `"grid"` tries every combination of the values; `"random"` tries `trials` random
            combinations; `"halving"` tries either set by successive halving: few steps for all
            combinations, more steps for the best.
        space: The values to try, by key: a list of values, or a range such as `{ low = 1e-4, high =
            1e-1, log = true }`. A key belongs to `[training]`, such as `"training.learning_rate"`,
            or to one variant, such as `"variants.lp.arguments.p"`; only this variant is then tuned
            over the key.
        trials: The number of combinations to draw per variant, for `"random"`, and for `"halving"`
            unless it tries every combination.
        draw_seed: The random seed of the drawn combinations.
        exclude: Variants that are not tuned; they keep the settings of `[training]`.
    """

    method: Literal["grid", "random", "halving"] = "grid"
    space: Annotated[dict[str, Values], AfterValidator(filled)]
    trials: PositiveInt | None = None
    draw_seed: Seed = 0
    exclude: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ranges = [key for key, values in self.space.items() if isinstance(values, Range)]
        if self.method == "grid" and self.trials is not None:
            raise complaint('method = "grid" tries every combination', "trials")
        if self.method == "grid" and ranges:
            raise complaint(
                f'{ranges[0]}: method = "grid" needs a list of values; "random" and "halving" draw '
                "from a range",
                "space",
            )
        if self.method != "grid" and self.trials is None and (ranges or self.method == "random"):
            raise complaint("missing; must be the number of combinations to draw", "trials")
        for key in self.space:
            table, _, name = key.partition(".")
            if table not in ("training", "variants") or not name:
                raise complaint(
                    f"{key!r} is no key of [training] or of a variant, such as "
                    '"training.learning_rate" or "variants.lp.arguments.p"',
                    "space",
                )
            if table == "training":
                _refuse_untunable(key, name.partition(".")[0])
        return self

    def keys(self, variant: str) -> list[str]:
        """The keys over which a variant is tuned."""
        own = ("training.", f"variants.{variant}.")
        return [key for key in self.space if key.startswith(own)]

    def choices(self, variant: str) -> list[dict[str, Any]]:
        """The combinations of values to try for a variant, in order.

        The draws of a key depend only on the key and `draw_seed`, so all variants try the same
        values.

        Raises:
            PydanticCustomError: There are fewer combinations than `trials`.
        """
        space = {key: self.space[key] for key in self.keys(variant)}
        lists = [values for values in space.values() if not isinstance(values, Range)]
        if len(lists) < len(space):
            columns = [self._column(key, values) for key, values in space.items()]
            return [dict(zip(space, drawn, strict=True)) for drawn in zip(*columns, strict=True)]
        every = [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*lists)]
        if self.trials is None:
            return every
        if self.trials > len(every):
            raise complaint(
                f"{variant} has only {len(every)} combinations of values; reduce trials to at most "
                "this number, widen tuning.space, or name the variant in tuning.exclude",
                "tuning.trials",
            )
        random = np.random.default_rng(self.draw_seed)
        chosen = random.choice(len(every), self.trials, replace=False)
        return [every[index] for index in sorted(chosen)]

    def _column(self, key: str, values: list[Any] | Range) -> list[Any]:
        """The values drawn for one key."""
        random = np.random.default_rng([self.draw_seed, zlib.crc32(key.encode())])
        draw: Callable[[], Any] = (
            (lambda: values.draw(random))
            if isinstance(values, Range)
            else (lambda: values[random.integers(len(values))])
        )
        return [draw() for _ in range(self.trials or 0)]

    def check(self, study: "Study") -> None:
        """Refuses a tuning that does not suit the study.

        Raises:
            PydanticCustomError: The tuning is unfair, or a combination of values is not allowed.
        """
        self.check_splits(study, "tuning")
        for name in self.exclude:
            if name not in study.variants:
                raise complaint(
                    f"{name!r} is no variant{hint(name, study.variants)}", "tuning.exclude"
                )
        tuned = [name for name in study.variants if name not in self.exclude]
        if not tuned:
            raise complaint("excludes every variant; leave [tuning] out instead", "tuning.exclude")
        for key in self.space:
            if key in study.sweep:
                raise complaint(f"{key!r} is swept, so it cannot be tuned as well", "tuning.space")
            if not any(key in self.keys(name) for name in tuned):
                raise complaint(
                    f"{key!r} belongs to no tuned variant; tuned variants are {', '.join(tuned)}",
                    "tuning.space",
                )
        choices = {name: self.choices(name) for name in tuned}
        most, least = (limit(tuned, key=lambda n: len(choices[n])) for limit in (max, min))
        if len(choices[most]) != len(choices[least]):
            raise complaint(
                f"gives {most} {len(choices[most])} trials and {least} {len(choices[least])}, and "
                'all variants need the same number; draw them by method = "random" or "halving" '
                "with trials, or exclude a variant",
                "tuning.space",
            )
        distinct = {repr(choice): choice for tried in choices.values() for choice in tried}
        for choice in distinct.values():
            study.changed(choice)


def _refuse_untunable(key: str, name: str) -> None:
    tunable = [one for one in Training.model_fields if one not in _NOT_TUNED]
    if name in _NOT_TUNED:
        raise complaint(f"{key!r} cannot be tuned: all trials share one budget", "space")
    if name not in tunable:
        raise complaint(f"{key!r} is no key of [training]{hint(name, tunable)}", "space")


class Search(TrialOptions):
    """`[search]`: choice of the pooling of each stage, by successive halving.

    The candidates are all networks with one of `poolings` at each stage. The best network that
    mixes poolings and the best with the same pooling at every stage are then trained as the study's
    variants.

    Attributes:
        poolings: Names of variants, each of which has one pooling for every stage.
    """

    poolings: Annotated[tuple[str, ...], Field(strict=False, min_length=2)]

    def check(self, study: "Study") -> None:
        """Refuses a search that does not suit the study.

        Raises:
            PydanticCustomError: The search is not possible; the message says why.
        """
        self.check_splits(study, "search")
        for other in ("sweep", "tuning", "published"):
            if getattr(study, other):
                raise complaint(f"cannot be combined with [{other}]", "search")
        if study.model.stages < 2:
            raise complaint(
                f"needs a network of two or more stages; {study.model.name} has "
                f"{study.model.stages}",
                "search",
            )
        if len(set(self.poolings)) < len(self.poolings):
            raise complaint("must differ from one another", "search.poolings")
        for name in self.poolings:
            if name not in study.variants:
                raise complaint(
                    f"{name!r} is no variant{hint(name, study.variants)}", "search.poolings"
                )
            pool = study.variants[name]
            if isinstance(pool, tuple) or pool.head is not None:
                raise complaint(
                    f"variants.{name} must be one pooling for every stage, without a head",
                    "search.poolings",
                )
        networks = self.networks(study.model.stages)
        names = [network_name(poolings) for poolings in networks]
        if len(set(names)) < len(names):
            raise complaint(
                "names with '-' give two candidates the same name; rename a variant",
                "search.poolings",
            )

    def networks(self, stages: int) -> list[tuple[str, ...]]:
        """The candidates: one pooling per stage, in every combination."""
        return list(itertools.product(self.poolings, repeat=stages))


def network_name(poolings: tuple[str, ...]) -> str:
    """The name of a candidate: its pooling if it has only one, else all, as in `max-max-average`.

    Example:
        >>> network_name(("max", "max")), network_name(("max", "average"))
        ('max', 'max-average')
    """
    return poolings[0] if len(set(poolings)) == 1 else "-".join(poolings)
