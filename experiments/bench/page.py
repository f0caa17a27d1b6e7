"""report.html of a benchmark: ratios of times per case and contender, as a table and a dot plot."""

from collections.abc import Callable, Sequence
from typing import Any

from experiments.bench import table
from experiments.bench.contenders import YARDSTICK
from experiments.bench.records import BenchRecord
from experiments.bench.results import OURS, CaseRecords, entries, median
from experiments.bench.summary import mean_and_lowest, peers
from experiments.bench.words import LABELS, MODES, duration
from experiments.records import Environment
from experiments.report.page import vega
from experiments.report.page.looks import Look, looks, scales
from experiments.report.page.render import render
from experiments.report.page.study import machine
from experiments.report.page.table import Cell, Heading, Table, TableRow
from experiments.report.page.vega import Chart, Option, Spec

_RATIO = "A ratio is the other's time divided by jaxpool's: above 1x, jaxpool is faster."
_MEASURED = (
    f"{_RATIO} Bold: faster beyond the noise. ▼: slower beyond it. Plain: within the noise.",
    "Times are medians of interleaved samples, ± the wider half of the median's 95% interval.",
    "Noise: the ratio of two timings of the same program as separate contenders.",
    "Share of copy: the minimum traffic per time, relative to that of a copy of the input in the "
    "same run.",
    "Temporaries: temporary memory of jaxpool's compiled program, as a multiple of the input.",
    "Each contender's result was checked before timing. A program shared by several contenders was "
    "timed once.",
)
_ESTIMATED = (
    "Nothing was run: these are the compiler's estimates for an absent device. "
    "They are never ranked with measured times.",
    _RATIO,
    "Temporaries: temporary memory of jaxpool's compiled program, as a multiple of the input. "
    "Kernels: the number of kernels of jaxpool's program.",
)

_KEEP = (
    "Allocator keep: settings of glibc, equal for all contenders, that keep freed memory in the "
    "process, so that page faults do not dominate the times."
)
_YARDSTICK = (
    f"In these tables, jaxpool is the operator named by the case; {YARDSTICK} is jaxpool's max "
    "pooling with the window of the case."
)

Text = Callable[[CaseRecords], Cell]


def page(
    title: str,
    environment: Environment,
    records: Sequence[BenchRecord],
    index: str = "",
    assets: str = "",
) -> str:
    """The page of a benchmark.

    Args:
        title: Title of the benchmark.
        environment: Environment of the benchmark.
        records: The records; at least one.
        index: The page to link back to; empty for none.
        assets: The folder of the libraries' files, relative to the page; if empty, the page
            contains them.

    Returns:
        HTML.
    """
    found = entries(records)
    estimated = records[0].device_source == "estimated"
    contenders = _timed(found)
    drawn = looks(contenders, [LABELS[peer] for peer in contenders])
    chart = _chart(found, drawn, estimated)
    method = _ESTIMATED if estimated else _MEASURED
    if any(record.allocator == "keep" for record in records):
        method = (*method, _KEEP)
    if YARDSTICK in contenders:
        method = (*method, _YARDSTICK)
    source = "estimated by its compiler" if estimated else "measured"
    values = {
        "title": title,
        "about": f"{environment.device}, {source}, {environment.started[:10]}",
        "ratio": _RATIO,
        "means": _means(found),
        "looks": drawn,
        "rows": _table(found),
        "chart": chart,
        "method": method,
        "absent": table.absences(records),
        "environment": machine(environment),
    }
    return render("bench.html.j2", values, [chart] if chart else [], index, assets)


def _timed(found: Sequence[CaseRecords]) -> list[str]:
    """The other libraries that were timed in at least one case."""
    return [peer for peer in peers(found) if any(e.ratio(peer) is not None for e in found)]


