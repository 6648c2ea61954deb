"""The tuning curves: how fast each task was after so many trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compiler.report.document.parts import Chart, Column, Section, Table
from compiler.report.document.reading import CurveLine

DRAWN = 12


def tuning_section(curves: Sequence[CurveLine]) -> Section | None:
    """The curves with most trials as a chart, and all as a table; None where no task got faster."""
    useful = [curve for curve in curves if curve.best_seconds and curve.best_seconds[-1]]
    if not useful:
        return None
    useful = sorted(useful, key=lambda curve: (-len(curve.best_seconds), curve.task, curve.run))
    points: list[dict[str, Any]] = []
    for number, curve in enumerate(useful[:DRAWN], 1):
        end = curve.best_seconds[-1] or 0.0
        before = None
        for trial, best in enumerate(curve.best_seconds, 1):
            # A step only where it moves: a thousand trials are a few dozen points.
            if best and (best != before or trial == len(curve.best_seconds)):
                points.append({"task": f"{number} {curve.task}", "trial": trial, "speed": end / best})
                before = best
    spec = {
        "data": {"values": points},
        "height": 300,
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.5},
        "encoding": {
            "x": {
                "field": "trial",
                "type": "quantitative",
                "scale": {"type": "log", "base": 2, "nice": False},
                "title": "trials of the task",
            },
            "y": {
                "field": "speed",
                "type": "quantitative",
                "axis": {"format": "%"},
                "title": "speed, of the best found",
            },
            "color": {
                "field": "task",
                "type": "nominal",
                "scale": {"scheme": "tableau20"},
                "sort": None,
                "legend": {"title": None, "labelLimit": 260, "columns": 1, "symbolType": "stroke"},
            },
        },
    }
    columns = (
        Column("task"),
        Column("trials", "number"),
        Column("first ms", "number"),
        Column("best ms", "number"),
        Column("speed-up", "number"),
    )
    rows = []
    for curve in useful:
        first = next(best for best in curve.best_seconds if best)
        last = curve.best_seconds[-1] or first
        rows.append((curve.task, len(curve.best_seconds), first * 1e3, last * 1e3, first / last))
    return Section(
        "Tuning",
        [f"The {min(DRAWN, len(useful))} tasks with most trials are drawn." if len(useful) > DRAWN else ""],
        [Chart(spec, "Tuning curves: the speed reached after so many trials")],
        [Table(columns, rows)],
    )
