"""The tables of a benchmark of sharding: one row per operator, divided axis and direction."""

import csv
import io
import statistics
from collections.abc import Sequence

from experiments import markdown
from experiments.bench.sharding.records import ShardingRecord
from experiments.bench.words import MODES
from experiments.records import Environment

Pair = tuple[ShardingRecord, ShardingRecord | None]

_FIELDS = (
    *("case", "description", "dtype", "mode", "axis", "size", "devices", "outcome", "collectives"),
    *(
        "received_bytes",
        "at_least",
        "input_bytes",
        "lax_outcome",
        "lax_collectives",
        "lax_received_bytes",
    ),
    *("bytes_over_lax", "time_s", "lax_time_s", "time_over_lax"),
    *("temp_bytes", "compile_s", "reason", "lax_reason"),
)


def pairs(records: Sequence[ShardingRecord]) -> list[Pair]:
    """The records of jaxpool in order, each with the record of lax for the same program, if any."""
    others = {_key(r): r for r in records if r.contender == "lax"}
    return [(r, others.get(_key(r))) for r in records if r.contender == "jaxpool"]


def ratio(ours: ShardingRecord, lax: ShardingRecord | None) -> float | None:
    """Bytes of jaxpool divided by bytes of lax; None if one is unknown or lax receives none."""
    if lax is None or ours.received is None or not lax.received or ours.at_least or lax.at_least:
        return None
    return ours.received / lax.received


def time_ratio(ours: ShardingRecord, lax: ShardingRecord | None) -> float | None:
    """Median time of jaxpool divided by that of lax; None if they were not timed."""
    if lax is None or ours.timing is None or lax.timing is None:
        return None
    return ours.timing.median_s / lax.timing.median_s


