"""What was not measured, and why, as far as a result says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from compiler.bench.result import Result
from compiler.report import format as fmt
from compiler.report.document.cells import Cell, setup
from compiler.report.document.parts import Column, Section, Table

_POWER = "power (W, images/s/W)"
_QUANTITIES: tuple[tuple[str, Callable[[Result], object], str], ...] = (
    (_POWER, lambda r: r.watts, "no power sensor was read"),
    ("images/s", lambda r: r.images_per_s if r.batch is not None else "", "no figures"),
    ("accuracy", lambda r: r.accuracy, "the package's model was not at hand"),
    (
        "top-1 agreement",
        lambda r: "" if r.accuracy is None else r.accuracy.top1_agreement,
        "no output holds the scores of classes",
    ),
    ("time per kernel", lambda r: r.profile if r.engine == "edgetune" else "", "measured without --profile"),
    (
        "clocks",
        lambda r: "" if r.conditions is None else r.conditions.clock_mhz_after,
        "the machine does not show them",
    ),
    (
        "temperature",
        lambda r: "" if r.conditions is None else r.conditions.celsius_after,
        "the machine does not show it",
    ),
    ("conditions", lambda r: r.conditions, "measured on a board, or by an older edgetune"),
)
MOST = 200
_REASONS = 3


def absent_section(cells: Sequence[Cell], devices: int) -> Section:
    """Cells without figures and peers that failed, with their reasons; then quantities that results lack."""
    section = Section("What was not measured")
    gaps: list[tuple[object, ...]] = []
    for cell in cells:
        last, name = cell.last, f"{cell.key.model} · {setup(cell.last, devices)}"
        if last.latency_ms is None:
            gaps.append((name, cell.key.engine, last.reason or "; ".join(last.warnings) or "no reason given"))
        gaps += [(name, peer, reason) for peer, reason in last.missing.items()]
    if gaps:
        columns = (Column("what"), Column("engine"), Column("why"))
        section.tables.append(Table(columns, gaps[:MOST], "Cells without figures"))
    measured = [cell.last for cell in cells if cell.last.latency_ms is not None]
    lacking = []
    for name, get, why in _QUANTITIES:
        without = [result for result in measured if get(result) is None]
        if without:
            reasons = _of_power(without) if name == _POWER else ""
            lacking.append((name, f"{len(without)} of {fmt.count(len(measured), 'result')}", reasons or why))
    if lacking:
        columns = (Column("quantity"), Column("not measured in"), Column("usual reason"))
        section.tables.append(Table(columns, lacking, "Quantities"))
    section.paragraphs.append(
        "Nothing here is zero, and nothing is estimated: it was not measured."
        if gaps or lacking
        else "Everything that a result can hold was measured."
    )
    return section


def _of_power(without: Sequence[Result]) -> str:
    """The reasons why they have no power, the usual ones first."""
    reasons = Counter(r.power.reason for r in without if r.power is not None and r.power.reason is not None)
    return "; ".join(reason for reason, _ in reasons.most_common(_REASONS))
