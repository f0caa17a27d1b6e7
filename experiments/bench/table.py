"""table.md and its digest, summary.md, made from a benchmark's records."""

from collections.abc import Callable, Sequence

from experiments import markdown
from experiments.bench.config import ALLOCATORS, Bench
from experiments.bench.contenders import ITSELF, YARDSTICK
from experiments.bench.records import BenchRecord
from experiments.bench.results import OURS, CaseRecords, entries, median
from experiments.bench.summary import COMPILED, mean_and_lowest, peers, summary
from experiments.bench.words import LABELS, MODES, duration
from experiments.records import Environment

LEGEND = """\
Times are medians of interleaved samples, ± the wider half of the median's 95% interval. A ratio is
the other's time over ours: above 1x, jaxpool is faster. **Bold**: faster beyond the noise; ▼:
slower beyond it; plain: not to be told apart. Noise: the same program timed twice as if it were
two. Share of copy: the least bytes that must move, over the time, as a share of what copying the
input (`x + 1` into a new array) reaches in the same run. Temporaries: of our compiled program, as a
multiple of the input. Every contender's results were checked before it was timed; a program that
another contender has as well, constants and all, was timed once. In the plot, a grey tick is the
time of the least traffic at the copy's bandwidth."""

ESTIMATES = """\
Nothing here was run: these are the compiler's own estimates for a device that was not there. A
ratio is the other's time over ours: above 1x, jaxpool is faster. Temporaries: of our compiled
program, as a multiple of the input. Kernels: how many our program starts one after the other."""

_YARDSTICK = f"""\
Here jaxpool is the operator that the case names; `{YARDSTICK}` is jaxpool's own as well, with the
window of the case."""


def table(bench: Bench, environment: Environment, records: Sequence[BenchRecord]) -> str:
    """The whole of table.md.

    Args:
        bench: The benchmark.
        environment: Environment of the benchmark.
        records: The benchmark's records.

    Returns:
        Markdown.
    """
    estimated = any(record.device_source == "estimated" for record in records)
    legend = ESTIMATES if estimated else LEGEND
    parts = [f"# {bench.title}", _machine(environment), legend, *[_YARDSTICK] * bool(bench.calls)]
    for allocator, variables in ALLOCATORS.items():
        if mine := [record for record in records if record.allocator == allocator]:
            settings = " ".join(f"`{name}={value}`" for name, value in variables.items())
            note = f"For every contender alike: {settings or 'as the system has it'}."
            if not estimated:
                parts += [f"## Memory allocator: {allocator}", note + _others(mine)]
            parts += _section(bench, mine)
    return "\n\n".join(parts) + "\n"


def digest(bench: Bench, environment: Environment, records: Sequence[BenchRecord]) -> str:
    """The summary of the page, for inclusion in a document.

    Args:
        bench: The benchmark.
        environment: Environment of the benchmark.
        records: The benchmark's records.

    Returns:
        Markdown.
    """
    parts = [f"# {bench.title}"]
    for allocator in dict.fromkeys(record.allocator for record in records):
        mine = [record for record in records if record.allocator == allocator]
        parts += [
            f"The other's time over ours: above 1x, jaxpool is faster. {environment.device}, "
            + (
                "as its compiler estimates it; nothing was run."
                if mine[0].device_source == "estimated"
                else f"{environment.started[:10]}, {allocator} allocator.{_others(mine)}"
            ),
            *summary(bench, mine, minima=False),
        ]
    return "\n\n".join(parts) + "\n"


def headline(environment: Environment, records: Sequence[BenchRecord]) -> str:
    """The means in float32 against the best-known peers, one row per mode, for the README.

    Args:
        environment: Environment of the benchmark.
        records: The benchmark's records; of several allocators, the last one is used.

    Returns:
        Markdown.
    """
    allocator = records[-1].allocator
    found = entries([r for r in records if (r.allocator, r.dtype) == (allocator, "float32")])
    shown = [peer for peer in ("torch", "lax", "flax") if peer in peers(found)]
    rows = []
    for mode, title in MODES.items():
        of_mode = [entry for entry in found if entry.any.mode == mode]
        if of_mode:
            rows.append([title, *(mean_and_lowest(of_mode, peer, median) for peer in shown)])
    jax = environment.versions["jax"]
    source = f"jax {jax}, {environment.started[:10]}"
    if records[-1].device_source == "estimated":
        source = f"as its compiler estimates it (jax {jax})"
    return (
        f"# {environment.device}, jax {jax}\n\n"
        f"{markdown.table(['float32', *(f'against {LABELS[peer]}' for peer in shown)], rows)}\n\n"
        f"{environment.device}, {source}.\n"
    )


def _others(records: Sequence[BenchRecord]) -> str:
    busy = [record.busy_cores for record in records if record.busy_cores is not None]
    if not busy:
        return ""
    return f" Before each case, other processes kept at most {max(busy):.1f} cores busy."


def _section(bench: Bench, records: Sequence[BenchRecord]) -> list[str]:
    parts = summary(bench, records, minima=records[0].device_source == "measured")
    for mode, title in MODES.items():
        found = [entry for entry in entries(records) if entry.any.mode == mode]
        if found:
            parts += [f"### {title[0].upper()}{title[1:]}", _mode_table(found)]
    methods = _methods(records)
    if methods:
        parts += ["### Methods, as multiples of the planner's speed", methods]
    absent = _absent(records)
    if absent:
        parts += ["### Not timed", absent]
    return parts


