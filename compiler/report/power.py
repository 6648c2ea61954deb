"""The power of benchmark results as a table, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.bench.power.power import Power, says
from compiler.bench.result import Result
from compiler.bench.run import BenchReport
from compiler.report import format as fmt
from compiler.report.document.parts import NOT_MEASURED
from compiler.report.output import Output

_FIGURES = ("batch", "W", "idle W", "images/s/W", "J a run", "uncertainty", "windows")
_COLUMNS = ("model", "batch", "engine", "precision", *_FIGURES[1:])


def show_power(output: Output, reports: Iterable[BenchReport]) -> None:
    """A table where anything was measured; then sensors and methods, and what was not measured and why, each once."""
    found = [(result, result.power) for report in reports for result in report.results if result.power is not None]
    if any(power.watts is not None for _, power in found):
        output.table(_COLUMNS, (_row(result, power) for result, power in found), right=",".join(_FIGURES))
    for line in dict.fromkeys(says(power) for _, power in found if power.watts is not None):
        output.say(f"power: {line}")
    for reason in dict.fromkeys(power.reason for _, power in found if power.reason is not None):
        output.say(f"power: {NOT_MEASURED}: {reason}")
    for reason in dict.fromkeys(power.idle_reason for _, power in found if power.idle_reason is not None):
        output.say(f"idle power: {NOT_MEASURED}: {reason}")


def _row(result: Result, power: Power) -> tuple[object, ...]:
    def shown(value: float | None) -> str:
        return fmt.significant(value) or NOT_MEASURED

    a_run = None if power.watts is None or result.latency_ms is None else power.watts * result.latency_ms.mean / 1e3
    return (
        result.model,
        result.batch,
        result.engine,
        result.precision,
        shown(power.watts),
        shown(power.idle_watts),
        shown(result.images_per_s_per_w),
        shown(a_run),
        fmt.share(power.uncertainty) or NOT_MEASURED,
        f"{power.windows} of {power.of_windows}",
    )
