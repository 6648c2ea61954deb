"""Power: watts in the windows of each engine, idle watts apart, and how they were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from compiler.bench.power.power import says
from compiler.report.document.cells import Cell, short_device
from compiler.report.document.parts import Column, Section, Table

_COLUMNS = (
    Column("model"),
    Column("device"),
    Column("batch"),
    Column("precision"),
    Column("engine"),
    Column("W", "number"),
    Column("idle W", "number"),
    Column("images/s/W", "number"),
    Column("J a run", "number"),
    Column("uncertainty", "share"),
    Column("windows"),
)
_TEXT = (
    "Mean power over exactly the windows in which the counted runs ran, without warm-up, transfers and the other "
    "engines' turns. “idle W” is what the same sensors said before, when nothing was computed; it is contained in W "
    "and in images/s/W, and nowhere subtracted. “uncertainty” is the share of the energy that "
    "lies between readings at the windows' edges; “windows” how many of them the readings "
    "resolve. “J a run” is W times the mean latency."
)


def power_section(cells: Sequence[Cell]) -> Section | None:
    """Each cell's newest result, where any has power."""
    rows: list[tuple[object, ...]] = []
    sensors: Counter[str] = Counter()
    for cell in cells:
        r, power = cell.last, cell.last.power
        if power is None or power.watts is None:
            continue
        a_run = None if r.latency_ms is None else power.watts * r.latency_ms.mean / 1e3
        rows.append(
            (
                *(r.model, short_device(r.device), r.batch, r.precision, r.engine, power.watts, power.idle_watts),
                *(r.images_per_s_per_w, a_run, power.uncertainty, f"{power.windows} of {power.of_windows}"),
            )
        )
        sensors[says(power)] += 1
    if not rows:
        return None
    columns = (Column("sensor, what it covers, sampling and method"), Column("results", "number"))
    return Section(
        "Power",
        [_TEXT],
        tables=[Table(_COLUMNS, rows).without_constant("device"), Table(columns, sensors.most_common(), "Sensors")],
    )
