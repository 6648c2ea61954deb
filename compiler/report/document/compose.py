"""The document of a set of results: which sections there are, in which order."""

from __future__ import annotations

from compiler.bench.result import Result
from compiler.errors import EdgetuneError
from compiler.report import format as fmt
from compiler.report.document.absent import absent_section
from compiler.report.document.accuracy import accuracy_section
from compiler.report.document.cells import Cell, cells, short_device
from compiler.report.document.comparison import comparison_section
from compiler.report.document.figures import latency_section, ratio_section, results_section
from compiler.report.document.layers import layer_sections
from compiler.report.document.methods import methods_section
from compiler.report.document.mlperf import mlperf_section
from compiler.report.document.parts import Chart, Column, Document, Section, Table
from compiler.report.document.power import power_section
from compiler.report.document.reading import Loaded
from compiler.report.document.speed import speed_section
from compiler.report.document.tuning import tuning_section

MOST_BAD = 50


def compose(loaded: Loaded) -> Document:
    """The document of `loaded`, which has at least one result or curve."""
    results = loaded.results
    found = cells(results)
    devices = len({result.device for result in results})
    sections: list[Section | None] = []
    if results:
        sections += [
            speed_section(found, devices),
            ratio_section(found, devices),
            results_section(found),
            latency_section(found, devices),
            power_section(found),
            mlperf_section(found),
            accuracy_section(found),
            *layer_sections(found, devices),
        ]
    sections.append(tuning_section(loaded.curves))
    if results:
        sections += [comparison_section(found), absent_section(found, devices), methods_section(results, loaded.aa)]
    sections.append(_bad_section(loaded.bad))
    return Document("Inference benchmark", _lead(results, found), [one for one in sections if one is not None])


def _lead(results: list[Result], found: list[Cell]) -> list[str]:
    if not results:
        return ["Tuning curves only: no results were given."]
    names = sorted({short_device(result.device) for result in results})
    models = sorted({result.model for result in results})
    where = ", ".join(names[:4]) + (f" and {len(names) - 4} more devices" if len(names) > 4 else "")
    what = ", ".join(models[:8]) + (f" and {len(models) - 8} more models" if len(models) > 8 else "")
    first, last = results[0].started, results[-1].started
    when = _minute(first) if _minute(first) == _minute(last) else f"{_minute(first)} to {_minute(last)}"
    verdicts = [cell.last.accuracy.ok for cell in found if cell.last.accuracy is not None]
    wrong = verdicts.count(False)
    return [
        f"{what} on {where}.",
        f"{fmt.count(len(results), 'result')} of {fmt.count(len(found), 'cell')}, measured {when}.",
        f"{wrong} of {len(verdicts)} FAILED their verification."
        if wrong
        else f"{len(verdicts)} of {len(found)} were verified against ONNX Runtime in FP32.",
    ]


def _minute(started: str) -> str:
    """ISO 8601 as a person reads it; all times are UTC."""
    return started[:16].replace("T", " ") + " UTC"


def _bad_section(bad: list[str]) -> Section | None:
    if not bad:
        return None
    more = [f"and {len(bad) - MOST_BAD} more"] if len(bad) > MOST_BAD else []
    rows = [(line,) for line in [*bad[:MOST_BAD], *more]]
    return Section("Lines that were skipped", tables=[Table((Column("line"),), rows)])


def main_figure(loaded: Loaded) -> list[Chart]:
    """The charts of the speed section. Raises EdgetuneError where nothing in them was measured."""
    found = cells(loaded.results)
    charts = speed_section(found, len({result.device for result in loaded.results})).charts if found else []
    if not charts:
        raise EdgetuneError("there is no picture to draw: no result has images/s")
    return charts
