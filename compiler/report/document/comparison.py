"""What was measured twice: whether it became faster or slower, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.bench.result import Result
from compiler.records.significance import CHANCE, compare
from compiler.report.document.cells import Cell, short_device
from compiler.report.document.parts import Column, Section, Table

_COLUMNS = (
    Column("model"),
    Column("device"),
    Column("batch"),
    Column("precision"),
    Column("engine"),
    Column("first ms", "number"),
    Column("last ms", "number"),
    Column("ratio", "number"),
    Column("chance", "share"),
    Column("verdict"),
    Column("first measured"),
    Column("last measured"),
)


def comparison_section(cells: Sequence[Cell]) -> Section | None:
    """The first and the last measurement of each cell that has two, by the medians of their windows."""
    rows = []
    for cell in cells:
        measured = [result for result in cell.results if result.latency_ms is not None]
        if len(measured) > 1:
            rows.append(_row(measured[0], measured[-1]))
    if not rows:
        return None
    return Section(
        "What was measured twice",
        [
            "The first measurement and the last. “chance” is the probability that windows of one and the same speed "
            f"would lie as far apart (exact rank-sum test); up to {CHANCE:.0%}, the difference counts. The windows of "
            "one run share that run's luck, so a small difference may still be the machine's: `bench --aa` shows what "
            "this machine can tell apart."
        ],
        tables=[Table(_COLUMNS, rows).without_constant("device")],
        folded=len(rows) > 60,
    )


def _row(first: Result, last: Result) -> tuple[object, ...]:
    assert first.latency_ms is not None and last.latency_ms is not None  # noqa: S101 - chosen for it
    before, after = _windows(first), _windows(last)
    if before and after:
        found = compare(before, after)
        ratio, chance = found.ratio, found.probability
        verdict = "no difference shown"
        if found.significant:
            verdict = "faster" if ratio < 1 else "slower" if ratio > 1 else verdict
    else:
        ratio, chance = last.latency_ms.p50 / first.latency_ms.p50, None
        verdict = "cannot be told: no windows"
    return (
        first.model,
        short_device(first.device),
        first.batch,
        first.precision,
        first.engine,
        first.latency_ms.p50,
        last.latency_ms.p50,
        ratio,
        chance,
        verdict,
        first.started,
        last.started,
    )


def _windows(result: Result) -> list[float]:
    return [] if result.stability is None else [ms for ms in result.stability.windows_ms if ms > 0]
