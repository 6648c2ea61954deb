"""The table of results, their latency percentiles, and our ratio to each peer."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.bench.result import Result
from compiler.report.document.cells import Cell, setup, short_device
from compiler.report.document.colours import engine_scale
from compiler.report.document.parts import Chart, Column, Section, Table

DRAWN = 40
UNFOLDED = 60

COLUMNS = (
    Column("model"),
    Column("device"),
    Column("batch"),
    Column("precision"),
    Column("engine"),
    Column("images/s", "number"),
    Column("W", "number"),
    Column("images/s/W", "number"),
    Column("mean ms", "number"),
    Column("p50 ms", "number"),
    Column("p90 ms", "number"),
    Column("p99 ms", "number"),
    Column("runs", "number"),
    Column("top-1", "share", 2),
    Column("error", "number", 2),
    Column("verified"),
)


def results_section(cells: Sequence[Cell]) -> Section:
    """Each cell's newest result. `error` is the relative L2 error beside ONNX Runtime in FP32."""
    several = sum(len(cell.results) > 1 for cell in cells)
    section = Section("Results", folded=len(cells) > UNFOLDED)
    section.paragraphs.append(
        "“top-1” is how often the largest class is that of ONNX Runtime in FP32, “error” the relative L2 error "
        "beside it, the worst of all outputs."
    )
    if several:
        section.paragraphs.append(f"Of {several} that were measured more than once, the newest is shown.")
    section.tables.append(Table(COLUMNS, [_row(cell.last) for cell in cells]).without_constant("device"))
    return section


def latency_section(cells: Sequence[Cell], devices: int) -> Section | None:
    """The percentiles as a chart: a line from the 50th to the 99th, with a tick at the 90th."""
    drawn = [
        {
            "row": f"{cell.key.model} · {setup(cell.last, devices)} · {cell.key.engine}",
            "engine": cell.key.engine,
            **{name: getattr(cell.last.latency_ms, name) for name in ("p50", "p90", "p99")},
        }
        for cell in cells
        if cell.last.latency_ms is not None
    ]
    if not drawn:
        return None
    kept = drawn[:DRAWN]
    y = {"field": "row", "type": "nominal", "sort": [point["row"] for point in kept], "title": None}
    tooltip = [{"field": name, "type": "quantitative", "format": ".4g"} for name in ("p50", "p90", "p99")]
    color = {
        "field": "engine",
        "type": "nominal",
        "legend": {"title": None},
        "scale": engine_scale(d["engine"] for d in kept),
    }

    def at(field: str) -> dict[str, object]:
        return {
            "field": field,
            "type": "quantitative",
            "scale": {"type": "log", "nice": False, "padding": 12},
            "title": "latency, ms",
        }

    spec = {
        "data": {"values": kept},
        "height": 18 * len({point["row"] for point in kept}),
        "encoding": {"y": y, "color": color, "tooltip": tooltip},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {"x": at("p50"), "x2": {"field": "p99"}}},
            {"mark": {"type": "point", "filled": True, "size": 60}, "encoding": {"x": at("p50")}},
            {"mark": {"type": "tick", "thickness": 2, "size": 10}, "encoding": {"x": at("p90")}},
        ],
    }
    more = f"; {len(drawn) - DRAWN} more are in the table" if len(drawn) > DRAWN else ""
    chart = Chart(spec, f"Latency: the dot is the median, the tick the 90th percentile, the end the 99th{more}")
    return Section("Latency", charts=[chart])


def ratio_section(cells: Sequence[Cell], devices: int) -> Section | None:
    """Our latency over each peer's, with the lowest and highest of the rounds."""
    found = [(cell.last, ratio) for cell in cells for ratio in cell.last.ratios]
    if not found:
        return None
    drawn = [
        {
            "row": f"{r.model} · {setup(r, devices)}",
            "peer": ratio.reference,
            "low": ratio.low,
            "high": ratio.high,
            "ratio": ratio.ratio,
        }
        for r, ratio in found[:DRAWN]
    ]
    y = {"field": "row", "type": "nominal", "sort": list(dict.fromkeys(d["row"] for d in drawn)), "title": None}
    offset = {"field": "peer", "type": "nominal"}
    color = {
        "field": "peer",
        "type": "nominal",
        "legend": {"title": "beside"},
        "scale": engine_scale(str(d["peer"]) for d in drawn),
    }
    x = {"field": "ratio", "type": "quantitative", "scale": {"type": "log", "nice": False, "padding": 12}}
    title = "our latency over theirs"
    spec = {
        "height": 16 * len({(d["row"], d["peer"]) for d in drawn}),
        "layer": [
            {
                "data": {"values": [{"one": 1}]},
                "mark": {"type": "rule", "color": "var(--muted)", "strokeDash": [4, 3]},
                "encoding": {"x": {"field": "one", "type": "quantitative", "title": title}},
            },
            {
                "data": {"values": drawn},
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "y": y,
                    "yOffset": offset,
                    "color": color,
                    "x": {**x, "field": "low", "title": title},
                    "x2": {"field": "high"},
                },
            },
            {
                "data": {"values": drawn},
                "mark": {"type": "point", "filled": True, "size": 60},
                "encoding": {
                    "y": y,
                    "yOffset": offset,
                    "color": color,
                    "x": {**x, "title": title},
                    "tooltip": [
                        {"field": "peer", "type": "nominal"},
                        *({"field": n, "type": "quantitative", "format": ".3f"} for n in ("ratio", "low", "high")),
                    ],
                },
            },
        ],
    }
    columns = (
        Column("model"),
        Column("device"),
        Column("batch"),
        Column("precision"),
        Column("peer"),
        Column("ratio", "number"),
        Column("lowest", "number"),
        Column("highest", "number"),
        Column("we are"),
    )
    rows = [
        (
            r.model,
            short_device(r.device),
            r.batch,
            r.precision,
            ratio.reference,
            ratio.ratio,
            ratio.low,
            ratio.high,
            "faster" if ratio.high < 1 else "slower" if ratio.low > 1 else "not told apart",
        )
        for r, ratio in found
    ]
    return Section(
        "Beside the peers",
        [
            "The median of the rounds' ratios, each of two medians that were measured right after each other, with the "
            "lowest and the highest. Below 1, we are faster."
        ],
        [Chart(spec, "Our latency over each peer's, with its spread over the rounds; left of the line we are faster")],
        [Table(columns, rows).without_constant("device")],
    )


def _row(r: Result) -> tuple[object, ...]:
    figures, accuracy = r.latency_ms, r.accuracy
    return (
        r.model,
        short_device(r.device),
        r.batch,
        r.precision,
        r.engine,
        r.images_per_s,
        r.watts,
        r.images_per_s_per_w,
        *((None,) * 4 if figures is None else (figures.mean, figures.p50, figures.p90, figures.p99)),
        r.runs if figures is not None else None,
        None if accuracy is None else accuracy.top1_agreement,
        None if accuracy is None else accuracy.rel_l2_err,
        None if accuracy is None else "yes" if accuracy.ok else "NO",
    )
