"""Base class of networks' options: the head, the number of pooling slots, the builder."""

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
        arguments: Arguments of the head, such as `k` of `k_max`.
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
        """The head for building the network."""
        arguments = {name: tuples(value) for name, value in self.arguments.items()}
        return Head(self.pool, arguments, place)


AnyHead = Annotated[
    HeadOptions, BeforeValidator(lambda v: {"pool": v} if isinstance(v, str) else v)
]
"""A head or its name."""


class ModelOptions(Section):
    """`[model]`: the network shared by all variants. The keys below are common to all networks.

    Attributes:
        name: Name of the network.
        head: The last pooling, for variants without their own head.
    """

    name: str
    head: AnyHead = HeadOptions(pool="average")

    kinds: ClassVar[frozenset[str]] = frozenset()
    """The kinds of datasets that the network supports; see `DatasetInfo.kind`."""
    takes_extra_convolutions: ClassVar[bool] = False
    """Whether the network supports a variant's `extra_convolutions`; see `Slot`."""
    heads: ClassVar[Mapping[str, Callable[..., Any]]] = HEADS
    """The functions that build the network's heads, by name."""

    @model_validator(mode="after")
    def _takes_its_head(self) -> Self:
        self.refuse_head(self.head, "head")
        return self

    def refuse_head(self, head: HeadOptions | None, key: str) -> None:
        """Refuses a head that the network does not support.

        Args:
            head: The head, if there is one.
            key: The config key of the head.

        Raises:
            PydanticCustomError: The network does not support the head.
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
            rngs: Random keys of the initial weights.

        Returns:
            The network, to be called as `network(inputs, train=..., key=...)`.
        """
        raise NotImplementedError
