"""How it was measured, and on what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from compiler.bench.aa import AaLine
from compiler.bench.result import Result
from compiler.report import format as fmt
from compiler.report.document.parts import NOT_MEASURED, Column, Section, Table

WARNINGS = 100
_FIGURE = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?![\w])")

_METHOD = (
    "Latency is the time of single invocations, inputs and outputs in place, after a warm-up. Engines take turns in "
    "windows (A B C, A B C, …), each with its own best settings, and wait between turns until the process is idle. "
    "Windows go on until the medians of the last three agree within the tolerance; where they do not, the result "
    "says “unstable”.",
    "images/s is the batch over the mean latency: one batch after the other, none at the same time. images/s/W needs "
    "a sensor; without one there is no figure.",
    "Accuracy is held against ONNX Runtime in FP32 on the same inputs.",
)


def methods_section(results: Sequence[Result], aa: Sequence[AaLine] = ()) -> Section:
    """The protocol, then devices, engines with their settings, conditions and warnings, each told once."""
    section = Section("Methods and environment", list(_METHOD))
    devices = Counter((r.device, r.target, r.fingerprint, r.threads) for r in results)
    section.tables.append(
        Table(
            (Column("device"), Column("target"), Column("fingerprint"), Column("threads", "number"), _RESULTS),
            [(*key, number) for key, number in devices.items()],
            "Devices",
        )
    )
    engines = Counter((r.engine, r.engine_version, _settings(r)) for r in results)
    section.tables.append(
        Table(
            (Column("engine"), Column("version"), Column("settings"), _RESULTS),
            [(*key, number) for key, number in sorted(engines.items())],
            "Engines",
        )
    )
    conditions = _conditions(results)
    if conditions:
        section.tables.append(Table((Column("condition"), Column("lowest"), Column("highest")), conditions, "Machine"))
    if aa:
        section.tables.append(_aa(aa))
    _warnings(section, results)
    return section


def _aa(lines: Sequence[AaLine]) -> Table:
    columns = (
        Column("measured"),
        Column("model"),
        Column("batch"),
        Column("precision"),
        Column("seemed to differ by", "share"),
        Column("smallest difference that could be told", "share"),
        Column("pairs", "number"),
    )
    rows = [(a.started, a.model, a.batch, a.precision, a.aa.ratio - 1, a.aa.smallest, a.aa.pairs) for a in lines]
    return Table(columns, rows, "A/A: the same package beside itself")


def _warnings(section: Section, results: Sequence[Result]) -> None:
    # The same warning with another figure is the same warning.
    warnings = Counter(_FIGURE.sub("…", warning) for r in results for warning in r.warnings)
    if warnings:
        more = f" ({len(warnings) - WARNINGS} more are in the result files)" if len(warnings) > WARNINGS else ""
        section.tables.append(
            Table((Column("warning"), _RESULTS), warnings.most_common(WARNINGS), f"Warnings of the results{more}")
        )


_RESULTS = Column("results", "number")


def _settings(result: Result) -> str:
    return "; ".join(f"{name}={value}" for name, value in result.settings.items()) or "its own"


def _conditions(results: Sequence[Result]) -> list[tuple[object, ...]]:
    known = [r.conditions for r in results if r.conditions is not None]
    if not known:
        return []
    rows: list[tuple[object, ...]] = []
    for label, names, unit in (
        ("CPU clock", ("clock_mhz_before", "clock_mhz_after"), "MHz"),
        ("hottest sensor", ("celsius_before", "celsius_after"), "°C"),
        ("load average when it began", ("load",), ""),
        ("CPUs' worth of time used by others", ("other_cpus",), ""),
        ("CPUs that may be used", ("usable_cpus",), ""),
        ("the container's quota of CPUs", ("quota_cpus",), ""),
    ):
        values = [value for one in known for name in names if (value := getattr(one, name)) is not None]
        shown = (
            [f"{fmt.significant(float(end))} {unit}".strip() for end in (min(values), max(values))] if values else []
        )
        rows.append((label, *(shown or [NOT_MEASURED, NOT_MEASURED])))
    for label, field in (("system", "system"), ("governor", "governor"), ("power mode", "power_mode")):
        texts = sorted({str(value) for one in known if (value := getattr(one, field)) is not None})
        rows.append((label, ", ".join(texts) or NOT_MEASURED, ""))
    throttled = {one.throttled for one in known}
    said = "yes" if True in throttled else "no" if False in throttled else NOT_MEASURED
    rows.append(("throttled", said, ""))
    return rows
