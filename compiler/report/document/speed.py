"""Images per second, and per second and watt, beside what was published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from compiler.bench.result import Result
from compiler.report import format as fmt
from compiler.report.document.cells import Cell, setup, short_device
from compiler.report.document.colours import engine_scale
from compiler.report.document.parts import Chart, Column, Section, Table
from compiler.report.published import YEAR, Published, published

MODELS_DRAWN = 12
ROWS_DRAWN = 30
MODELS_DRAWN_WHERE_MANY = "The tables have all of them."

_PUBLISHED = f"published {YEAR}"
_SHAPES = {"": "diamond", ">": "triangle-right", "<": "triangle-left"}


def speed_section(cells: Sequence[Cell], devices: int) -> Section:
    """A chart for each model, then the figures; published points have a table of their own."""
    section = Section("Speed")
    models = list(dict.fromkeys(cell.key.model for cell in cells))
    for model in models[:MODELS_DRAWN]:
        chart = speed_chart(model, [cell.last for cell in cells if cell.key.model == model], devices, "images_per_s")
        if chart is not None:
            section.charts.append(chart)
    for model in models[:MODELS_DRAWN]:
        chosen = [cell.last for cell in cells if cell.key.model == model and cell.last.images_per_s_per_w]
        if chosen and (chart := speed_chart(model, chosen, devices, "images_per_s_per_w")):
            section.charts.append(chart)
    if len(models) > MODELS_DRAWN:
        section.paragraphs.append(f"{MODELS_DRAWN} of {len(models)} models are drawn. {MODELS_DRAWN_WHERE_MANY}")
    points = [point for model in models for point in _of(model)]
    if points:
        section.paragraphs.append(
            f"Hollow diamonds are figures published in {YEAR} by others, on other machines; a triangle is a published "
            "bound. They were not measured here."
        )
        section.tables.append(published_table(points))
    return section


def speed_chart(model: str, results: Sequence[Result], devices: int, field: str) -> Chart | None:
    """The chart of one model; None where nothing of `field` was measured."""
    title = "images/s" if field == "images_per_s" else "images/s/W"
    drawn = [_drawn(r, devices, field) for r in results if getattr(r, field) is not None]
    if not drawn:
        return None
    rows = dict.fromkeys(point["setup"] for point in drawn)
    left_out = len(rows) - ROWS_DRAWN
    kept = set(list(rows)[:ROWS_DRAWN])
    drawn = [point for point in drawn if point["setup"] in kept]
    known = [_drawn_published(p, field) for p in _of(model) if getattr(p, field) is not None]
    order = [*kept_in_order(rows, kept), *dict.fromkeys(point["setup"] for point in known)]
    y = {"field": "setup", "type": "nominal", "sort": order, "title": None}
    x = {
        "field": "value",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 12},
        "title": title,
    }
    tooltip = [{"field": name, "type": "nominal"} for name in ("engine", "setup", "shown", "source")]
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": drawn},
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 0.9},
            "encoding": {"x": x, "y": y, "color": _engines(drawn), "tooltip": tooltip[:3]},
        }
    ]
    if known:
        layers.append(
            {
                "data": {"values": known},
                "mark": {"type": "point", "filled": False, "size": 90, "color": "var(--muted)", "strokeWidth": 1.5},
                "encoding": {
                    "x": x,
                    "y": y,
                    "shape": {"field": "shape", "type": "nominal", "scale": None},
                    "tooltip": tooltip,
                },
            }
        )
    note = f"; {left_out} more rows are in the table" if left_out > 0 else ""
    beside = f"; hollow: {_PUBLISHED}" if known else ""
    spec = {"height": 22 * len(order), "layer": layers}
    return Chart(spec, f"{model}: {title}, more is better{beside}{note}")


def kept_in_order(rows: Iterable[str], kept: set[str]) -> list[str]:
    """The rows that are kept, in their order."""
    return [row for row in rows if row in kept]


def published_table(points: Sequence[Published]) -> Table:
    """The published points as a table, apart from what was measured."""
    columns = (
        Column("device"),
        Column("model"),
        Column("precision"),
        Column("batch", "number"),
        Column("images/s"),
        Column("W"),
        Column("images/s/W"),
        Column("source"),
        Column("status"),
    )
    rows = [
        (
            p.device,
            p.model,
            p.precision,
            p.batch,
            None if p.images_per_s is None else f"{p.bound}{p.images_per_s:g}",
            None if p.watts is None else f"{p.watts:g}",
            None if p.images_per_s_per_w is None else f"{p.images_per_s_per_w:g}",
            p.source,
            p.status,
        )
        for p in points
    ]
    return Table(columns, rows, f"Published in {YEAR}, not measured here")


def _of(model: str) -> list[Published]:
    return [point for point in published() if point.model.lower() == model.lower()]


def _drawn(result: Result, devices: int, field: str) -> dict[str, Any]:
    value = getattr(result, field)
    return {
        "setup": setup(result, devices),
        "engine": result.engine,
        "value": value,
        "shown": fmt.significant(value),
        "started": result.started,
    }


def _drawn_published(point: Published, field: str) -> dict[str, Any]:
    bound = point.bound if field == "images_per_s" else ""
    value = getattr(point, field)
    return {
        "setup": f"{short_device(point.device)} · batch {point.batch} · {point.precision}",
        "engine": _PUBLISHED,
        "value": value,
        "shown": f"{bound}{value:g}",
        "source": f"{point.source}; {point.status}",
        "shape": _SHAPES[bound],
    }


def _engines(drawn: Sequence[dict[str, Any]]) -> dict[str, Any]:
    scale = engine_scale(point["engine"] for point in drawn)
    return {"field": "engine", "type": "nominal", "scale": scale, "legend": {"title": None}}