def means(records: Sequence[BenchRecord]) -> list[str]:
    """One sentence per mode: the mean time of each peer over jaxpool's in float32."""
    found = [entry for entry in entries(records) if entry.any.dtype == "float32"]
    lines = []
    for mode, title in MODES.items():
        of_mode = [entry for entry in found if entry.any.mode == mode]
        texts = {LABELS[p]: mean_and_lowest(of_mode, p, median) for p in peers(of_mode)}
        if said := "; ".join(f"{name} {text}" for name, text in texts.items() if text):
            lines.append(f"{title[0].upper()}{title[1:]}, time over jaxpool's: {said}.")
    return lines


def _means(found: Sequence[CaseRecords]) -> Table:
    """Geometric means and the lowest case, by allocator, mode and dtype."""
    groups: dict[tuple[str, ...], list[CaseRecords]] = {}
    for entry in found:
        groups.setdefault(_group(entry), []).append(entry)
    columns = _timed(found)
    rows = [
        TableRow(
            "", [Cell(", ".join(name)), Cell(str(len(group))), *_cells_of_means(group, columns)]
        )
        for name, group in groups.items()
    ]
    heads = [
        Heading("computed"),
        Heading("cases"),
        *(Heading(f"against {LABELS[p]}") for p in columns),
    ]
    return Table("means", "", heads, rows)


def _cells_of_means(group: Sequence[CaseRecords], columns: Sequence[str]) -> list[Cell]:
    return [Cell(mean_and_lowest(group, peer, median)) for peer in columns]


def _group(entry: CaseRecords) -> tuple[str, ...]:
    """The chart of an entry: its mode, its dtype, and its allocator if that is not the system's."""
    one = entry.any
    allocator = [] if one.allocator == "default" else [f"{one.allocator} allocator"]
    return MODES[one.mode], one.dtype, *allocator


def _table(found: Sequence[CaseRecords]) -> Table:
    columns: dict[Heading, Text] = {
        Heading("case"): lambda e: Cell(e.any.case),
        Heading("what", look="text"): lambda e: Cell(e.any.description),
        Heading("mode", look="left"): lambda e: Cell(MODES[e.any.mode]),
        Heading("dtype", look="left"): lambda e: Cell(e.any.dtype),
        Heading("allocator", look="left"): lambda e: Cell(e.any.allocator),
        Heading("jaxpool"): _time,
        Heading("noise", "%"): lambda e: _number(
            None if e.noise is None else 100 * (e.noise - 1), ".0f"
        ),
        **{Heading(LABELS[peer], "time over jaxpool's"): _ratio(peer) for peer in _timed(found)},
        Heading("share of copy", "%"): lambda e: _number(
            None if (s := e.share()) is None else 100 * s, ".0f"
        ),
        Heading("kernels"): lambda e: _number(
            e.records[OURS].kernels if OURS in e.records else None, "d"
        ),
        Heading("temporaries", "inputs"): lambda e: _number(e.temporaries, ".2f"),
        Heading("compile", "s"): lambda e: _number(e.compile_s, ".2f"),
    }
    cells = {head: [cell(entry) for entry in found] for head, cell in columns.items()}
    used = [head for head, column in cells.items() if any(cell.text for cell in column)]
    heads = [head for head in used if head.title != "allocator" or len(_values(cells[head])) > 1]
    filters = {
        i: values
        for i, head in enumerate(heads)
        if head.title in ("mode", "dtype", "allocator") and len(values := _values(cells[head])) > 1
    }
    rows = [TableRow("", [cells[head][i] for head in heads]) for i in range(len(found))]
    return Table("ratios", "", heads, rows, filters)


def _values(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.text for cell in cells))


def _number(value: float | None, form: str) -> Cell:
    return Cell("", "") if value is None else Cell(f"{value:{form}}", value)


def _time(entry: CaseRecords) -> Cell:
    timing = entry.timing(OURS)
    if timing is None:
        record = entry.records.get(OURS)
        return Cell("not timed" if record is None else record.outcome.replace("_", " "), "")
    half = ""
    if timing.low_s is not None and timing.high_s is not None:
        wider = max(timing.median_s - timing.low_s, timing.high_s - timing.median_s)
        half = f" ±{wider / timing.median_s:.0%}"
    return Cell(f"{duration(timing.median_s)}{half}", timing.median_s)


