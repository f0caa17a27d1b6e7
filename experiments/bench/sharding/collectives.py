"""Parses the collectives of a compiled program: kinds, counts and received bytes.

XLA prints a program as text, one instruction per line, grouped in named computations. Text that
this module cannot parse is an error, because a missed collective would count as no traffic.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

_ITEM_BITS = {
    name: bits
    for bits, names in {
        2: "s2 u2",
        4: "s4 u4",
        8: "pred s8 u8",
        16: "s16 u16 f16 bf16",
        32: "s32 u32 f32",
        64: "s64 u64 f64 c64",
        128: "c128",
    }.items()
    for name in names.split()
}
_RECEIVED: dict[str, Callable[[int, int], float]] = {
    "all-gather": lambda result, group: result * (group - 1) / group,
    "all-reduce": lambda result, group: 2 * result * (group - 1) / group,
    "reduce-scatter": lambda result, group: result * (group - 1),
    "all-to-all": lambda result, group: result * (group - 1) / group,
    "collective-permute": lambda result, group: result,
}
"""Bytes that a device receives, given bytes of its result and the number of devices that take part.

Reductions are counted as rings: all-reduce is reduce-scatter and then all-gather. A permutation
counts as its result, which is what each device that has a sender receives.
"""

_COMMUNICATES = re.compile(r" ((?:all-|collective-|reduce-scatter|ragged-all|send|recv)[\w-]*)\(")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = (?P<result>.+)$")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.-]+)"
)
_BRANCHES = re.compile(r"\b(?:branch_computations|called_computations|calls)=\{([^}]*)\}")
_MESH = re.compile(
    r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\([^{}]*\))? "
    r"\{((?:'\w+'(?::\(\d+\)\d+)?(?:, ?)?)+)\}"
)
_MESH_AXIS = re.compile(r"'(\w+)'(?::\(\d+\)(\d+))?")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


class UnreadableProgramError(Exception):
    """The text of a compiled program cannot be parsed; the message quotes it."""


@dataclass
class Traffic:
    """The collectives of one call of a program, per device.

    Attributes:
        counts: The number of executed collectives, by kind.
        received: Bytes that a device receives, by kind.
        at_least: Whether a collective in a loop of data-dependent length was counted once.
    """

    counts: dict[str, int] = field(default_factory=dict)
    received: dict[str, float] = field(default_factory=dict)
    at_least: bool = False

    def add(self, kind: str, count: int, received: float) -> None:
        """Adds `count` collectives of a kind, with `received` bytes in total."""
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.received[kind] = self.received.get(kind, 0.0) + received

    def merge(self, other: "Traffic", times: int) -> None:
        """Adds `times` times the traffic of `other`."""
        self.at_least |= other.at_least
        for kind, count in other.counts.items():
            self.add(kind, count * times, other.received[kind] * times)


def traffic(text: str | None, devices: int) -> Traffic:
    """The collectives of a program.

    A collective in a loop counts once per iteration. If the number of iterations depends on the
    data, it counts once, and `at_least` is set. All branches of a conditional count.

    Args:
        text: The program after optimisation, as XLA prints it.
        devices: The number of devices among which the program is divided.

    Returns:
        Kinds, counts and bytes.

    Raises:
        UnreadableProgramError: There is no text, the program has another number of devices, or a
            collective has an unknown kind or form.

    Example:
        >>> program = '''HloModule f, num_partitions=8
        ... ENTRY %main (p: f32[4]) -> f32[32] {
        ...   %p = f32[4]{0} parameter(0)
        ...   ROOT %g = f32[32]{0} all-gather(%p), replica_groups=[1,8]<=[8], dimensions={0}
        ... }'''
        >>> traffic(program, devices=8)
        Traffic(counts={'all-gather': 1}, received={'all-gather': 112.0}, at_least=False)
    """
    if not text:
        raise UnreadableProgramError("XLA gives no text of the program")
    header = text.partition("\n")[0]
    found = re.search(r"\bnum_partitions=(\d+)", header)
    if not header.startswith("HloModule") or found is None or int(found[1]) != devices:
        raise UnreadableProgramError(
            f"the program is divided among {found[1] if found else 'no'} devices; expected "
            f"{devices}"
        )
    entry, bodies = _computations(text)
    return _of(entry, bodies, devices, {})


def _computations(text: str) -> tuple[str, dict[str, list[str]]]:
    """The name of the entry computation, and the instructions of each computation."""
    entry, current = "", None
    bodies: dict[str, list[str]] = {}
    for line in text.splitlines():
        if (head := _COMPUTATION.match(line)) and not line.startswith("HloModule"):
            current = bodies.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (instruction := _INSTRUCTION.match(line)):
            current.append(instruction["result"])
        elif _COMMUNICATES.search(_plain(line)):
            raise UnreadableProgramError(
                f"a collective outside of an instruction: {line.strip()[:100]!r}"
            )
    if not bodies.get(entry):
        raise UnreadableProgramError("the program has no ENTRY computation with instructions")
    return entry, bodies


def _of(
    name: str, bodies: dict[str, list[str]], devices: int, known: dict[str, Traffic]
) -> Traffic:
    """The traffic of one computation, including the computations that it calls."""
    if name in known:
        return known[name]
    if name not in bodies:
        raise UnreadableProgramError(f"the computation {name} is called and not there")
    total = Traffic()
    for instruction in bodies[name]:
        plain = _plain(instruction)
        if match := _COMMUNICATES.search(plain):
            total.add(match[1], 1, _received(match[1], plain[: match.start()], plain, devices))
        inside = Traffic()
        called = _CALLED.findall(plain)
        for names in _BRANCHES.findall(plain):
            called += re.findall(r"[\w.-]+", names)
        for one in called:
            inside.merge(_of(one, bodies, devices, known), 1)
        trips = _trips(instruction) if " while(" in plain and inside.counts else 1
        inside.at_least |= trips is None
        total.merge(inside, trips or 1)
    known[name] = total
    return total


def _plain(instruction: str) -> str:
    """An instruction without quoted strings, which may contain any text."""
    return re.sub(r'metadata=\{[^}]*\}|"[^"]*"', "", instruction)


def _trips(instruction: str) -> int | None:
    """The trip count of a loop; None if it depends on the data."""
    trips = _TRIPS.search(instruction)
    return None if trips is None else int(trips[1])


def _received(kind: str, result: str, instruction: str, devices: int) -> float:
    """The bytes that one device receives in a collective."""
    if kind not in _RECEIVED:
        raise UnreadableProgramError(
            f"the collective {kind} is unknown; known: {', '.join(_RECEIVED)}"
        )
    arrays = _ARRAY.findall(result)
    if not arrays:
        raise UnreadableProgramError(f"a result of {kind} without a shape: {result!r}")
    size = 0
    for dtype, shape in arrays:
        if dtype not in _ITEM_BITS:
            raise UnreadableProgramError(f"{kind} of the unknown dtype {dtype}")
        elements = math.prod(map(int, shape.split(","))) if shape else 1
        size += math.ceil(elements * _ITEM_BITS[dtype] / 8)
    group = devices if kind == "collective-permute" else _group(kind, instruction, devices)
    return _RECEIVED[kind](size, group)


def _group(kind: str, instruction: str, devices: int) -> int:
    """The number of devices in one group of a collective.

    XLA writes groups as lists, as a grid (groups, members), or as axes of a mesh. An axis followed
    by a size contributes only a part of this size.
    """
    if listed := re.search(r"replica_groups=\{(?:\{([\d,]*)\}|\})", instruction):
        return len(listed[1].split(",")) if listed[1] else devices
    if grid := re.search(r"replica_groups=\[(\d+),(\d+)\]", instruction):
        return int(grid[2])
    if mesh := _MESH.search(instruction):
        sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", mesh[1])}
        axes = _MESH_AXIS.findall(mesh[2])
        if math.prod(sizes.values()) == devices and all(axis in sizes for axis, _ in axes):
            return math.prod(int(part) if part else sizes[axis] for axis, part in axes)
    raise UnreadableProgramError(f"{kind} has groups of devices in an unknown form")
