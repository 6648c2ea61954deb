"""Where the time goes: kernels by time, and each of them under the machine's roof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compiler.bench.profile import KernelRow, ProfileReport
from compiler.bench.result import Result
from compiler.report.document.cells import Cell, setup
from compiler.report.document.parts import Chart, Column, Section, Table

PROFILES = 6
BARS = 15
TABLE_ROWS = 40

_COLUMNS = (
    Column("kernel"),
    Column("calls", "number"),
    Column("ms", "number"),
    Column("of time", "share"),
    Column("GFLOP/s", "number"),
    Column("of peak FLOP/s", "share"),
    Column("GB/s", "number"),
    Column("of peak bandwidth", "share"),
)


def layer_sections(cells: Sequence[Cell], devices: int) -> list[Section]:
    """A section for each of the newest profiles, at most `PROFILES`."""
    found = []
    for cell in cells:
        profiled = [result for result in cell.results if result.profile is not None and result.profile.rows]
        if profiled:
            found.append(profiled[-1])
    made = [_section(result, devices) for result in found[:PROFILES]]
    if len(found) > PROFILES:
        made[-1].paragraphs.append(f"{len(found) - PROFILES} more profiles are in the result files.")
    return made


def _section(result: Result, devices: int) -> Section:
    profile = result.profile
    assert profile is not None  # noqa: S101 - chosen for it
    name = f"{result.model} · {setup(result, devices)}"
    section = Section(f"Where the time goes: {name}")
    peak = profile.peak
    section.paragraphs.append(
        f"A run with the instrument takes {profile.total_ms:.3g} ms, of which {profile.machine_ms:.3g} ms go between "
        "kernels; a plain run is a little faster."
    )
    section.charts.append(_bars(profile))
    if peak is not None:
        section.paragraphs.append(f"Peak: {peak.gflops:.3g} GFLOP/s, {peak.gb_s:.3g} GB/s ({peak.how}).")
        roof = _roofline(profile, peak.gflops, peak.gb_s)
        if roof is not None:
            section.charts.append(roof)
    elif profile.no_peak is not None:
        section.paragraphs.append(f"Peak: {profile.no_peak}.")
    rows = [
        (
            row.name,
            row.calls,
            row.milliseconds,
            row.share,
            row.gflops,
            row.of_peak_flops,
            row.gb_s,
            row.of_peak_bandwidth,
        )
        for row in profile.rows[:TABLE_ROWS]
    ]
    more = f" ({len(profile.rows) - TABLE_ROWS} more are left out)" if len(profile.rows) > TABLE_ROWS else ""
    section.tables.append(Table(_COLUMNS, rows, f"Kernels{more}"))
    return section


def _bars(profile: ProfileReport) -> Chart:
    shown: list[dict[str, Any]] = [
        {"kernel": row.name, "ms": row.milliseconds, "share": row.share} for row in profile.rows[:BARS]
    ]
    rest = profile.rows[BARS:]
    if rest:
        shown.append(
            {
                "kernel": f"{len(rest)} more",
                "ms": sum(row.milliseconds for row in rest),
                "share": sum(row.share for row in rest),
            }
        )
    spec = {
        "data": {"values": shown},
        "height": 18 * len(shown),
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "y": {"field": "kernel", "type": "nominal", "sort": [one["kernel"] for one in shown], "title": None},
            "x": {"field": "ms", "type": "quantitative", "title": "ms a run"},
            "tooltip": [
                {"field": "kernel", "type": "nominal"},
                {"field": "ms", "type": "quantitative", "format": ".4g"},
                {"field": "share", "type": "quantitative", "format": ".1%"},
            ],
        },
    }
    return Chart(spec, "Time per kernel, all of its calls in one run")


def _roofline(profile: ProfileReport, gflops: float, gb_s: float) -> Chart | None:
    def intensity(row: KernelRow) -> float | None:
        return row.gflops / row.gb_s if row.gflops and row.gb_s else None

    points = [
        {
            "kernel": row.name,
            "intensity": at,
            "gflops": row.gflops,
            "ms": row.milliseconds,
            "of_roof": (row.gflops or 0.0) / min(gflops, at * gb_s),
        }
        for row in profile.rows
        if (at := intensity(row)) is not None
    ]
    if not points:
        return None
    ridge = gflops / gb_s
    # The roof spans the points and its own ridge.
    ends = [float(point["intensity"]) for point in points]  # type: ignore[arg-type]
    low, high = min(*ends, ridge) / 2, max(*ends, ridge) * 2
    roof = [{"intensity": at, "gflops": min(gflops, at * gb_s)} for at in (low, ridge, high)]
    scale = {"type": "log", "nice": False, "padding": 12}
    x = {"field": "intensity", "type": "quantitative", "scale": scale, "title": "operations a byte"}
    y = {"field": "gflops", "type": "quantitative", "scale": scale, "title": "GFLOP/s"}
    spec = {
        "height": 280,
        "layer": [
            {
                "data": {"values": roof},
                "mark": {"type": "line", "color": "var(--muted)", "interpolate": "linear"},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": points},
                "mark": {"type": "point", "filled": True, "opacity": 0.8},
                "encoding": {
                    "x": x,
                    "y": y,
                    "size": {"field": "ms", "type": "quantitative", "legend": {"title": "ms"}},
                    "tooltip": [
                        {"field": "kernel", "type": "nominal"},
                        {"field": "gflops", "type": "quantitative", "format": ".4g"},
                        {"field": "intensity", "type": "quantitative", "format": ".3g"},
                        {"field": "of_roof", "type": "quantitative", "format": ".1%", "title": "of the roof"},
                    ],
                },
            },
        ],
    }
    return Chart(
        spec,
        "Roofline: each kernel, its size its time; the line is the most that this machine can do out of memory, and "
        "what lies above its slope found its data in a cache",
    )
