"""What every network is: its options in a config, its pooling slots, how it is built."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from flax import nnx
from pydantic import BeforeValidator, Field, model_validator

from experiments.data import DatasetInfo
from experiments.models.head import HEADS, Head, head_arguments
from experiments.models.regions import REGION_HEADS
from experiments.models.slot import Slot
from experiments.section import Section, complaint, hint, known, tuples

_EVERY_HEAD: Mapping[str, Callable[..., Any]] = {**HEADS, **REGION_HEADS}


class HeadOptions(Section):
    """`head`: the last pooling, from a feature map or a sequence to one vector (or one per box).

    Attributes:
        pool: The head's name.
        arguments: Its further arguments, such as `k` of `k_max`.
    """

    pool: Annotated[str, known("head", lambda: _EVERY_HEAD)]
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _takes_its_arguments(self) -> "HeadOptions":
        takes = head_arguments(_EVERY_HEAD[self.pool])
        for name in self.arguments:
            if name not in takes:
                raise complaint(
                    f"{self.pool} has no such argument{hint(name, takes)}", f"arguments.{name}"
                )
        return self

    def head(self, place: str) -> Head:
        """The head that a network is built with."""
        arguments = {name: tuples(value) for name, value in self.arguments.items()}
        return Head(self.pool, arguments, place)


AnyHead = Annotated[
    HeadOptions, BeforeValidator(lambda v: {"pool": v} if isinstance(v, str) else v)
]
"""A head, or its name."""


class ModelOptions(Section):
    """`[model]`: the network that every variant shares. Every network has these keys, and more.

    Attributes:
        name: The network.
        head: The last pooling, unless a variant has its own.
    """

    name: str
    head: AnyHead = HeadOptions(pool="average")

    kinds: ClassVar[frozenset[str]] = frozenset()
    """The kinds of datasets that it reads; see `DatasetInfo.kind`."""
    takes_extra_convolutions: ClassVar[bool] = False
    """Whether its stages grow by a variant's `extra_convolutions`; see `Slot`."""
    heads: ClassVar[Mapping[str, Callable[..., Any]]] = HEADS
    """What builds the heads that it takes, by name."""

    @model_validator(mode="after")
    def _takes_its_head(self) -> Self:
        self.refuse_head(self.head, "head")
        return self

    def refuse_head(self, head: HeadOptions | None, key: str) -> None:
        """Refuses a head that is for other networks.

        Args:
            head: The head, if there is one.
            key: What the config calls it.

        Raises:
            PydanticCustomError: The network does not take it.
        """
        if head is not None and head.pool not in self.heads:
            raise complaint(
                f"{self.name} takes no head {head.pool!r}{hint(head.pool, self.heads)}", key
            )

    @property
    def stages(self) -> int:
        """The number of pooling slots."""
        raise NotImplementedError

    def build(
        self, info: DatasetInfo, slots: Sequence[Slot], head: Head, rngs: nnx.Rngs
    ) -> nnx.Module:
        """Builds the network.

        Args:
            info: The shapes of inputs and the number of classes.
            slots: One pooling per stage.
            head: The last pooling.
            rngs: Where the initial weights come from.

        Returns:
            The network, to be called as `network(inputs, train=..., key=...)`.
        """
        raise NotImplementedError