def _ratio(peer: str) -> Text:
    def cell(entry: CaseRecords) -> Cell:
        ratio = entry.ratio(peer)
        if ratio is None:
            record = entry.records.get(peer)
            return Cell("" if record is None else record.outcome.replace("_", " "), "")
        look = {"faster": "best", "slower": "slower", "even": ""}[entry.verdict(peer)]
        return Cell(f"{ratio:.2f}x", ratio, look)

    return cell


def _chart(found: Sequence[CaseRecords], drawn: Sequence[Look], estimated: bool) -> Chart | None:
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in found:
        points = [_point(entry, look) for look in drawn if entry.ratio(look.name) is not None]
        groups.setdefault(", ".join(_group(entry)), []).extend(points)
    options = [
        Option(label, _spec(points, drawn), "x", "log")
        for label, points in groups.items()
        if points
    ]
    if not options:
        return None
    bars = "" if estimated else " Bars: all ratios that the 95% intervals of both medians allow."
    return Chart("ratios", "Ratios of times", f"{_RATIO}{bars}", options, "show")


def _point(entry: CaseRecords, look: Look) -> dict[str, Any]:
    ratio = entry.ratio(look.name) or 0.0
    low, high = entry.ratio_interval(look.name) or (ratio, ratio)
    verdict = {
        "faster": "jaxpool is faster",
        "slower": "jaxpool is slower",
        "even": "cannot be told apart",
    }
    ours, theirs = entry.timing(OURS), entry.timing(look.name)
    return {
        "variant": look.name,
        "label": look.label,
        "case": entry.any.case,
        "what": entry.any.description,
        "ratio": round(ratio, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "verdict": verdict[entry.verdict(look.name)],
        "ours": "" if ours is None else duration(ours.median_s),
        "theirs": "" if theirs is None else duration(theirs.median_s),
    }


def _spec(points: Sequence[dict[str, Any]], drawn: Sequence[Look]) -> Spec:
    encodings = scales(drawn)
    cases = list(dict.fromkeys(point["case"] for point in points))
    present = [look.name for look in drawn if any(p["variant"] == look.name for p in points)]
    title = ["the other's time over jaxpool's", "(right: jaxpool is faster)"]
    x = vega.axis("ratio", title, "~g")
    y: Spec = {
        "field": "case",
        "type": "nominal",
        "title": None,
        "sort": cases,
        "axis": {
            "grid": True,
            "labelLimit": {"expr": "containerSize()[0] > 600 ? 240 : 120"},
            "tickBand": "extent",
            "labelOverlap": False,
        },
        "scale": {"paddingInner": 0.25},
    }
    offset: Spec = {"field": "variant", "type": "nominal", "sort": present}
    place = {"y": y, "yOffset": {**offset, "scale": {"domain": present}}}
    tooltip = [
        {"field": "case"},
        {"field": "what", "title": "computes"},
        {"field": "label", "title": "against"},
        {"field": "ratio", "format": ".2f"},
        {"field": "verdict"},
        {"field": "ours", "title": "jaxpool"},
        {"field": "theirs", "title": "the other"},
    ]
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "color": "#888888", "strokeDash": [5, 4]},
            "data": {"values": [{"variant": "", "one": 1}]},
            "encoding": {"x": vega.axis("one", title, "~g")},
        },
        {
            "mark": "rule",
            "encoding": {
                "x": vega.axis("low", title, "~g"),
                "x2": {"field": "high"},
                **place,
                "color": encodings["color"],
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"x": x, **place, **encodings, "tooltip": tooltip},
        },
    ]
    spec = vega.frame(layers, points, "Ratio of times per case and contender")
    return {**spec, "height": max(120, len(cases) * (14 + 9 * len(present)))}