def _machine(environment: Environment) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in environment.versions.items())
    lines = [f"{environment.device}; {environment.started[:10]}", versions]
    if environment.xla_flags:
        lines.append(f"XLA_FLAGS={environment.xla_flags}")
    return "  \n".join(lines)


def _mode_table(found: Sequence[CaseRecords]) -> str:
    columns: dict[str, Callable[[CaseRecords], str]] = {
        "case": lambda e: f"{e.any.case}: {e.any.description}",
        "dtype": lambda e: e.any.dtype,
        "jaxpool": _time,
        "least": lambda e: "" if e.any.device_source == "estimated" else _shortest(e),
        "noise": lambda e: "" if e.noise is None else f"{e.noise - 1:.0%}",
        **{LABELS[peer]: _ratio_column(peer) for peer in peers(found)},
        "share of copy": lambda e: "" if (s := e.share()) is None else f"{s:.0%}",
        "kernels": _kernels,
        "temporaries, inputs": lambda e: "" if (t := e.temporaries) is None else f"{t:.2f}",
        "compile, s": lambda e: "" if e.compile_s is None else f"{e.compile_s:.2f}",
        **{f"compile vs {peer}": _compile_column(peer) for peer in COMPILED},
    }
    rows = [[cell(entry) for cell in columns.values()] for entry in found]
    used = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    heads = list(columns)
    return markdown.table([heads[i] for i in used], [[row[i] for i in used] for row in rows])


def _time(entry: CaseRecords) -> str:
    timing = entry.timing(OURS)
    if timing is None:
        record = entry.records.get(OURS)
        return "not timed" if record is None else record.outcome.replace("_", " ")
    if timing.low_s is None or timing.high_s is None:
        return duration(timing.median_s)
    half = max(timing.median_s - timing.low_s, timing.high_s - timing.median_s)
    return f"{duration(timing.median_s)} ±{half / timing.median_s:.0%}"


def _kernels(entry: CaseRecords) -> str:
    record = entry.records.get(OURS)
    return "" if record is None or record.kernels is None else str(record.kernels)


def _shortest(entry: CaseRecords) -> str:
    timing = entry.timing(OURS)
    return "" if timing is None else duration(timing.min_s)


def _ratio_column(peer: str) -> Callable[[CaseRecords], str]:
    def cell(entry: CaseRecords) -> str:
        ratio = entry.ratio(peer)
        if ratio is None:
            record = entry.records.get(peer)
            return "" if record is None else record.outcome.replace("_", " ")
        text = f"{ratio:.2f}x"
        return {"faster": f"**{text}**", "slower": f"{text} ▼", "even": text}[entry.verdict(peer)]

    return cell


def _compile_column(peer: str) -> Callable[[CaseRecords], str]:
    return lambda entry: "" if (ratio := entry.compile_ratio(peer)) is None else f"{ratio:.1f}x"


def _methods(records: Sequence[BenchRecord]) -> str:
    ours = [r.contender for r in records if r.contender.startswith(f"{OURS}:")]
    names = [name for name in dict.fromkeys(ours) if name != ITSELF]
    if not names:
        return ""

    def cell(entry: CaseRecords, name: str) -> str:
        record, ratio = entry.records.get(name), entry.ratio(name)
        if record is None:
            return ""
        if ratio is None:
            return record.outcome.replace("_", " ")
        if record.same_as == OURS:
            return "chosen"
        return f"**{1 / ratio:.2f}x**" if entry.verdict(name) == "slower" else f"{1 / ratio:.2f}x"

    rows = [
        [MODES[entry.any.mode], entry.any.case, entry.any.dtype, *(cell(entry, n) for n in names)]
        for entry in entries(records)
        if any(name in entry.records for name in names)
    ]
    return markdown.table(["mode", "case", "dtype", *(n.partition(":")[2] for n in names)], rows)


def _absent(records: Sequence[BenchRecord]) -> str:
    """Contenders that were left out, failed or disagreed, with the reason and the cases."""
    return "\n".join(
        f"- {'' if outcome == 'left_out' else '**'}{name} {outcome.replace('_', ' ')}"
        f"{'' if outcome == 'left_out' else '**'}: {markdown.escape(reason)} ({where})"
        for outcome, name, reason, where in absences(records)
    )


def absences(records: Sequence[BenchRecord]) -> list[tuple[str, str, str, str]]:
    """Outcome, contender, reason and cases of contenders not timed; those left out come last."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for record in records:
        if record.outcome not in ("timed", "same"):
            key = (record.outcome, record.contender, record.reason)
            places = reasons.setdefault(key, [])
            places.append(f"{record.case} {record.dtype} {record.mode}")
    ordered = sorted(reasons.items(), key=lambda item: item[0][0] == "left_out")
    return [(*key, _places(places)) for key, places in ordered]


def _places(places: Sequence[str]) -> str:
    shown = ", ".join(places[:4])
    return shown if len(places) <= 4 else f"{shown} and {len(places) - 4} more"