def to_csv(records: Sequence[ShardingRecord]) -> str:
    """Every figure, one row per operator, axis and direction."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _FIELDS, lineterminator="\n")
    writer.writeheader()
    for ours, lax in pairs(records):
        writer.writerow(
            {
                **ours.model_dump(include={*_FIELDS} - {"received_bytes"}),
                "collectives": ours.collectives,
                "received_bytes": _whole(ours.received),
                "lax_outcome": lax and lax.outcome,
                "lax_collectives": lax and lax.collectives,
                "lax_received_bytes": lax and _whole(lax.received),
                "bytes_over_lax": _rounded(ratio(ours, lax)),
                "time_s": _rounded(ours.timing and ours.timing.median_s),
                "lax_time_s": _rounded(lax and lax.timing and lax.timing.median_s),
                "time_over_lax": _rounded(time_ratio(ours, lax)),
                "compile_s": _rounded(ours.compile_s),
                "lax_reason": lax and lax.reason,
            }
        )
    return out.getvalue()


def summary(title: str, environment: Environment, records: Sequence[ShardingRecord]) -> str:
    """The page: explanation of the figures, comparison of axes, and all rows."""
    devices = records[0].devices
    parts = [f"# {title}, divided among {devices} devices", headline(environment, records)]
    parts += [_table(records), _absent(records)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def headline(environment: Environment, records: Sequence[ShardingRecord]) -> str:
    """The explanation of the figures, and one row per divided axis and direction."""
    about = (
        f"{records[0].devices} virtual devices of one CPU, jax {environment.versions['jax']}. "
        "Received: bytes that each device receives in one call, divided by the bytes of its part "
        "of the input; 0 means that it computes alone. Bytes over lax: jaxpool's bytes divided by "
        "those of the same operator in JAX's own operations (lax). Time over lax: the same for the "
        "median times of a few calls in turns. All virtual devices share the cores of the machine, "
        "and exchange bytes through its memory, so only the ratio of times has a meaning; - means "
        "not measured. A result that does not divide evenly among the devices is gathered on each "
        "of them, by jaxpool and lax alike. At least: some collectives run in a loop whose length "
        "depends on the data, and count once."
    )
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs(records):
        if pair[0].outcome == "compiled":
            groups.setdefault((pair[0].axis, pair[0].mode), []).append(pair)
    rows = [[axis, MODES[mode], *_sums(found)] for (axis, mode), found in groups.items()]
    heads = ["divided axis", "computed", "operators", "exchange nothing", "received, median"]
    heads += ["with a form in lax", "no more than lax", "bytes over lax, median", "largest"]
    heads += ["time over lax, median", "largest"]
    return f"{about}\n\n{markdown.table(heads, rows)}\n"


def _sums(found: Sequence[Pair]) -> list[str]:
    """The figures of one axis and direction."""
    both = [(ours, lax) for ours, lax in found if lax is not None and lax.outcome == "compiled"]
    ratios = [one for ours, lax in both if (one := ratio(ours, lax)) is not None]
    times = [one for ours, lax in both if (one := time_ratio(ours, lax)) is not None]
    shares = [share for ours, _ in found if (share := _received(ours)) is not None]
    return [
        str(len(found)),
        str(sum(not ours.received for ours, _ in found)),
        f"{statistics.median(shares):.3g}",
        str(len(both)),
        str(sum((ours.received or 0) <= (lax.received or 0) for ours, lax in both)),
        f"{statistics.median(ratios):.2f}" if ratios else "",
        f"{max(ratios):.1f}" if ratios else "",
        _cell(statistics.median(times) if times else None),
        _cell(max(times, default=None)),
    ]


def _table(records: Sequence[ShardingRecord]) -> str:
    rows = [
        [
            ours.case if ours.dtype == "float32" else f"{ours.case} {ours.dtype}",
            ours.axis,
            MODES[ours.mode],
            _kinds(ours),
            _share(ours),
            "" if lax is None else _kinds(lax),
            "" if lax is None else _share(lax),
            "" if (bytes_over_lax := ratio(ours, lax)) is None else f"{bytes_over_lax:.2f}",
            _cell(time_ratio(ours, lax)),
        ]
        for ours, lax in pairs(records)
    ]
    heads = ["operator", "divided axis", "computed", "collectives", "received"]
    heads += ["lax: collectives", "lax: received", "bytes over lax", "time over lax"]
    return markdown.table(heads, rows)


def _kinds(record: ShardingRecord) -> str:
    if record.outcome != "compiled":
        return record.outcome.replace("_", " ")
    return ", ".join(f"{n} {kind}" for kind, n in sorted(record.counts.items())) or "none"


def _received(record: ShardingRecord) -> float | None:
    """Bytes received per device, divided by the bytes of its part of the input."""
    if record.received is None:
        return None
    return record.received * record.devices / record.input_bytes


def _share(record: ShardingRecord) -> str:
    received = _received(record)
    if received is None:
        return ""
    return f"at least {received:.3g}" if record.at_least else f"{received:.3g}"


def _cell(time_over_lax: float | None) -> str:
    return "-" if time_over_lax is None else f"{time_over_lax:.2f}"


def _absent(records: Sequence[ShardingRecord]) -> str:
    """The programs that failed or were left out, with reasons; failures first."""
    places: dict[tuple[bool, str, str, str], list[str]] = {}
    for r in records:
        if r.outcome != "compiled":
            key = (r.outcome != "failed", r.contender, r.outcome.replace("_", " "), r.reason)
            places.setdefault(key, []).append(f"{r.case} {r.axis} {r.mode}")
    return "\n".join(
        f"- {contender} {outcome}: {_escaped(reason)} ({', '.join(found[:3])}"
        f"{f' and {len(found) - 3} more' if len(found) > 3 else ''})"
        for (_, contender, outcome, reason), found in sorted(places.items())
    )


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", r"\|").replace("<", "&lt;").split())


def _key(record: ShardingRecord) -> tuple[str, ...]:
    return record.case, record.dtype, record.mode, record.axis


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
